"""`ovation audit` on the real binary: what was sent is what it counts, and whatever was slipped in is found."""

import json
import socket
import time

import httpx
import pytest

import conftest
import processes
from readers import connect, stored, wait_finals
from topology import Topology

HOUR_MS = 3_600_000


def audit(control, file, *more):
    return processes.outcome("audit", "--cluster", control, "--topology", file, *more, seconds=120)


def report(system, *more):
    """Exit code, and the report of the one stage."""
    code, text = audit(system.control, system.topology.file, "--json", *more)
    assert text.startswith("{"), text
    return code, json.loads(text)["stages"][0]


def reaction(room, **fields):
    return json.dumps({"room": room, "emoji": "🔥", **fields}, ensure_ascii=False).encode()


def send(system, topic, records):
    producer = connect(system.control).topic_producer(topic)
    for key, value in records:
        producer.send(key.encode(), value).wait()
    producer.flush()


def traffic(system, room):
    """Some of everything, from the PyPI client and over HTTP; what the audit has to say of it."""
    now = int(time.time() * 1000)
    good = [(room, reaction(room, id=f"id-{n}", count=1 + n % 3)) for n in range(30)]
    again = good[:6]
    late = [(room, reaction(room, id="late", ts=now - HOUR_MS, count=4))]
    refused = [(room, reaction(room, emoji="x")), ("other", reaction(room)), (room, reaction(room, ts=now + HOUR_MS))]
    no_room = [(room, b"{"), (room, b"\xff\xfe")]
    send(system, system.topology.events, good + again + late + refused + no_room)
    answer = httpx.post(f"{system.http}/v1/rooms/{room}/reactions", json={"emoji": "❤", "count": 5})
    assert answer.status_code == 200
    counts = {room: {"🔥": 60, "❤️": 5}}
    assert wait_finals(system.control, system.topology, [room], counts) == counts
    return {"taps": 60 + 12 + 4 + 5, "duplicates": 12, "rejected": len(refused), "places": 69, "finals": 65, "late": 4, "open": 0}


def numbers(stage, room):
    line = next(line for line in stage["rooms"] if line["room"] == room)
    (window,) = line["windows"]
    assert window["difference"] == window["places"] - window["finals"] - window["open"] - window["late"]
    of_room = {name: line[name] for name in ["taps", "duplicates", "rejected"]}
    return of_room | {name: window[name] for name in ["places", "finals", "late", "open"]}


def test_what_was_sent_is_accounted_for_while_the_system_runs(ovation, room):
    sent = traffic(ovation, room)
    code, stage = report(ovation)
    assert (code, [partition["differences"] for partition in stage["partitions"]]) == (0, [[]] * 4)
    assert numbers(stage, room) == sent

    code, text = audit(ovation.control, ovation.topology.file, "--all")
    assert code == 0
    lines = text.rstrip().splitlines()
    assert any(line.split()[0] == room for line in lines if line)
    assert lines[-1].startswith("no difference"), text


def test_open_windows_and_results_on_their_way_are_no_difference(ovation, room):
    for round in range(1, 5):
        send(ovation, ovation.topology.events, [(room, reaction(room)) for _ in range(40)])
        code, stage = report(ovation)
        assert code == 0, stage
        found = numbers(stage, room)
        assert found["taps"] == found["finals"] + found["open"] == 40 * round


def test_a_new_epoch_is_audited_from_its_start(own_ovation, room):
    traffic(own_ovation, room)
    code, text = processes.outcome(
        "topology", "reset", "--from", "now", "--yes", "--cluster", own_ovation.control, "--topology", own_ovation.topology.file
    )
    assert code == 0, text
    sent = [(room, reaction(room, count=2)) for _ in range(25)]
    send(own_ovation, own_ovation.topology.events, sent)
    deadline = time.monotonic() + 60
    while True:
        code, stage = report(own_ovation)
        assert (code, {partition["epoch"] for partition in stage["partitions"]}) == (0, {2}), stage
        found = numbers(stage, room)
        assert (found["taps"], found["duplicates"], found["rejected"]) == (50, 0, 0), "what came before is left out"
        if found["finals"] == 50:
            break
        assert time.monotonic() < deadline, stage
        time.sleep(0.2)


@pytest.fixture(params=conftest.BROKERS)
def stopped(request, tmp_path, room):
    """One partition with some traffic, whose engine has stopped; its broker goes on alone."""
    if request.param == "cluster" and not conftest.CLUSTER:
        pytest.skip("OVATION_TEST_CLUSTER is not set")
    system = conftest.System(tmp_path, request.param)
    system.topology.file.write_text(system.topology.file.read_text().replace("partitions: 4", "partitions: 1"))
    system.topology.partitions = 1
    system.start()
    alone = None
    try:
        traffic(system, room)
        control, spu = system.control, system.process.spu
        assert system.process.terminate() == 0
        if system.kind == "embedded":
            alone = processes.broker(system.data, control, spu)
        code, stage = report(system, "--wait", "1s")
        assert code == 0, stage
        yield system
    finally:
        if alone:
            alone.end()
        system.end()


def newest(system, topic):
    return max((value for _, value in stored(system.control, topic, 1)), key=lambda value: value["seq"])


def differences(stage):
    (partition,) = stage["partitions"]
    return {found["kind"]: found for found in partition["differences"]}


def test_a_forged_final_is_found_at_its_offset(stopped, room):
    """Rightly numbered, so that the fence lets it in."""
    last = newest(stopped, stopped.topology.aggregates)
    forged = last | {"seq": last["seq"] + 1, "final": True, "total": 1_000, "counts": {"🔥": 1_000}}
    send(stopped, stopped.topology.aggregates, [(room, json.dumps(forged, ensure_ascii=False).encode())])

    code, stage = report(stopped, "--wait", "1s")
    found = differences(stage)
    assert (code, set(found)) == (1, {"unexpected", "conservation"}), stage
    assert (found["unexpected"]["seq"], found["unexpected"]["offset"]) == (forged["seq"], last["seq"])
    assert numbers(stage, room)["finals"] == 65 + 1_000

    code, text = audit(stopped.control, stopped.topology.file, "--wait", "1s")
    assert code == 1
    verdict = text.rstrip().splitlines()[-1]
    assert verdict.startswith("2 differences; the first: ") and f"offset {last['seq']}" in verdict, text


def test_a_result_that_is_stored_twice_is_found_at_its_offset(stopped, room):
    """A control record makes the fence forget the last number, so that it comes in again."""
    last = newest(stopped, stopped.topology.aggregates)
    resync = {"stage": last["stage"], "epoch": last["epoch"], "from": last["seq"], "to": last["seq"] - 1}
    again = json.dumps(last, ensure_ascii=False).encode()
    send(stopped, stopped.topology.aggregates, [("\u0001resync", json.dumps(resync).encode())])
    send(stopped, stopped.topology.aggregates, [(room, again)])

    code, stage = report(stopped, "--wait", "1s")
    found = differences(stage)
    assert (code, set(found)) == (1, {"repeated"}), stage
    assert found["repeated"]["seq"] == last["seq"]
    assert found["repeated"]["offset"] >= last["seq"]


def test_a_forged_dead_letter_is_found(stopped, room):
    last = newest(stopped, stopped.topology.rejects)
    forged = last | {"seq": last["seq"] + 1, "source": last["source"] | {"offset": 3}}
    send(stopped, stopped.topology.rejects, [(room, json.dumps(forged).encode())])
    code, stage = report(stopped, "--wait", "1s")
    assert (code, set(differences(stage))) == (1, {"unexpected", "wrong_letter"}), stage


def test_reactions_that_nobody_counts_are_behind(stopped, room):
    send(stopped, stopped.topology.events, [(room, reaction(room))])
    code, stage = report(stopped, "--wait", "1s")
    found = differences(stage)
    assert (code, set(found)) == (1, {"behind"}), stage
    assert found["behind"]["seq"] == newest(stopped, stopped.topology.aggregates)["seq"] + 1


def test_an_epoch_whose_beginning_is_gone_cannot_be_checked(stopped, room):
    pieces = [value for _, value in stored(stopped.control, stopped.topology.checkpoints, 1)]
    last = [piece for piece in pieces if piece["stage"] == "reactions"][-1]
    piece = json.dumps(last | {"epoch": 7, "pieces": 2, "piece": 0}).encode()
    send(stopped, stopped.topology.checkpoints, [("\u0001checkpoint", piece)])
    code, text = audit(stopped.control, stopped.topology.file)
    assert code == 2
    assert "where epoch 7" in text and len(text.splitlines()) == 1


def test_another_configuration_is_refused(stopped):
    other = stopped.topology.file.with_name("other.yaml")
    other.write_text(stopped.topology.file.read_text().replace("grace: 500ms", "grace: 600ms"))
    code, text = audit(stopped.control, other)
    assert code == 2
    assert "another configuration" in text and len(text.splitlines()) == 1


def test_a_wrong_address_is_one_sentence(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = "127.0.0.1:%d" % server.getsockname()[1]
    code, text = audit(free, Topology(tmp_path).file)
    assert code == 2
    assert text.startswith("ovation: cannot audit: ") and free in text and len(text.splitlines()) == 1


def test_topics_that_are_not_there_are_named(broker, tmp_path):
    code, text = audit(broker.control, Topology(tmp_path).file)
    assert code == 2
    assert "emoji-aggregates" in text and len(text.splitlines()) == 1


def test_an_unknown_stage_is_named(tmp_path):
    code, text = audit("127.0.0.1:1", Topology(tmp_path).file, "--stage", "words")
    assert code == 2
    assert '"words"' in text and "reactions" in text
