"""The way in: batches, encodings, retries, beacons, limits. What is answered is what the windows say afterwards."""

import concurrent.futures
import gzip
import json
import os
import secrets
import threading
import time

import brotli
import httpx
import pytest
import zstandard
from websockets.sync.client import connect

import processes
from processes import FREE
from readers import stored, wait_finals
from topology import Topology, started

# A broker that is away for half a minute is what people see; CI has less patience.
OUTAGE_S = float(os.environ.get("OVATION_OUTAGE_S", "4"))


def react(ovation, room, body, **headers):
    url = f"{ovation.http}/v1/rooms/{room}/reactions"
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(url, content=json.dumps(body), headers={"content-type": "application/json"} | headers, timeout=20)


def react_many(ovation, body, kind="application/json", **headers):
    content = body if isinstance(body, bytes) else body.encode()
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(f"{ovation.http}/v1/reactions", content=content, headers={"content-type": kind} | headers, timeout=20)


def counted(ovation, expected):
    """The finals of these rooms, once they hold as much as is expected."""
    return wait_finals(ovation.control, ovation.topology, list(expected), expected)


def test_a_batch_counts_what_is_good_and_tells_what_is_not(ovation, room):
    other = f"{room}-b"
    items = [
        {"room": room, "emoji": "🔥", "count": 3},
        {"room": room, "emoji": "fire"},
        {"room": other, "emoji": "❤", "user": "u1"},
        {"room": room, "emoji": "🔥", "count": 2**63},
        7,
        {"room": "no room", "emoji": "🔥"},
        {"room": room, "emoji": "👏", "x": [1, 2, {"y": None}]},
    ]
    answer = react_many(ovation, json.dumps(items))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["accepted"], body["duplicates"]) == (3, 0)
    told = [(item["index"], item["type"].rpartition(":")[2], item["status"]) for item in body["rejected"]]
    assert told == [(1, "unknown-emoji", 422), (3, "bad-count", 422), (4, "malformed", 422), (5, "bad-room", 422)]
    lines = b'{"room":"%s","emoji":"\xf0\x9f\x94\xa5"}\n\xff\xfe\n{"room":\n' % room.encode()
    body = react_many(ovation, lines, "application/x-ndjson").json()
    assert body["accepted"] == 1
    assert [item["type"].rpartition(":")[2] for item in body["rejected"]] == ["malformed-json", "malformed-json"]
    assert counted(ovation, {room: {"🔥": 4, "👏": 1}, other: {"❤️": 1}}) == {room: {"🔥": 4, "👏": 1}, other: {"❤️": 1}}


@pytest.mark.parametrize(
    "encoding, pack",
    [("gzip", gzip.compress), ("zstd", zstandard.ZstdCompressor().compress), ("br", brotli.compress)],
)
def test_bodies_come_compressed(ovation, room, encoding, pack):
    items = json.dumps([{"room": room, "emoji": "🔥"}] * 500).encode()
    assert react_many(ovation, pack(items), content_encoding=encoding).json()["accepted"] == 500
    assert counted(ovation, {room: {"🔥": 500}}) == {room: {"🔥": 500}}


def test_retries_are_safe_and_told(ovation, room):
    first = react(ovation, room, {"emoji": "🔥", "count": 2, "id": "a"}).json()
    again = react(ovation, room, {"emoji": "🔥", "count": 2, "id": "a"}).json()
    assert "duplicate" not in first
    assert again == first | {"duplicate": True}
    keyed = react(ovation, room, {"emoji": "👏"}, idempotency_key='"k-1"').json()
    assert keyed["id"] == "k-1"
    assert react(ovation, room, {"emoji": "👏"}, idempotency_key="k-1").json()["duplicate"]
    refused = react(ovation, room, {"emoji": "👏", "id": "k-2"}, idempotency_key="k-1")
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:ovation:problem:bad-id")
    batch = json.dumps([{"room": room, "emoji": "❤️"}, {"room": room, "emoji": "❤️"}])
    assert react_many(ovation, batch, idempotency_key="b").json()["accepted"] == 2
    assert react_many(ovation, batch, idempotency_key="b").json() == {"accepted": 0, "duplicates": 2, "rejected": []}
    expected = {room: {"🔥": 2, "👏": 1, "❤️": 2}}
    assert counted(ovation, expected) == expected


def test_a_retry_at_another_gateway_counts_once_too(ovation, room):
    """A second gateway knows nothing of the first one's ids: the windows do."""
    gateway = processes.Process(
        "gateway", "--http", FREE, "--cluster", ovation.control, "--topology", ovation.topology.file
    ).wait_ready()
    try:
        assert react(ovation, room, {"emoji": "🔥", "id": "a"}).status_code == 200
        again = react(gateway, room, {"emoji": "🔥", "id": "a"})
        assert again.status_code == 200 and "duplicate" not in again.json()
        assert react(gateway, room, {"emoji": "👏"}).status_code == 200
        assert counted(ovation, {room: {"🔥": 1, "👏": 1}}) == {room: {"🔥": 1, "👏": 1}}
    finally:
        gateway.end()


def test_a_beacon_needs_no_preflight(ovation, room):
    beacon = react_many(ovation, json.dumps([{"room": room, "emoji": "🔥"}]), "text/plain;charset=UTF-8")
    assert beacon.json()["accepted"] == 1
    one = httpx.post(
        f"{ovation.http}/v1/rooms/{room}/reactions",
        content='{"emoji":"🔥"}'.encode(),
        headers={"content-type": "text/plain;charset=UTF-8"},
    )
    assert one.status_code == 200
    assert counted(ovation, {room: {"🔥": 2}}) == {room: {"🔥": 2}}


def test_what_is_absurd_costs_nothing(ovation, room):
    def told(response):
        assert response.headers["content-type"] == "application/problem+json", response.text
        return response.status_code, response.json()["type"].rpartition(":")[2]

    assert told(react(ovation, room, {"emoji": "🔥" * 2_500_000})) == (413, "too-large")
    assert told(react(ovation, room, {"emoji": "🔥", "ts": 0})) == (422, "past")
    assert told(react(ovation, room, {"emoji": "🔥", "ts": 253402300799999})) == (422, "future")
    assert told(react(ovation, room, {"emoji": "🔥", "ts": 253402300800000})) == (422, "bad-time")
    assert told(react_many(ovation, b"[" * 200_000)) == (400, "malformed-json")
    deep = react(ovation, room, {"emoji": "🔥", "x": json.loads("[" * 50 + "]" * 50)})
    assert told(deep) == (400, "too-deep")
    lone = httpx.post(
        f"{ovation.http}/v1/rooms/{room}/reactions",
        content=b'{"emoji":"\\ud83d"}',
        headers={"content-type": "application/json"},
    )
    assert told(lone) == (400, "malformed-json")
    assert httpx.get(f"{ovation.http}/healthz").status_code == 200


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "br"])
def test_a_bomb_is_413_with_flat_memory(own_embedded, encoding):
    """A gigabyte of spaces in as few bytes as the encoding can: read no further than the limit, whoever sends how many."""
    plain = b" " * (1 << 30)
    if encoding == "gzip":
        bomb = gzip.compress(plain[: 200 << 20], 9)
    elif encoding == "zstd":
        bomb = zstandard.ZstdCompressor(level=3).compress(plain)
    else:
        bomb = brotli.compress(plain, quality=5)
    assert len(bomb) < 256 * 1024
    del plain
    react_many(own_embedded, bomb, content_encoding=encoding)
    before = own_embedded.process.resident_kb
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: react_many(own_embedded, bomb, content_encoding=encoding), range(64)))
    assert {answer.status_code for answer in answers} == {413}
    assert "after decompression" in answers[0].json()["detail"]
    assert own_embedded.process.resident_kb - before < 64 * 1024


def test_taps_combine_into_fewer_records(tmp_path, room):
    topology = Topology(tmp_path)
    system = started(tmp_path, "--ingest-combine", "50ms")
    try:
        def tap(number):
            body = {"emoji": "🔥"} if number % 10 else {"emoji": "🔥", "id": f"own-{number}"}
            answer = react(system, room, body)
            assert answer.status_code == 200, answer.text
            return answer.json()

        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            answers = list(pool.map(tap, range(400)))
        assert wait_finals(system.control, topology, [room], {room: {"🔥": 400}}) == {room: {"🔥": 400}}
        events = [value for _, value in stored(system.control, topology.events, topology.partitions) if "room" in value]
        assert sum(event["count"] for event in events) == 400
        # Each with an id of its own stays a record of its own; of the others many share one.
        own = [event for event in events if event["id"].startswith("own-")]
        assert [event["count"] for event in own] == [1] * 40
        assert len(events) - len(own) < 180
        assert {answer["id"] for answer in answers} == {event["id"] for event in events}
    finally:
        system.end()


def test_a_broker_that_is_away_costs_no_acknowledged_reaction(tmp_path, room):
    """Stopped under load and started again: every 200 is in the windows once, whatever was retried, and memory stays flat."""
    topology = Topology(tmp_path)
    broker = processes.broker(tmp_path / "data")
    control, spu = broker.control, broker.spu
    system = processes.Process("run", "--topology", topology.file, "--http", FREE, "--cluster", control).wait_ready()
    over = threading.Event()
    sent, acknowledged, refused, slow = set(), set(), [], []

    def keep_reacting(worker):
        with httpx.Client(base_url=system.http, timeout=20) as client:
            number = 0
            while not over.is_set():
                name = f"{worker}-{number}"
                number += 1
                # Retried under its id until it is acknowledged, as a client would.
                while True:
                    sent.add(name)
                    started = time.monotonic()
                    answer = client.post(f"/v1/rooms/{room}/reactions", json={"emoji": "🔥", "id": name})
                    slow.append(time.monotonic() - started)
                    if answer.status_code == 200:
                        acknowledged.add(name)
                        break
                    assert answer.status_code == 503, answer.text
                    refused.append(int(answer.headers["retry-after"]))
                    if over.wait(0.05):
                        return

    workers = [threading.Thread(target=keep_reacting, args=(worker,)) for worker in range(8)]
    try:
        for worker in workers:
            worker.start()
        deadline = time.monotonic() + 30
        while len(acknowledged) < 200 and time.monotonic() < deadline:
            time.sleep(0.05)
        before = system.resident_kb
        broker.kill()
        time.sleep(OUTAGE_S)
        during = system.resident_kb
        broker = processes.broker(tmp_path / "data", control, spu)
        resumed = len(acknowledged)
        deadline = time.monotonic() + 60
        while len(acknowledged) < resumed + 200 and time.monotonic() < deadline:
            time.sleep(0.05)
        over.set()
        for worker in workers:
            worker.join(30)
        assert len(acknowledged) >= resumed + 200, "ingestion resumes by itself"
        assert refused and min(refused) >= 1
        assert max(slow) < 12, "answered within the gateway's own deadline"
        assert during - before < 64 * 1024
        found = wait_finals(control, topology, [room], {room: {"🔥": len(acknowledged)}})
        # What was given up at the end may be stored; what was acknowledged is there, and nothing twice.
        assert len(acknowledged) <= found[room]["🔥"] <= len(sent)
        assert len(sent) - len(acknowledged) <= len(workers)
    finally:
        over.set()
        system.end()
        broker.end()


def test_requests_are_counted_and_logged(tmp_path, room):
    system = started(tmp_path, "--log", "warn,ovation_gateway=debug", "--log-format", "json")
    try:
        assert react(system, room, {"emoji": "🔥"}, x_request_id="edge-7").headers["x-request-id"] == "edge-7"
        assert react(system, room, {"emoji": "x"}).status_code == 422
        numbers = httpx.get(f"{system.http}/metrics").text
        route = 'route="/v1/rooms/{room}/reactions",method="POST"'
        assert f'ovation_http_requests_total{{{route},status="200"}} 1' in numbers
        assert f'ovation_http_requests_total{{{route},status="422"}} 1' in numbers
        assert 'ovation_reactions_total{way="one",outcome="accepted"} 1' in numbers
        assert "ovation_taps_total 1" in numbers
        assert room not in numbers, "labels are bounded"
    finally:
        system.end()
    lines = [json.loads(line) for line in system.lines if line.startswith("{")]
    requests = [line for line in lines if line.get("request_id") == "edge-7"]
    assert [(line["status"], line["route"], line["level"]) for line in requests] == [
        (200, "/v1/rooms/{room}/reactions", "DEBUG")
    ]


def test_a_message_on_the_feed_is_retried_safely(ovation, room):
    url = ovation.http.replace("http://", "ws://", 1)
    name = secrets.token_hex(4)
    with connect(f"{url}/v1/rooms/{room}/feed", open_timeout=10) as socket:
        acks = []
        for reference in ["one", "two"]:
            socket.send(json.dumps({"type": "react", "emoji": "🔥", "id": name, "ref": reference}))
            while True:
                message = json.loads(socket.recv(timeout=20))
                if message["type"] == "ack":
                    acks.append(message)
                    break
    assert acks == [
        {"type": "ack", "ref": "one", "id": name},
        {"type": "ack", "ref": "two", "id": name, "duplicate": True},
    ]
