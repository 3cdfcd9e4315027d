"""Moments: what the second stage finds, on the real brokers, read by a client that nobody here wrote."""

import csv
import json
import time

import httpx
import pytest

import readers
from conftest import BROKERS, started
from processes import ROOT, outcome
from topology import WINDOW_MS

PATIENCE_S = 90
TRACES = ROOT / "load" / "traces"
# When the match of the committed moments began.
TRACE_BEGAN_MS = 1_795_426_800_000
COUNT_MAX = 100
USUAL = 10
BURST = 90


def moments(system):
    """The last revision of each moment, in the order of their numbers."""
    topology = system.topology
    found = [value for _, value in readers.stored(system.control, topology.moments, topology.partitions)]
    found.sort(key=lambda moment: (moment["source"]["partition"], moment["epoch"], moment["seq"]))
    return list({moment["id"]: moment for moment in found}.values())


def wait_moments(system, enough, seconds=PATIENCE_S):
    """Until `enough(moments)`, or time is up; then what there is."""
    deadline = time.monotonic() + seconds
    while not enough(found := moments(system)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


@pytest.fixture(params=BROKERS)
def shipped(request, tmp_path):
    """The shipped windows. A machine that stops for a second while old reactions are sent must not take that for quiet."""
    system = started(tmp_path, request.param, {"idleness: 1s": "idleness: 15s"})
    yield system
    system.end()


def test_the_recorded_match_has_its_moments_again(shipped):
    """The committed trace goes into the events topic, with the times of a match that is over, as any producer could send it."""
    room, topology = "match", shipped.topology
    # Windows begin at multiples of their size.
    began = (time.time_ns() // 1_000_000 - 10_800_000) // 10_000 * 10_000
    producer = readers.connect(shipped.control).topic_producer(topology.events)
    with (TRACES / "match.csv").open() as file:
        for row in csv.DictReader(file):
            left = int(row["taps"])
            while left:
                count = min(left, COUNT_MAX)
                left -= count
                ts = began + int(row["second"]) * 1_000
                reaction = {"room": room, "emoji": row["emoji"], "count": count, "ts": ts}
                producer.send(room.encode(), json.dumps(reaction).encode())
    producer.flush()

    expected = [json.loads(line) for line in (TRACES / "match-moments.jsonl").read_text().splitlines()]

    def plain(moment, zero):
        """Without the places of its records, which ticks move."""
        kept = {key: moment[key] for key in ("final", "total", "lift", "score", "leading", "counts", "sentiment", "baseline")}
        peak = {**moment["peak"], "start": moment["peak"]["start"] - zero}
        return kept | {"start": moment["start"] - zero, "end": moment["end"] - zero, "peak": peak}

    over = lambda found: len(found) >= len(expected) and all(moment["final"] for moment in found)
    found = wait_moments(shipped, over)
    assert [plain(moment, began) for moment in found] == [plain(moment, TRACE_BEGAN_MS) for moment in expected]
    assert {moment["room"] for moment in found} == {room}

    # From its replay offset on, all reactions of a moment are there.
    events = [record for _, record in readers.records(shipped.control, topology.events, topology.partitions)]
    for moment in (found[0], found[-1]):
        held = 0
        for record in events:
            value = json.loads(record.value_string())
            if value.get("room") != room or record.offset() < moment["replay"]["offset"]:
                continue
            if moment["start"] <= value["ts"] < moment["end"]:
                held += value["count"]
        assert held == moment["total"], moment


    # The audit runs both stages over their sources once more.
    code, text = outcome("audit", "--cluster", shipped.control, "--topology", topology.file, "--json", seconds=120)
    report = json.loads(text[text.index("{") :])
    assert code == 0 and report["clean"] and not report["left_out"], text
    made = {stage["stage"]: sum(partition["results"] for partition in stage["partitions"]) for stage in report["stages"]}
    assert made["reactions"] > 600 and made["moments"] > 2 * len(expected), made


def test_a_burst_is_told_while_it_goes_on(ovation, room):
    """With live taps, in windows of two seconds."""

    def react(count, emoji):
        body = {"emoji": emoji, "count": count, "user": f"user-{count}"}
        assert httpx.post(f"{ovation.http}/v1/rooms/{room}/reactions", json=body, timeout=10).status_code == 200

    def next_window():
        time.sleep(WINDOW_MS / 1_000 - time.time() % (WINDOW_MS / 1_000) + 0.2)

    for _ in range(8):
        next_window()
        react(USUAL, "👏")
    next_window()
    react(BURST, "⚽")
    mine = lambda found: [moment for moment in found if moment["room"] == room]
    [moment] = mine(wait_moments(ovation, mine))
    assert (moment["total"], moment["leading"], moment["peak"]["total"]) == (BURST, "⚽", BURST), moment
    assert (moment["lift"], moment["baseline"]["rate"]) == (BURST / USUAL, USUAL * 1_000 / WINDOW_MS), moment
    assert moment["peak"]["users"] == 1 and moment["sentiment"]["during"] == 0.622, moment
    # The next final of its partition shows that it is over.
    next_window()
    react(USUAL, "👏")
    [moment] = mine(wait_moments(ovation, lambda found: mine(found)[0]["final"]))
    assert moment["final"] and moment["total"] == BURST, moment
