"""The gateway from outside: what each request is answered, and that a reaction comes back on every way out."""

from __future__ import annotations

import json
import time
import uuid

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

# A window is emitted every 100 ms and final after its 10 s and the grace; a busy machine may take a while.
PATIENCE_S = 30


def react(ovation, room, body, **options):
    options.setdefault("timeout", 10)
    if isinstance(body, (str, bytes)):
        data = body.encode() if isinstance(body, str) else body
        options.setdefault("headers", {"content-type": "application/json"})
        return httpx.post(f"{ovation.http}/v1/rooms/{room}/reactions", content=data, **options)
    return httpx.post(f"{ovation.http}/v1/rooms/{room}/reactions", json=body, **options)


def feed(ovation, room, query=""):
    url = ovation.http.replace("http://", "ws://", 1)
    return connect(f"{url}/v1/rooms/{room}/feed{query}", open_timeout=10, max_size=2**22)


def receive(socket):
    return json.loads(socket.recv(timeout=PATIENCE_S))


def read_until(read, wanted, patience=PATIENCE_S):
    """The messages that `read` brings, up to the first for which `wanted` holds."""
    deadline = time.monotonic() + patience
    seen = []
    while time.monotonic() < deadline:
        seen.append(read())
        if wanted(seen[-1]):
            return seen
    raise AssertionError(f"did not come: {seen[-3:]}")


def receive_until(socket, wanted):
    return read_until(lambda: receive(socket), wanted)


def window_of(record):
    window = record["window"]
    return window["name"], window["start"], window["end"]


def counts_of(records):
    """Taps by emoji over windows, each window by its highest revision."""
    latest = {}
    for record in records:
        known = latest.get(window_of(record))
        if known is None or record["revision"] >= known["revision"]:
            latest[window_of(record)] = record
    counts = {}
    for record in latest.values():
        for emoji, count in record["counts"].items():
            counts[emoji] = counts.get(emoji, 0) + count
    return counts


def snapshot(ovation, room):
    answer = httpx.get(f"{ovation.http}/v1/rooms/{room}", timeout=10)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def assert_problem(answer, status, name):
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (status, f"urn:ovation:problem:{name}"), problem
    assert problem["status"] == status
    assert problem["title"]
    return problem


def test_reaction_comes_back_on_the_feed_and_in_the_snapshot(ovation, room):
    with feed(ovation, room) as socket:
        first = receive(socket)
        assert first["type"] == "snapshot"
        assert first["room"] == room
        assert first["windows"] == []
        assert first["watching"] == 1
        assert first["room_totals"]["reactions"] == 0

        answer = react(ovation, room, {"emoji": "🔥", "count": 3, "user": "u1"})
        assert answer.status_code == 200, answer.text
        stored = answer.json()
        assert uuid.UUID(stored["id"]).version == 7
        assert stored["offset"] >= 0 and stored["partition"] >= 0

        update = receive_until(socket, lambda message: message["type"] == "update")[-1]
        record = update["update"]
        assert record["room"] == room
        assert record["counts"] == {"🔥": 3}
        assert record["total"] == 3
        assert record["source"]["partition"] == stored["partition"]
        assert update["cursor"]

        seen = snapshot(ovation, room)
        assert counts_of(seen["windows"]) == {"🔥": 3}
        assert seen["room_totals"]["reactions"] == 3


def test_finals_add_up_to_what_was_acknowledged(ovation, room):
    sent = {"🔥": 0, "❤️": 0, "👏": 0}
    with feed(ovation, room) as socket, httpx.Client() as session:
        receive(socket)
        for number in range(60):
            emoji = list(sent)[number % len(sent)]
            count = 1 + number % 4
            answer = session.post(
                f"{ovation.http}/v1/rooms/{room}/reactions", json={"emoji": emoji, "count": count}, timeout=10
            )
            assert answer.status_code == 200, answer.text
            sent[emoji] += count
        finals = []
        while counts_of(finals) != sent:
            message = receive_until(socket, lambda message: message["type"] == "update" and message["update"]["final"])
            finals.append(message[-1]["update"])
        assert len({window_of(record) for record in finals}) == len(finals), "each final once"
        assert finals[-1]["room_totals"]["reactions"] == sum(sent.values())


def test_reaction_by_websocket_is_acknowledged_by_its_ref(ovation, room):
    with feed(ovation, room) as socket:
        receive(socket)
        socket.send(json.dumps({"type": "react", "emoji": "🎉", "count": 2, "ref": "r1", "id": "mine", "user": "u2"}))
        socket.send(json.dumps({"type": "react", "emoji": "nothing", "ref": "r2"}))
        answers = {}

        def both_answered(message):
            if message["type"] in ("ack", "error"):
                answers[message["ref"]] = message
            return len(answers) == 2

        receive_until(socket, both_answered)
        assert answers["r1"] == {"type": "ack", "ref": "r1", "id": "mine"}
        assert answers["r2"]["problem"]["type"] == "urn:ovation:problem:unknown-emoji"
        assert answers["r2"]["problem"]["status"] == 422
        receive_until(socket, lambda message: message["type"] == "update" and message["update"]["counts"] == {"🎉": 2})


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("{", "malformed-json"),
        ("[]", "malformed"),
        (json.dumps({"type": "dance"}), "unknown-message"),
        (json.dumps({"type": "react", "emoji": "🔥", "count": 0}), "bad-count"),
        (json.dumps({"type": "react", "emoji": "🔥", "ref": "x" * 200}), "ref-too-long"),
        (b"\x00\x01", "bad-request"),
    ],
)
def test_bad_message_is_an_error_and_the_feed_goes_on(ovation, room, message, name):
    with feed(ovation, room) as socket:
        receive(socket)
        socket.send(message)
        error = receive(socket)
        assert error["type"] == "error"
        assert error["problem"]["type"] == f"urn:ovation:problem:{name}"
        socket.send(json.dumps({"type": "react", "emoji": "👍", "ref": "after"}))
        receive_until(socket, lambda message: message["type"] == "ack" and message["ref"] == "after")


def test_message_over_the_limit_closes_the_feed_with_1009(ovation, room):
    with feed(ovation, room) as socket:
        receive(socket)
        socket.send(json.dumps({"type": "react", "emoji": "🔥" * 10_000}))
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                receive(socket)
        assert closed.value.rcvd.code == 1009


def test_feed_resumes_after_its_cursor_without_gap_or_repeat(ovation, room):
    with feed(ovation, room) as socket:
        receive(socket)
        assert react(ovation, room, {"emoji": "😂"}).status_code == 200
        cursor = receive_until(socket, lambda message: message["type"] == "update")[-1]["cursor"]
    assert react(ovation, room, {"emoji": "😮"}).status_code == 200
    deadline = time.monotonic() + PATIENCE_S
    while counts_of(snapshot(ovation, room)["windows"]) != {"😂": 1, "😮": 1}:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with feed(ovation, room, f"?after={cursor}") as socket:
        messages = receive_until(
            socket, lambda message: message["type"] == "update" and message["update"]["counts"].get("😮") == 1
        )
        assert [message["type"] for message in messages] == ["update"] * len(messages)
        numbers = [message["update"]["seq"] for message in messages]
        assert numbers == sorted(set(numbers))


def test_cursor_of_a_stranger_gets_a_snapshot(ovation, room):
    with feed(ovation, room, "?after=never-heard-of") as socket:
        assert receive(socket)["type"] == "snapshot"


def test_watching_counts_the_clients_of_the_room(ovation, room):
    with feed(ovation, room) as one, feed(ovation, room) as other:
        receive(one)
        receive(other)
        assert snapshot(ovation, room)["watching"] == 2
    deadline = time.monotonic() + PATIENCE_S
    while snapshot(ovation, room)["watching"] != 0:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_rooms_lists_the_active_room(ovation, room):
    assert react(ovation, room, {"emoji": "🔥"}).status_code == 200
    deadline = time.monotonic() + PATIENCE_S
    while True:
        rooms = httpx.get(f"{ovation.http}/v1/rooms", timeout=10).json()["rooms"]
        found = [listed for listed in rooms if listed["room"] == room]
        if found:
            assert found[0]["room_totals"]["reactions"] == 1
            return
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_both_spellings_of_an_emoji_are_one(ovation, room):
    assert react(ovation, room, {"emoji": "❤"}).status_code == 200
    assert react(ovation, room, {"emoji": "❤️"}).status_code == 200
    deadline = time.monotonic() + PATIENCE_S
    while counts_of(snapshot(ovation, room)["windows"]) != {"❤️": 2}:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("body", "status", "name"),
    [
        ("{", 400, "malformed-json"),
        ("", 400, "malformed-json"),
        (b'{"emoji":"\xff"}', 400, "malformed-json"),
        (r'{"emoji":"\ud83d"}', 400, "malformed-json"),
        ("[]", 422, "malformed"),
        ({}, 422, "malformed"),
        ({"emoji": "fire"}, 422, "unknown-emoji"),
        ({"emoji": "🔥🔥"}, 422, "unknown-emoji"),
        ({"emoji": "🏽"}, 422, "unknown-emoji"),
        ({"emoji": "🔥", "count": 0}, 422, "bad-count"),
        ({"emoji": "🔥", "count": 101}, 422, "bad-count"),
        ({"emoji": "🔥", "count": 2**63}, 422, "bad-count"),
        ({"emoji": "🔥", "id": ""}, 422, "bad-id"),
        ({"emoji": "🔥", "user": "u" * 65}, 422, "bad-user"),
        ({"emoji": "🔥", "ts": 0}, 422, "past"),
        ({"emoji": "🔥", "ts": 253402300799999}, 422, "future"),
        ({"emoji": "🔥", "ts": "now"}, 422, "malformed"),
        ({"emoji": "🔥" * 5_000}, 413, "too-large"),
        ("x" * 20_000, 413, "too-large"),
    ],
)
def test_bad_reaction_is_refused_with_a_stable_type(ovation, room, body, status, name):
    assert_problem(react(ovation, room, body), status, name)


def test_who_sends_too_much_is_told_that_the_connection_ends(ovation, room):
    # Its body is not read, so that nothing else can come over that connection: a client must know before it sends more.
    with httpx.Client(timeout=10) as client:
        for _ in range(20):
            answer = client.post(f"{ovation.http}/v1/rooms/{room}/reactions", json={"emoji": "🔥" * 50_000})
            assert (answer.status_code, answer.headers.get("connection")) == (413, "close")
            good = client.post(f"{ovation.http}/v1/rooms/{room}/reactions", json={"emoji": "🔥"})
            assert good.status_code == 200 and "connection" not in good.headers, good.text


def test_bad_request_is_a_problem_everywhere(ovation, room):
    url = f"{ovation.http}/v1/rooms"
    text = {"headers": {"content-type": "text/html"}}
    assert_problem(react(ovation, room, '{"emoji":"🔥"}', **text), 415, "unsupported-media-type")
    assert_problem(react(ovation, "-", {"emoji": "🔥"}), 422, "bad-room")
    assert_problem(react(ovation, "r" * 65, {"emoji": "🔥"}), 422, "bad-room")
    assert_problem(httpx.get(f"{ovation.http}/nothing", timeout=10), 404, "not-found")
    answer = httpx.put(f"{url}/{room}/reactions", timeout=10)
    assert_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "POST"
    assert_problem(httpx.get(f"{url}/{room}/feed", timeout=10), 400, "websocket-expected")


def test_every_part_is_ready(ovation):
    assert httpx.get(f"{ovation.http}/healthz", timeout=10).json() == {"status": "ok"}
    answer = httpx.get(f"{ovation.http}/readyz", timeout=10)
    assert answer.status_code == 200, answer.text
    ready = answer.json()
    assert ready["ready"] is True
    assert {"producer", "hub"} <= {part["name"] for part in ready["parts"]}
