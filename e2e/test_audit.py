"""`ovation audit` on the real binary: what was sent is what it counts, and whatever was slipped in is found."""

import json
import secrets
import socket
import time

import httpx
import pytest

from processes import broker, outcome
from readers import connect, stored, wait_finals
from topology import Topology

RESYNC_KEY = b"\x01resync"


def audit(control, topology, *more):
    return outcome("audit", "--cluster", control, "--topology", topology.file, *more, seconds=90)


def report(control, topology, *more):
    """Exit code, and the report of the one stage."""
    code, text = audit(control, topology, "--json", *more)
    assert text.startswith("{"), text
    return code, json.loads(text)["stages"][0]


def reaction(room, **fields):
    return json.dumps({"room": room, "emoji": "🔥", **fields}).encode()


def send(control, topology, records):
    producer = connect(control).topic_producer(topology.events)
    for key, value in records:
        producer.send(key.encode(), value).wait()
    producer.flush()


def traffic(system, room):
    """Some of everything, from the PyPI client and over HTTP."""
    now = int(time.time() * 1000)
    good = [(room, reaction(room, id=f"id-{n}", count=1 + n % 3)) for n in range(30)]
    again = [(room, reaction(room, id=f"id-{n}", count=1 + n % 3)) for n in range(6)]
    late = [(room, reaction(room, id="late", ts=now - 3_600_000, count=4))]
    garbage = [(room, b"{"), (room, b"\xff\xfe"), (room, reaction(room, emoji="x")), ("other", reaction(room)), (room, reaction(room, ts=now + 3_600_000))]
    send(system.control, system.topology, good + again + late + garbage)
    answer = httpx.post(f"{system.http}/v1/rooms/{room}/reactions", json={"emoji": "❤", "count": 5})
    assert answer.status_code == 200
    wait_finals(system.control, system.topology, [room], {room: {"🔥": 60, "❤️": 5}})
    return {"taps": 60 + 12 + 4 + 5, "duplicates": 12, "rejected": 4, "finals": 65, "late": 4}


def numbers(line):
    (window,) = line["windows"]
    return {
        "taps": line["taps"], "duplicates": line["duplicates"], "rejected": line["rejected"],
        "finals": window["finals"], "late": window["late"],
    }


def line_of(stage, room):
    return next(line for line in stage["rooms"] if line["room"] == room)


def test_what_was_sent_is_accounted_for_while_the_system_runs(ovation, room):
    sent = traffic(ovation, room)
    code, stage = report(ovation.control, ovation.topology)
    assert code == 0, stage
    line = line_of(stage, room)
    assert numbers(line) == sent
    (window,) = line["windows"]
    assert (window["open"], window["difference"]) == (0, 0)

    code, text = audit(ovation.control, ovation.topology, "--all")
    assert code == 0
    assert f"\n{room} " in text and text.rstrip().splitlines()[-1].startswith("no difference"), text


def test_open_windows_and_results_on_their_way_are_no_difference(ovation, room):
    for _ in range(5):
        send(ovation.control, ovation.topology, [(room, reaction(room)) for _ in range(40)])
        code, stage = report(ovation.control, ovation.topology)
        assert code == 0, stage
        (window,) = line_of(stage, room)["windows"]
        assert window["finals"] + window["open"] == window["places"]


def partition_of(stage, of):
    return next(entry for entry in stage["partitions"] if entry["partition"] == of)


@pytest.fixture
def stopped(own_ovation, room):
    """A system with some traffic behind it, whose engine has stopped: the broker goes on alone."""
    own_ovation.sent = traffic(own_ovation, room)
    own_ovation.room = room
    control, spu = own_ovation.control, own_ovation.process.spu
    assert own_ovation.process.terminate() == 0
    alone = broker(own_ovation.data, control, spu) if own_ovation.kind == "embedded" else None
    yield own_ovation
    if alone:
        alone.end()


def last_result(system):
    """Partition and value of the room's last result."""
    found = stored(system.control, system.topology.aggregates, system.topology.partitions)
    partition = next(partition for partition, value in found if value["room"] == system.room)
    return partition, max((value for of, value in found if of == partition), key=lambda value: value["seq"])


def append(system, topic, partition, records):
    """Straight to a partition, past the partitioner, as one batch: what a fence judges together."""
    # The PyPI client places by key: a key is looked for that leads where it is wanted.
    raise NotImplementedError


def test_a_result_that_the_fence_lets_through_is_found(stopped):
    control, topology, room = stopped.control, stopped.topology, stopped.room
    assert report(control, topology, "--wait", "1s")[0] == 0
    partition, last = last_result(stopped)
    forged = last | {"seq": last["seq"] + 1, "final": True, "total": 1_000, "counts": {"🔥": 1_000}}
    # The room's key leads to its partition in the sink as well.
    producer = connect(control).topic_producer(topology.aggregates)
    producer.send(last["room"].encode(), json.dumps(forged, ensure_ascii=False).encode()).wait()
    offset = max(value["seq"] for of, value in stored(control, topology.aggregates, 4) if of == partition) - 1

    code, stage = report(control, topology, "--wait", "1s")
    assert code == 1
    found = {entry["kind"]: entry for entry in partition_of(stage, partition)["differences"]}
    assert set(found) == {"unexpected", "conservation"}
    assert found["unexpected"]["seq"] == forged["seq"]
    assert found["unexpected"]["offset"] >= offset
    (window,) = line_of(stage, last["room"])["windows"]
    assert window["difference"] == -1_000

    code, text = audit(control, topology, "--wait", "1s")
    assert code == 1
    verdict = text.rstrip().splitlines()[-1]
    assert verdict.startswith("2 differences; the first: ") and f"offset {found['unexpected']['offset']}" in verdict


def test_a_result_stored_twice_is_found(stopped):
    control, topology = stopped.control, stopped.topology
    partition, last = last_result(stopped)
    key = last["room"].encode()
    # A resync makes the fence forget the last number, and so lets it in again.
    resync = {"epoch": last["epoch"], "from": last["seq"], "to": last["seq"] - 1}
    producer = connect(control).topic_producer(topology.aggregates)
    if stopped.kind == "embedded":
        raise NotImplementedError(partition, resync, producer, key)


def test_dead_letters_are_checked_both_ways(stopped):
    control, topology = stopped.control, stopped.topology
    letters = stored(control, topology.rejects, topology.partitions)
    partition, letter = max(letters, key=lambda one: one[1]["seq"])
    forged = letter | {"seq": letter["seq"] + 1}
    del partition, forged


def test_a_wrong_address_is_one_sentence(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = "127.0.0.1:%d" % server.getsockname()[1]
    code, text = audit(free, Topology(tmp_path))
    assert code == 2
    assert len(text.splitlines()) == 1 and text.startswith("ovation: cannot audit: ") and free in text


def test_topics_that_are_not_there_are_named(broker, tmp_path):
    code, text = audit(broker.control, Topology(tmp_path))
    assert code == 2
    assert "emoji-aggregates" in text


def test_another_configuration_is_refused(own_ovation, room):
    traffic(own_ovation, room)
    file = own_ovation.topology.file
    other = file.with_name("other.yaml")
    other.write_text(file.read_text().replace("size: 2000ms", "size: 3000ms"))
    code, text = outcome("audit", "--cluster", own_ovation.control, "--topology", other)
    assert code == 2
    assert "another configuration" in text
    del secrets
