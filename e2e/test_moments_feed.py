"""Moments on the way out: a live burst reaches everybody who follows its room, and is there for who comes later."""

import csv
import io
import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import msgpack
import pytest
from websockets.sync.client import connect

from test_feed import Events
from test_gateway import read_until
from topology import WINDOW_MS

PATIENCE_S = 60
USUAL = 10
BURST = 90


def react(ovation, room, count, emoji):
    body = {"emoji": emoji, "count": count, "user": f"user-{count}"}
    assert httpx.post(f"{ovation.http}/v1/rooms/{room}/reactions", json=body, timeout=10).status_code == 200


def next_window():
    time.sleep(WINDOW_MS / 1_000 - time.time() % (WINDOW_MS / 1_000) + 0.2)


def burst(ovation, room):
    """As many taps as ever, and then far more; over when the next final of the partition has come."""
    for _ in range(8):
        next_window()
        react(ovation, room, USUAL, "👏")
    next_window()
    react(ovation, room, BURST, "⚽")
    next_window()
    react(ovation, room, USUAL, "👏")


def is_over(room):
    return lambda message: message["type"] == "moment" and message["moment"]["room"] == room and message["moment"]["final"]


class Socket:
    """A WebSocket, in JSON or in MessagePack."""

    def __init__(self, ovation, path, packed=False):
        url = ovation.http.replace("http", "ws", 1) + path
        self._packed = packed
        self._connection = connect(url, subprotocols=["ovation.v1.msgpack"] if packed else None)
        self._socket = self._connection.__enter__()

    def next(self):
        message = self._socket.recv(PATIENCE_S)
        return msgpack.unpackb(message) if self._packed else json.loads(message)

    def until(self, wanted, patience):
        return read_until(self.next, wanted, patience)

    def close(self):
        self._connection.__exit__(None, None, None)


def moments(messages, room):
    found = [message["moment"] for message in messages if message["type"] == "moment"]
    return [moment for moment in found if moment["room"] == room]


@pytest.fixture(scope="module")
def told(ovation):
    """A room with a burst behind it, and what each of its clients was sent."""
    room = f"burst-{time.time_ns()}"
    sockets = {
        "room": Socket(ovation, f"/v1/rooms/{room}/feed"),
        "finals": Socket(ovation, f"/v1/rooms/{room}/feed?emit=final&fields=total"),
        "paced": Socket(ovation, f"/v1/rooms/{room}/feed?every=1s"),
        "packed": Socket(ovation, f"/v1/rooms/{room}/feed", packed=True),
        "all": Socket(ovation, "/v1/feed?rooms=*"),
    }
    with Events(f"{ovation.http}/v1/rooms/{room}/events", **{"accept-encoding": "gzip"}) as events:
        clients = sockets | {"events": events}
        with ThreadPoolExecutor(len(clients)) as pool:
            reading = {name: pool.submit(client.until, is_over(room), 2 * PATIENCE_S) for name, client in clients.items()}
            burst(ovation, room)
            seen = {name: future.result() for name, future in reading.items()}
    for socket in sockets.values():
        socket.close()
    return room, seen


def test_a_burst_reaches_everybody(told):
    room, seen = told
    first, *_, last = expected = moments(seen["room"], room)
    assert [moment["revision"] for moment in expected] == list(range(1, len(expected) + 1)), expected
    assert {moment["id"] for moment in expected} == {first["id"]}
    assert (last["total"], last["leading"], last["final"]) == (BURST, "⚽", True), last
    for name, messages in seen.items():
        assert moments(messages, room) == expected, name
        assert all(message["cursor"] for message in messages if message["type"] == "moment"), name


def test_updates_say_how_many_watch(told):
    room, seen = told
    updates = [message for message in seen["room"] if message["type"] == "update"]
    # Who follows all rooms watches none of them.
    assert updates and {message["watching"] for message in updates} == {5}


def test_who_comes_later_finds_the_moment(ovation, told):
    room, seen = told
    *_, last = moments(seen["room"], room)
    snapshot = httpx.get(f"{ovation.http}/v1/rooms/{room}", timeout=10).json()
    assert snapshot["moments"] == [last]
    assert (snapshot["open"], snapshot["emoji"]) == (True, None)
    answer = httpx.get(f"{ovation.http}/v1/rooms/{room}/moments", timeout=10).json()
    assert (answer["room"], answer["moments"], answer["next"]) == (room, [last], None)
    for query in [f"?from={last['start']}&to={last['end']}", f"?from={last['start'] - 1}&limit=1"]:
        assert httpx.get(f"{ovation.http}/v1/rooms/{room}/moments{query}", timeout=10).json()["moments"] == [last]
    nothing = httpx.get(f"{ovation.http}/v1/rooms/{room}/moments?from={last['start'] + 1}", timeout=10).json()
    assert nothing["moments"] == []
    text = httpx.get(f"{ovation.http}/v1/rooms/{room}/moments", headers={"accept": "text/csv"}, timeout=10)
    assert text.headers["content-disposition"] == f'attachment; filename="{room}-moments.csv"'
    [row] = csv.DictReader(io.StringIO(text.text))
    assert (row["id"], row["leading"], int(row["total"])) == (last["id"], "⚽", BURST)
    assert (float(row["lift"]), int(row["peak_users"])) == (last["lift"], last["peak"]["users"])


def test_who_comes_back_gets_the_moment_again(ovation, told):
    room, seen = told
    *_, last = moments(seen["room"], room)
    cursor = next(message["cursor"] for message in seen["room"] if message["type"] == "update")
    for path in [f"/v1/rooms/{room}/feed?after={cursor}", f"/v1/rooms/{room}/feed?emit=final&after={cursor}"]:
        socket = Socket(ovation, path)
        messages = socket.until(is_over(room), PATIENCE_S)
        assert moments(messages, room) == [last]
        assert all(message["type"] != "snapshot" for message in messages), messages
        socket.close()


def test_steps_have_the_mood_of_their_windows(ovation, told):
    room, _ = told
    windows = httpx.get(f"{ovation.http}/v1/rooms/{room}/history", timeout=30).json()["windows"]
    judged = [(window["total"], window["sentiment"]) for window in windows]
    [*steps] = httpx.get(f"{ovation.http}/v1/rooms/{room}/history?step=1d", timeout=30).json()["windows"]
    assert len(steps) in (1, 2), "the day may end meanwhile"
    taps = sum(mood["n"] for _, mood in judged)
    assert sum(step["sentiment"]["n"] for step in steps) == taps
    assert all(step["users"] is None for step in steps)
    if len(steps) == 1:
        score = sum(mood["score"] * mood["n"] for _, mood in judged if mood["score"] is not None)
        weight = sum(mood["n"] for _, mood in judged if mood["score"] is not None)
        mood = steps[0]["sentiment"]
        assert mood["score"] == pytest.approx(score / weight, abs=0.001)
        assert mood["coverage"] == pytest.approx(taps / sum(total for total, _ in judged), abs=0.001)
