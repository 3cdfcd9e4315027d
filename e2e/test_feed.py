"""The feed from outside: every way to follow rooms, by clients that nobody here wrote."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import time

import httpx
import msgpack
import pytest
import websockets
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from processes import FREE, Process
from readers import stored
from test_gateway import PATIENCE_S, assert_problem, react, read_until, receive, receive_until, window_of
from topology import Topology, started


class Events:
    """An event stream, read by the rules of the standard."""

    def __init__(self, url, **headers):
        self._client = httpx.Client(timeout=PATIENCE_S)
        self._stream = self._client.stream("GET", url, headers=headers)
        self.answer = self._stream.__enter__()
        self._lines = self.answer.iter_lines()
        self.id = None
        self.retry = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stream.__exit__(None, None, None)
        self._client.close()

    def next(self):
        """The next message; none at the end. Comments keep the connection alive, but are none."""
        deadline = time.monotonic() + PATIENCE_S
        data = []
        for line in self._lines:
            assert time.monotonic() < deadline, "no message came"
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if not line:
                if data:
                    return json.loads("\n".join(data))
            elif name == "data":
                data.append(value)
            elif name == "id":
                self.id = value
            elif name == "retry":
                self.retry = int(value)
        return None

    def until(self, wanted, patience=PATIENCE_S):
        return read_until(self.next, wanted, patience)


def counts(taps):
    """Of the room: between two reactions a window may end."""
    return lambda message: message["type"] == "update" and message["update"]["room_totals"]["reactions"] == taps


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_events_bring_what_the_feed_brings_and_resume_by_their_id(ovation, room, encoding):
    url = f"{ovation.http}/v1/rooms/{room}/events"
    with Events(url, **{"accept-encoding": encoding}) as events:
        assert events.answer.headers["content-type"] == "text/event-stream"
        assert events.answer.headers.get("content-encoding", "identity") == encoding
        first = events.next()
        assert (first["type"], first["room"], first["windows"], first["watching"]) == ("snapshot", room, [], 1)
        assert (events.id, events.retry > 0) == (first["cursor"], True)
        assert react(ovation, room, {"emoji": "🔥", "count": 2}).status_code == 200
        update = events.until(counts(2))[-1]
        assert events.id == update["cursor"]
        seen = events.id
    assert react(ovation, room, {"emoji": "🔥", "count": 3}).status_code == 200
    with Events(url, **{"accept-encoding": encoding, "last-event-id": seen}) as events:
        again = events.until(counts(5))
        assert {message["type"] for message in again} == {"update"}
        numbers = [message["update"]["seq"] for message in again]
        assert numbers == sorted(set(numbers)) and numbers[0] > update["update"]["seq"]
    with Events(f"{url}?after={seen}") as events:
        assert events.next()["type"] == "update"


def test_one_feed_shows_several_rooms_and_takes_reactions_for_them(ovation):
    rooms = [f"room-{secrets.token_hex(6)}" for _ in range(3)]
    url = ovation.http.replace("http://", "ws://", 1)
    with connect(f"{url}/v1/feed?rooms={rooms[0]},{rooms[1]}", open_timeout=10) as socket:
        assert {receive(socket)["room"] for _ in range(2)} == set(rooms[:2])
        assert react(ovation, rooms[2], {"emoji": "🔥"}).status_code == 200
        for number, room in enumerate(rooms[:2]):
            socket.send(json.dumps({"type": "react", "room": room, "emoji": "👏", "count": number + 1, "ref": room}))
        answers, seen = {}, {}
        while set(answers) != set(rooms[:2]) or {room: seen.get(room) for room in rooms[:2]} != {rooms[0]: 1, rooms[1]: 2}:
            message = receive(socket)
            if message["type"] == "update":
                seen[message["update"]["room"]] = message["update"]["total"]
                cursor = message["cursor"]
            else:
                answers[message["ref"]] = message["type"]
        assert set(seen) == set(rooms[:2]) and set(answers.values()) == {"ack"}
        socket.send(json.dumps({"type": "react", "emoji": "👏", "ref": "none"}))
        refused = receive_until(socket, lambda message: message["type"] == "error")[-1]
        assert refused["problem"]["type"] == "urn:ovation:problem:malformed"
    assert react(ovation, rooms[0], {"emoji": "👏", "count": 4}).status_code == 200
    with connect(f"{url}/v1/feed?rooms={rooms[1]},{rooms[0]}&after={cursor}", open_timeout=10) as socket:
        again = receive_until(socket, counts(5))
        assert {message["type"] for message in again} == {"update"}
    with Events(f"{ovation.http}/v1/events?rooms=*") as events:
        there = set()
        while not set(rooms) <= there:
            message = events.next()
            assert message["type"] == "snapshot", "all rooms first"
            there.add(message["room"])


def test_message_pack_has_the_same_shape(ovation, room):
    url = ovation.http.replace("http://", "ws://", 1)
    protocols = ["ovation.v1.msgpack", "ovation.v1"]
    with connect(f"{url}/v1/rooms/{room}/feed", subprotocols=protocols, open_timeout=10) as socket:
        assert socket.subprotocol == "ovation.v1.msgpack"
        assert msgpack.unpackb(socket.recv(timeout=PATIENCE_S))["type"] == "snapshot"
        socket.send(msgpack.packb({"type": "react", "emoji": "🔥", "count": 3, "ref": "mine"}))
        seen = []
        while not {"ack", "update"} <= {message["type"] for message in seen}:
            seen.append(msgpack.unpackb(socket.recv(timeout=PATIENCE_S)))
        record = next(message["update"] for message in seen if message["type"] == "update")
        assert record["counts"] == {"🔥": 3}
        for nonsense in [b"\xc1", b"\x91" * 2_000, b"\x01\x02"]:
            socket.send(nonsense)
            while (answer := msgpack.unpackb(socket.recv(timeout=PATIENCE_S)))["type"] == "update":
                pass
            assert answer["problem"]["type"] == "urn:ovation:problem:bad-request"
        socket.send(json.dumps({"type": "react", "emoji": "🔥", "ref": "as text"}))
        while msgpack.unpackb(socket.recv(timeout=PATIENCE_S)).get("ref") != "as text":
            pass


def test_compression_is_agreed_on_in_both_directions(ovation, room):
    url = f"{ovation.http.replace('http://', 'ws://', 1)}/v1/rooms/{room}/feed"
    with connect(url, open_timeout=10) as socket:
        assert [extension.name for extension in socket.protocol.extensions] == ["permessage-deflate"]
        receive(socket)
        socket.send(json.dumps({"type": "react", "emoji": "🔥", "ref": "r" * 100}))
        receive_until(socket, lambda message: message["type"] == "ack" and message["ref"] == "r" * 100)
        receive_until(socket, counts(1))
    with connect(url, compression=None, open_timeout=10) as socket:
        assert socket.protocol.extensions == []
        assert receive(socket)["windows"]


def test_finals_alone_and_a_pace_of_its_own(tmp_path):
    topology, process = Topology(tmp_path), started(tmp_path)
    try:
        url = process.http.replace("http://", "ws://", 1)
        with (
            connect(f"{url}/v1/rooms/r/feed?emit=final&fields=total", open_timeout=10) as finals,
            connect(f"{url}/v1/rooms/r/feed?every=1s", open_timeout=10) as paced,
            connect(f"{url}/v1/rooms/r/feed", open_timeout=10) as every,
        ):
            until = time.monotonic() + 5
            while time.monotonic() < until:
                assert react(process, "r", {"emoji": "🔥"}).status_code == 200
            taps = httpx.get(f"{process.http}/v1/rooms/r", timeout=10).json()

            def all_final(socket):
                seen, total, times = [], 0, []
                while total < acknowledged:
                    seen.append(receive(socket))
                    times.append(time.monotonic())
                    if seen[-1]["type"] == "update" and seen[-1]["update"]["final"]:
                        total += seen[-1]["update"]["total"]
                return [message["update"] for message in seen if message["type"] == "update"]

            assert taps["type"] == "snapshot"
            events = stored(process.control, topology.events, topology.partitions)
            acknowledged = sum("emoji" in event for _, event in events)
            ours = all_final(finals)
            assert all(set(update) == {"epoch", "seq", "room", "window", "revision", "final", "total"} for update in ours)
            assert all(update["final"] for update in ours)
            slower, all_updates = all_final(paced), all_final(every)
            assert len(slower) < len(all_updates) / 2
            results = [{window_of(u): u["total"] for u in updates if u["final"]} for updates in (ours, slower, all_updates)]
            assert results[0] == results[1] == results[2]
    finally:
        process.end()


@pytest.mark.parametrize(
    "query",
    ["emit=some", "every=1", "every=10ms", "every=2h", "fields=counts,mood", "rooms=", "rooms=a,,b", "rooms=-"],
)
def test_a_choice_that_is_none_is_a_problem(ovation, query):
    where = "feed" if query.startswith("rooms") else "rooms/lobby/feed"
    for path in (where, where.replace("feed", "events")):
        url = f"{ovation.http}/v1/{path}?{query}"
        answer = httpx.get(url, timeout=10)
        assert answer.status_code in (400, 422), answer.text
        assert_problem(answer, answer.status_code, answer.json()["type"].rpartition(":")[2])
        assert answer.json()["type"] != "urn:ovation:problem:websocket-expected"


def test_the_rooms_have_to_be_said(ovation):
    assert_problem(httpx.get(f"{ovation.http}/v1/events", timeout=10), 400, "bad-request")
    with pytest.raises(InvalidStatus) as refused:
        connect(ovation.http.replace("http", "ws", 1) + "/v1/feed", open_timeout=10)
    assert refused.value.response.status_code == 400


MOVES = 200
RATE = 40


def test_a_client_that_is_moved_between_gateways_gets_each_final_once(tmp_path):
    """Two gateways on one broker, a client that changes between them at random, mostly in the middle of things."""
    topology, first = Topology(tmp_path), started(tmp_path)
    second = Process("gateway", "--topology", topology.file, "--cluster", first.control, "--http", FREE)
    try:
        second.wait_ready()
        gateways = [process.http.replace("http://", "ws://", 1) for process in (first, second)]
        finals, numbers, resumed = asyncio.run(wander(first.http, gateways))
        records = [record for _, record in stored(first.control, topology.aggregates, topology.partitions)]
        expected = [record for record in records if record["room"] == "wander" and record["final"]]
        assert resumed == MOVES
        assert [record["seq"] for record in finals] == [record["seq"] for record in expected]
        assert numbers == sorted(set(numbers)), "in order, each once"
        assert sum(record["total"] for record in finals) == expected[-1]["room_totals"]["reactions"]
    finally:
        second.end()
        first.end()


async def wander(http, gateways):
    """Follows a room over both gateways, moving at random; the finals, the numbers of all updates, and how often it resumed."""
    chance = random.Random(7)
    finals, numbers, cursor, resumed, sent = [], [], None, 0, 0
    stop = asyncio.Event()

    async def taps():
        nonlocal sent
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            while not stop.is_set():
                answer = await client.post(f"{http}/v1/rooms/wander/reactions", json={"emoji": "🔥"})
                assert answer.status_code == 200, answer.text
                sent += 1
                await asyncio.sleep(1 / RATE)

    def take(message):
        nonlocal cursor
        if message["type"] == "update":
            numbers.append(message["update"]["seq"])
            if message["update"]["final"]:
                finals.append(message["update"])
        else:
            assert message["type"] in ("snapshot", "skipped"), message
            assert cursor is None or message["type"] == "skipped", f"a snapshot after a cursor: {message}"
        cursor = message.get("cursor", cursor)

    tapping = asyncio.create_task(taps())
    while resumed < MOVES:
        after = f"?after={cursor}" if cursor else ""
        async with websockets.connect(f"{chance.choice(gateways)}/v1/rooms/wander/feed{after}") as socket:
            resumed += bool(cursor)
            for _ in range(chance.randrange(0, 6)):
                take(json.loads(await asyncio.wait_for(socket.recv(), PATIENCE_S)))
            if chance.random() < 0.3:
                # Without a word, and perhaps with updates on their way.
                socket.transport.abort()
    stop.set()
    await tapping
    async with websockets.connect(f"{gateways[1]}/v1/rooms/wander/feed?after={cursor}") as socket:
        while sum(record["total"] for record in finals) < sent:
            take(json.loads(await asyncio.wait_for(socket.recv(), PATIENCE_S)))
    return finals, numbers, resumed


def test_a_gateway_that_stops_sends_its_clients_elsewhere(tmp_path):
    process = started(tmp_path)
    try:
        url = process.http.replace("http://", "ws://", 1)
        with (
            connect(f"{url}/v1/rooms/r/feed", open_timeout=10) as socket,
            Events(f"{process.http}/v1/rooms/r/events") as events,
        ):
            receive(socket)
            assert events.next()["type"] == "snapshot"
            assert process.terminate() == 0
            with pytest.raises(websockets.exceptions.ConnectionClosed) as closed:
                socket.recv(timeout=PATIENCE_S)
            assert closed.value.rcvd.code == 1012
            assert events.next() is None, "it ends as a stream does"
            assert events.retry <= 3_000
    finally:
        process.end()
