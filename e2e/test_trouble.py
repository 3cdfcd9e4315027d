"""What a user gets when things go wrong: one clear text, the right exit code, nothing acknowledged lost."""

import socket
import time

import httpx
import pytest

import processes
from processes import FREE, outcome
from readers import wait_finals
from topology import Topology


def run_arguments(folder, **changes):
    arguments = {
        "--topology": Topology(folder).file,
        "--data": folder / "data",
        "--http": FREE,
        "--broker": FREE,
        "--broker-spu": FREE,
    } | changes
    return ["run", *(text for pair in arguments.items() for text in pair)]


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield "127.0.0.1:%d" % server.getsockname()[1]


def one_sentence(text):
    lines = [line for line in text.splitlines() if line]
    assert len(lines) == 1, text
    assert lines[0].startswith("ovation: "), text
    return lines[0]


@pytest.mark.parametrize("option", ["--http", "--broker", "--broker-spu"])
def test_a_port_in_use_is_named(tmp_path, taken, option):
    code, text = outcome(*run_arguments(tmp_path, **{option: taken}))
    assert code == 1
    assert taken in one_sentence(text) and "in use" in text


def test_a_data_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "data").write_text("not a folder")
    code, text = outcome(*run_arguments(tmp_path))
    assert code == 1
    assert str(tmp_path / "data") in one_sentence(text)


def test_a_locked_data_folder_is_named(tmp_path):
    first = processes.broker(tmp_path / "data")
    try:
        code, text = outcome(*run_arguments(tmp_path))
        assert code == 1
        assert "in use by another" in one_sentence(text)
    finally:
        first.end()


def test_a_broken_topology_shows_file_line_and_what_was_expected(tmp_path):
    arguments = run_arguments(tmp_path)
    file = tmp_path / "topology.yaml"
    file.write_text(file.read_text().replace("sink: emoji-aggregates", "sink: emoji-agregates"))
    line = 1 + file.read_text().split("sink: emoji-agregates")[0].count("\n")
    code, text = outcome(*arguments)
    assert code == 2
    assert f"{file}:{line}:" in text.replace("\n", ""), text
    assert "emoji-aggregates" in text, "what was meant"


def test_a_missing_topology_is_named(tmp_path):
    code, text = outcome(*run_arguments(tmp_path, **{"--topology": tmp_path / "nowhere.yaml"}))
    assert code == 2
    assert "nowhere.yaml" in one_sentence(text)


def test_an_unreachable_cluster_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = "127.0.0.1:%d" % server.getsockname()[1]
    code, text = outcome(*run_arguments(tmp_path, **{"--cluster": free}))
    assert code == 1
    assert free in text.splitlines()[-1]


def test_help_teaches():
    code, text = outcome("run", "--help")
    assert code == 0
    for word in ["--http", "--data", "--cluster", "OVATION_HTTP", "curl"]:
        assert word in text


def test_a_broker_lost_while_running_means_503_until_it_is_back(tmp_path, room):
    """The broker as a process of its own, killed with -9 under a running gateway and engine."""
    topology = Topology(tmp_path)
    broker = processes.broker(tmp_path / "data")
    control, spu = broker.control, broker.spu
    system = processes.Process("run", "--topology", topology.file, "--http", FREE, "--cluster", control).wait_ready()
    try:
        acknowledged = 0

        def react():
            return httpx.post(
                f"{system.http}/v1/rooms/{room}/reactions", json={"emoji": "🔥"}, timeout=20
            )

        for _ in range(20):
            assert react().status_code == 200
            acknowledged += 1
        broker.kill()
        answer = react()
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.headers["content-type"].startswith("application/problem+json")
        assert httpx.get(f"{system.http}/readyz").status_code == 503
        assert httpx.get(f"{system.http}/healthz").status_code == 200

        broker = processes.broker(tmp_path / "data", control, spu)
        deadline = time.monotonic() + 30
        while (answer := react()).status_code != 200:
            assert answer.status_code == 503
            assert time.monotonic() < deadline, "ingestion resumes by itself"
            time.sleep(0.1)
        acknowledged += 1
        found = wait_finals(control, topology, [room], {room: {"🔥": acknowledged}})
        # What was cut off may have been stored without an answer; what was answered is there.
        assert acknowledged <= found[room]["🔥"] <= acknowledged + 1
        assert system.terminate() == 0, system.text
    finally:
        system.end()
        broker.end()
