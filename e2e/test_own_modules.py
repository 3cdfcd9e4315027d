"""SmartModules that are no part of the program: the example's stage as its readers run it, and a filter for people."""

import collections
import time

import httpx
import pytest
import yaml

import processes
import readers
from processes import FREE, ROOT

EXAMPLE = ROOT / "examples/running-total/topology.yaml"
LINES = [
    "the Elephant sleeps",
    "nothing here is long",
    "what an extraordinary wonderful evening",
    "applauding",
    "Überzüge und Vorhänge",
    "encore",
]


def letter(line):
    """What the example's stage puts a line under."""
    words = "".join(sign if sign.isalpha() else " " for sign in line).split()
    return next((word[0].lower() for word in words if len(word) >= 8), None)


def engine(control):
    return processes.Process("engine", "--topology", EXAMPLE, "--cluster", control).wait_ready()


def test_the_example_counts_on_where_it_was_killed(broker):
    partitions = yaml.safe_load(EXAMPLE.read_text())["topics"]["lines"]["partitions"]
    running = engine(broker.control)
    producer = readers.connect(broker.control).topic_producer("lines")
    sent = []

    def say(count):
        for _ in range(count):
            line = LINES[(7 * len(sent) + len(sent) // 5) % len(LINES)]
            producer.send(f"author-{len(sent) % 5}".encode(), line.encode())
            sent.append(line)
        producer.flush()

    def settled():
        """Totals of each partition by letter, once everything has been counted."""
        expected = collections.Counter(filter(None, map(letter, sent)))
        deadline = time.monotonic() + 30
        while True:
            results = readers.stored(broker.control, "long-lines", partitions)
            totals = {}
            for partition in range(partitions):
                values = [value for where, value in results if where == partition]
                assert [value["seq"] for value in values] == list(range(1, len(values) + 1))
                for value in values:
                    before = totals.get((partition, value["key"]), 0)
                    assert value["total"] == before + 1, "it goes on from where it was"
                    totals[partition, value["key"]] = value["total"]
            found = collections.Counter()
            for (_, key), total in totals.items():
                found[key] += total
            if found == expected or time.monotonic() > deadline:
                assert found == expected
                return totals
            time.sleep(0.2)

    try:
        say(100)
        settled()
        running.kill()
        say(50)
        running = engine(broker.control)
        say(50)
        totals = settled()
        assert {partition for partition, _ in totals} == set(range(partitions))
        assert readers.stored(broker.control, "long-lines-rejects", partitions) == []
        producer.send(b"author", b"\xff\xfe")
        producer.flush()
        deadline = time.monotonic() + 20
        while not (letters := readers.stored(broker.control, "long-lines-rejects", partitions)):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert [value["reason"] for _, value in letters] == ["malformed"]
        assert running.terminate() == 0, running.text
    finally:
        running.end()


def test_people_can_read_the_results_of_one_room(ovation, room):
    """With a client that nobody here wrote, as `fluvio consume emoji-aggregates --smartmodule ovation-room -e room=…` does."""
    rooms = [room, f"{room}-b", f"{room}-c"]
    for name in rooms:
        for emoji in ["🔥", "👏"]:
            answer = httpx.post(f"{ovation.http}/v1/rooms/{name}/reactions", json={"emoji": emoji})
            assert answer.status_code == 200, answer.text
    topology = ovation.topology
    readers.wait_finals(ovation.control, topology, rooms, {name: {"🔥": 1, "👏": 1} for name in rooms})
    stored = readers.stored(ovation.control, topology.aggregates, topology.partitions)

    def filtered(counts=None, **params):
        return readers.filtered(
            ovation.control, topology.aggregates, topology.partitions, "ovation-room", counts, **params
        )

    for asked in [rooms[:1], rooms[1:]]:
        expected = [(partition, value) for partition, value in stored if value["room"] in asked]
        counts = collections.Counter(partition for partition, _ in expected)
        found = filtered(None if ovation.kind == "embedded" else counts, room=", ".join(asked))
        assert {key for key, _ in found} == set(asked)
        assert [value for _, value in found] == [value for _, value in expected], "these, untouched and in order"
    if ovation.kind != "embedded":
        return  # A stock client says nothing there of an end that it was not told, nor of a module that did not open.
    assert filtered(room="nobody's") == []
    for params in [{}, {"room": " ,"}, {"rooms": room}]:
        with pytest.raises(Exception, match='parameter "room" is missing'):
            filtered(**params)
