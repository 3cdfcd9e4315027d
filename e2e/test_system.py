"""The promises of the whole system: what was acknowledged is in the finals, whatever is killed, for every kind of reader."""

import json
import secrets
import signal
import subprocess
import sys
import threading

import httpx
import pytest

import processes
from readers import Feed, connect, finals, records, stored, taps, wait_finals

REACTIONS = 1_000


def sender(system, count, rate, rooms):
    script = processes.ROOT / "e2e/sender.py"
    return subprocess.Popen(
        [sys.executable, script, system.http, str(count), str(rate), *rooms],
        stdout=subprocess.PIPE,
        text=True,
    )


def acknowledged(senders):
    """The senders' own books, added up."""
    total = {}
    for process in senders:
        out, _ = process.communicate(timeout=120)
        for room, counts in json.loads(out).items():
            mine = total.setdefault(room, {})
            for emoji, count in counts.items():
                mine[emoji] = mine.get(emoji, 0) + count
    return total


def fresh_rooms(count=3):
    return [f"room-{secrets.token_hex(6)}" for _ in range(count)]


def test_senders_feed_and_fluvio_client_agree_on_every_room_and_emoji(ovation):
    rooms = fresh_rooms()
    feeds = {room: Feed(ovation.http, room) for room in rooms}
    sent = acknowledged([sender(ovation, REACTIONS // 2, 0, rooms) for _ in range(2)])
    assert set(sent) == set(rooms)
    assert taps(sent) >= REACTIONS, "every reaction was acknowledged"

    assert wait_finals(ovation.control, ovation.topology, rooms, sent) == sent
    for room, feed in feeds.items():
        expected = {room: sent[room]}
        assert feed.wait(lambda _, feed=feed, expected=expected: finals(feed.updates()) == expected), (
            finals(feed.updates()),
            expected,
        )
        feed.close()

    for room in rooms:
        snapshot = httpx.get(f"{ovation.http}/v1/rooms/{room}").json()
        totals = snapshot["room_totals"]
        assert totals["reactions"] == taps({room: sent[room]})
        assert (totals["late"], totals["duplicates"], totals["rejected"]) == (0, 0, 0)


def test_numbers_in_the_topic_have_no_hole_and_no_repeat(ovation, room):
    sent = acknowledged([sender(ovation, 50, 0, [room])])
    wait_finals(ovation.control, ovation.topology, [room], sent)
    by_partition = {}
    for partition, update in stored(ovation.control, ovation.topology.aggregates, ovation.topology.partitions):
        assert update["source"]["partition"] == partition
        by_partition.setdefault((partition, update["epoch"]), []).append(update["seq"])
    assert by_partition
    for seqs in by_partition.values():
        assert sorted(seqs) == list(range(1, len(seqs) + 1))


def test_what_fluvio_clients_produce_counts_and_is_judged_in_the_broker(ovation, room):
    client = connect(ovation.control)
    producer = client.topic_producer(ovation.topology.events)
    good = json.dumps({"room": room, "emoji": "❤", "count": 2}).encode()
    for key, value in [(room, good), (room, f'{{"room":"{room}"'.encode()), (room, json.dumps({"room": room, "emoji": "x"}).encode()), ("other", good)]:
        producer.send(key.encode(), value).wait()
    producer.flush()
    assert wait_finals(ovation.control, ovation.topology, [room], {room: {"❤️": 2}}) == {room: {"❤️": 2}}
    letters = [value for _, value in stored(ovation.control, ovation.topology.rejects, ovation.topology.partitions)]
    mine = [letter for letter in letters if room in letter["event"]]
    assert sorted(letter["reason"] for letter in mine) == ["key_mismatch", "malformed", "unknown_emoji"]
    for letter in mine:
        assert letter["source"]["topic"] == ovation.topology.events


def test_kill_9_under_load_loses_nothing_that_was_acknowledged(own_ovation):
    rooms = fresh_rooms()
    senders = [sender(own_ovation, 600, 150, rooms) for _ in range(2)]
    # Killed when results of this very load are out, so that it has state to lose.
    first = Feed(own_ovation.http, rooms[0])
    assert first.wait(lambda _: len(first.updates()) >= 5)
    own_ovation.process.kill()
    own_ovation.start()
    sent = acknowledged(senders)
    found = wait_finals(own_ovation.control, own_ovation.topology, rooms, sent)
    for room, counts in sent.items():
        for emoji, count in counts.items():
            # A reaction that was stored but not acknowledged may count too.
            assert found.get(room, {}).get(emoji, 0) >= count, (room, emoji, found, sent)
    unanswered = 2 * 3 * 2
    assert taps(found) <= taps(sent) + unanswered, "nothing counts twice"

    again = acknowledged([sender(own_ovation, 30, 0, rooms)])
    assert taps(again) > 0, "it works as before"


def test_sigterm_under_load_answers_what_is_under_way_and_exits_0(own_ovation):
    rooms = fresh_rooms()
    senders = [sender(own_ovation, 400, 200, rooms) for _ in range(2)]
    feed = Feed(own_ovation.http, rooms[0])
    assert feed.wait(lambda _: len(feed.updates()) >= 3)
    assert own_ovation.process.terminate() == 0, own_ovation.process.text
    sent = acknowledged(senders)
    assert taps(sent) > 0
    own_ovation.start()
    found = wait_finals(own_ovation.control, own_ovation.topology, rooms, sent)
    assert found == sent, "a drain leaves nothing unanswered, so the books agree exactly"


def test_a_restart_keeps_the_rooms_totals_and_the_numbering(own_ovation, room):
    sent = acknowledged([sender(own_ovation, 20, 0, [room])])
    wait_finals(own_ovation.control, own_ovation.topology, [room], sent)
    assert own_ovation.process.terminate() == 0
    own_ovation.start()
    more = acknowledged([sender(own_ovation, 20, 0, [room])])
    both = {room: {emoji: sent[room][emoji] + more[room][emoji] for emoji in sent[room]}}
    assert wait_finals(own_ovation.control, own_ovation.topology, [room], both) == both
    totals = httpx.get(f"{own_ovation.http}/v1/rooms/{room}").json()["room_totals"]
    assert totals["reactions"] == taps(both)


def test_an_idle_system_writes_nothing(own_ovation, room):
    sent = acknowledged([sender(own_ovation, 5, 0, [room])])
    wait_finals(own_ovation.control, own_ovation.topology, [room], sent)

    def sizes():
        topology = own_ovation.topology
        return [len(records(own_ovation.control, topic, topology.partitions)) for topic in topology.topics]

    # A last tick may be under way when the final is out; after that the count stands still.
    before = sizes()
    for _ in range(20):
        threading.Event().wait(0.25)
        now = sizes()
        if now == before:
            break
        before = now
    threading.Event().wait(1.0)
    assert sizes() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_either_signal_ends_an_idle_system_with_0(tmp_path, number):
    from topology import Topology

    process = processes.Process(
        "run", "--topology", Topology(tmp_path).file, "--data", tmp_path / "data",
        "--http", processes.FREE, "--broker", processes.FREE, "--broker-spu", processes.FREE,
    ).wait_ready()
    process.signal(number)
    assert process.wait() == 0, process.text
