"""The crowd that measures: what it says has to agree with the topics, as clients that nobody here wrote read them."""

import json
import re
import secrets
import subprocess
import time
import xml.etree.ElementTree as ElementTree

import pytest

import processes
import readers

PATIENCE_S = 120


def load(ovation, *args, **options):
    return subprocess.run(
        [processes.BINARY, "load", "--target", ovation.http, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        **options,
    )


def reported(ovation, folder, *args):
    """The report of a run that kept everything."""
    file = folder / f"{secrets.token_hex(4)}.json"
    done = load(ovation, "--json", file, *args)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kept" in done.stdout
    return json.loads(file.read_text())


def taps_in_finals(ovation, run):
    """Taps of the run's rooms in the aggregate topic, by room."""
    updates = [value for _, value in readers.stored(ovation.control, ovation.topology.aggregates, ovation.topology.partitions)]
    return {
        room: sum(counts.values())
        for room, counts in readers.finals(updates).items()
        if room.startswith(f"load-{run}-")
    }


def test_what_it_says_stands_in_the_topics(ovation, batch_route, tmp_path):
    page = tmp_path / "report.html"
    report = reported(
        ovation, tmp_path, "--rate", 400, "--watchers", 20, "--rooms", 5, "--duration", "4s", "--events-share", 0.5, "--html", page
    )
    counts = report["counts"]
    assert counts["taps"] == counts["acked_taps"] == pytest.approx(1_600, rel=0.15)
    assert counts["unknown_taps"] == counts["refused_taps"] == counts["unsent_taps"] == 0
    finals = taps_in_finals(ovation, report["run"])
    assert finals == {room["room"]: room["acked"] for room in report["rooms"]}
    assert [room["watched"] == room["history"] for room in report["rooms"]] == [True] * 5, "watchers saw all finals"
    assert counts["watching_max"] == 20 and counts["deliveries"] > 100
    for kind in ["single", "batch", "socket", "screen", "join"]:
        times = report["times"][kind]
        assert times["count"] > 0 and 0 < times["p50_ms"] <= times["p99_ms"] <= times["max_ms"], kind
    # Nothing of the page comes from elsewhere, and its plots are drawings.
    text = page.read_text()
    assert not re.search(r"<script|src=|href=|url\(", text)
    plots = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(plots) >= 5
    for plot in plots:
        assert ElementTree.fromstring(plot).findall(".//{http://www.w3.org/2000/svg}polyline")


def test_a_match_has_a_hot_room_and_bursts(ovation, batch_route, tmp_path):
    report = reported(ovation, tmp_path, "--scenario", "match", "--rate", 500, "--watchers", 10, "--rooms", 4, "--duration", "4s")
    hot, *others = sorted(report["rooms"], key=lambda room: -room["acked"])
    assert hot["room"].endswith("-hot-0") and hot["acked"] > sum(room["acked"] for room in others)
    assert report["counts"]["taps"] > report["counts"]["reactions"], "an excited page adds taps up"


def test_a_stampede_gets_in(ovation, batch_route, tmp_path):
    report = reported(ovation, tmp_path, "--scenario", "stampede", "--rate", 100, "--watchers", 400, "--duration", "6s")
    assert report["counts"]["watching_max"] == 400
    assert report["times"]["join"]["count"] == 400
    # They came within the run, and not before.
    assert [point["watching"] for point in report["series"]][0] == 0


def test_bad_clients_are_refused_and_harm_nobody(own_embedded, tmp_path):
    report = reported(own_embedded, tmp_path, "--scenario", "flood", "--rate", 200, "--watchers", 10, "--rooms", 3, "--duration", "8s")
    assert report["counts"]["unknown_taps"] == 0, report["refusals"]
    bad = report["bad_clients"]
    for answer in [
        "NoJson: 400 malformed-json",
        "NoEmoji: 422 unknown-emoji",
        "NoFrames: ended by the gateway",
        "HalfHead: still open after 5 s",
        "Gone: gone",
        "NoReader: left",
    ]:
        assert bad.get(answer, 0) > 0, f"{answer}: {bad}"
    assert any(answer.startswith("TooLarge: 413") for answer in bad), bad
    assert not [answer for answer in bad if re.search(r": 5\d\d", answer)], bad
    # One user a hundred times a second or so: more than his bucket takes.
    assert set(report["refusals"]) <= {"429 rate-limited"}, report["refusals"]


def test_two_processes_are_one_crowd(ovation, batch_route, tmp_path):
    run, files = f"two-{secrets.token_hex(3)}", [tmp_path / "1.json", tmp_path / "2.json"]
    parts = [
        subprocess.Popen(
            [processes.BINARY, "load", "--target", ovation.http, "--run", run, "--part", f"{number}/2", "--json", file]
            + ["--rate", "300", "--watchers", "11", "--rooms", "3", "--duration", "4s"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number, file in enumerate(files, 1)
    ]
    for part in parts:
        said, _ = part.communicate(timeout=PATIENCE_S)
        assert part.returncode == 0 and "merge the reports" in said, said
    merged = tmp_path / "both.json"
    done = load(ovation, "--merge", files[0], "--merge", files[1], "--json", merged)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(merged.read_text())
    assert report["parts"] == [1, 2] and report["counts"]["watching_max"] == 11
    assert taps_in_finals(ovation, run) == {room["room"]: room["acked"] for room in report["rooms"]}
    # A tap too much in one of them, and the books do not balance.
    first = json.loads(files[0].read_text())
    first["rooms"][0]["acked"] += 1
    files[0].write_text(json.dumps(first))
    lying = load(ovation, "--merge", files[0], "--merge", files[1])
    assert lying.returncode == 1 and "were acknowledged" in lying.stdout, lying.stdout
    twice = load(ovation, "--merge", files[1], "--merge", files[1])
    assert twice.returncode == 2 and "part 2 is there twice" in twice.stderr


def test_a_server_that_dies_costs_no_tap(own_ovation, batch_route, tmp_path):
    file = tmp_path / "report.json"
    command = [processes.BINARY, "load", "--target", own_ovation.http, "--json", file]
    command += ["--rate", "300", "--watchers", "10", "--rooms", "3", "--duration", "10s"]
    running = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and not readers.stored(own_ovation.control, own_ovation.topology.aggregates, 4):
        time.sleep(0.1)
    own_ovation.process.kill()
    own_ovation.start()
    said, wrong = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 0, said + wrong
    report = json.loads(file.read_text())
    counts = report["counts"]
    assert counts["reconnects"] >= 10 and counts["unknown_taps"] > 0, "it was not there for a while"
    assert counts["acked_taps"] + counts["unknown_taps"] + counts["unsent_taps"] == counts["taps"]
    finals = taps_in_finals(own_ovation, report["run"])
    for room in report["rooms"]:
        assert room["acked"] <= finals[room["room"]] + room["totals"]["late"] <= room["acked"] + room["unknown"]


@pytest.mark.parametrize(
    "args, said",
    [
        (["--target", "https://127.0.0.1:1"], "expected http://HOST:PORT"),
        (["--mix", "mail=1"], "expected single=5,batch=65,socket=30"),
        (["--rate", "0"], "--rate: expected more than 0"),
        (["--part", "1/2"], "--part: expected --run"),
        (["--part", "3/2", "--run", "x"], "is no part"),
        (["--merge", "nothing.json"], "failed to read the report nothing.json"),
    ],
)
def test_what_cannot_work_is_said_at_once(args, said):
    done = subprocess.run([processes.BINARY, "load", *args], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and said in done.stderr, done.stderr


def test_no_gateway_is_said_with_its_address():
    done = subprocess.run(
        [processes.BINARY, "load", "--target", "http://127.0.0.1:1", "--duration", "1s"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2 and "127.0.0.1:1" in done.stderr and "refused" in done.stderr, done.stderr
