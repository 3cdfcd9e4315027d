"""Fair use: what is too much is told with the time to wait, and that time is true. Limits are by user, address and room."""

import itertools
import json
import secrets
import time

import httpx
import jwt
import pytest
from websockets.sync.client import connect

import processes
from processes import FREE
from topology import Topology

PATIENCE_S = 30
SECRET = secrets.token_urlsafe(48)
LIMITED = "urn:ovation:problem:rate-limited"
# A token in three seconds: few come back while a test runs, and waiting for one is short.
REFILL_S = 3
BURSTS = {"user": 5, "address": 10, "room": 20}
LIMITS = [text for kind, burst in BURSTS.items() for text in (f"--limit-{kind}", f"20/m:{burst}")]
# No addresses of this machine's clients: they are in test networks, and each is used once.
ADDRESSES = map("198.18.{0[0]}.{0[1]}".format, itertools.product(range(256), range(1, 255)))


class Venue:
    """A broker, and gateways on it that count in different ways."""

    def __init__(self, folder):
        self.folder = folder
        self.topology = Topology(folder)
        (folder / "keys").write_text(SECRET)
        self.started = []
        places = ["--broker", FREE, "--broker-spu", FREE, "--data", folder / "data"]
        self.started.append(
            processes.Process("run", "--topology", self.topology.file, "--http", FREE, *places).wait_ready()
        )

    def gateway(self, *args):
        cluster = self.started[0].control
        where = ["--cluster", cluster, "--topology", self.topology.file, "--http", FREE]
        process = processes.Process("gateway", *where, *LIMITS, *args).wait_ready()
        self.started.append(process)
        deadline = time.monotonic() + PATIENCE_S
        while httpx.get(f"{process.http}/readyz", timeout=PATIENCE_S).status_code != 200:
            assert time.monotonic() < deadline, process.text
            time.sleep(0.05)
        return process

    def end(self):
        for process in reversed(self.started):
            process.end()


@pytest.fixture(scope="module")
def venue(tmp_path_factory):
    venue = Venue(tmp_path_factory.mktemp("venue"))
    yield venue
    venue.end()


@pytest.fixture(scope="module")
def gateway(venue):
    """Behind a proxy, which is the test."""
    return venue.gateway("--exempt", "none", "--trusted-proxies", "127.0.0.1/32")


def react(gateway, room, address=None, user=None, headers=None):
    body = {"emoji": "🔥"} | ({"user": user} if user else {})
    headers = (headers or {}) | ({"x-forwarded-for": address} if address else {})
    url = f"{gateway.http}/v1/rooms/{room}/reactions"
    return httpx.post(url, json=body, headers=headers, timeout=PATIENCE_S)


def fields(value):
    """`"user";r=42;t=3, …` as {name: {key: number}}."""
    items = [item.strip().split(";") for item in value.split(",")]
    return {name.strip('"'): {key: int(number) for key, number in (p.split("=") for p in rest)} for name, *rest in items}


def assert_limited(answer, kind):
    """A refusal that says everything; returns how long to wait."""
    assert (answer.status_code, answer.json()["type"]) == (429, LIMITED), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    seconds = int(answer.headers["retry-after"])
    assert answer.json()["retry_after"] == seconds
    assert 1 <= seconds <= REFILL_S
    assert fields(answer.headers["ratelimit"]) == {kind: {"r": 0, "t": seconds}}
    assert fields(answer.headers["ratelimit-policy"])[kind] == {"q": BURSTS[kind], "w": BURSTS[kind] * REFILL_S}
    return seconds


def exhaust(send, kind):
    """Sends until it is refused: the answers before that."""
    begin = time.monotonic()
    taken = []
    while (answer := send()).status_code == 200:
        taken.append(answer)
        assert len(taken) <= 2 * BURSTS[kind], "not refused"
    assert_limited(answer, kind)
    came_back = int((time.monotonic() - begin) / REFILL_S) + 1
    assert BURSTS[kind] <= len(taken) <= BURSTS[kind] + came_back
    return taken


def test_a_user_is_limited_and_waiting_as_told_lets_through(gateway, room):
    address = next(ADDRESSES)
    send = lambda: react(gateway, room, address, "u1")
    first, *_ = exhaust(send, "user")
    assert fields(first.headers["ratelimit"]) == {"user": {"r": BURSTS["user"] - 1, "t": REFILL_S}}
    policy = {kind: {"q": burst, "w": burst * REFILL_S} for kind, burst in BURSTS.items()}
    assert fields(first.headers["ratelimit-policy"]) == policy
    assert react(gateway, room, address, "u2").status_code == 200, "another user is not touched"
    # Anybody can write a name: elsewhere it is somebody else.
    assert react(gateway, room, next(ADDRESSES), "u1").status_code == 200
    # The time that is told is the time that it takes, so here a test sleeps.
    time.sleep(assert_limited(send(), "user"))
    assert send().status_code == 200
    assert_limited(send(), "user")


def test_an_address_is_limited_and_waiting_as_told_lets_through(gateway, room):
    address = next(ADDRESSES)
    send = lambda: react(gateway, room, address)
    first, *_ = exhaust(send, "address")
    assert fields(first.headers["ratelimit"]) == {"address": {"r": BURSTS["address"] - 1, "t": REFILL_S}}
    assert react(gateway, room, next(ADDRESSES)).status_code == 200
    time.sleep(assert_limited(send(), "address"))
    assert send().status_code == 200


def test_a_room_is_limited_and_waiting_as_told_lets_through(gateway, room):
    send = lambda: react(gateway, room, next(ADDRESSES))
    exhaust(send, "room")
    assert react(gateway, f"{room}-b", next(ADDRESSES)).status_code == 200
    time.sleep(assert_limited(send(), "room"))
    assert send().status_code == 200


def test_the_user_of_a_token_has_one_bucket_wherever_it_sends_from(venue, room):
    gateway = venue.gateway("--keys", venue.folder / "keys", "--trusted-proxies", "127.0.0.1/32")
    claims = {"exp": time.time() + 600, "rooms": ["*"], "allow": ["react"]}
    of = lambda sub: {"authorization": f"Bearer {jwt.encode(claims | {'sub': sub}, SECRET)}"}
    exhaust(lambda: react(gateway, room, next(ADDRESSES), headers=of("u1")), "user")
    assert react(gateway, room, next(ADDRESSES), headers=of("u2")).status_code == 200


def test_a_batch_is_judged_item_by_item(gateway, room):
    most = BURSTS["user"]
    items = [{"room": room, "emoji": "🔥", "user": "u1"}] * (most + 3)
    items = [{"room": room, "emoji": "👏", "user": "u2"}, *items, {"room": room, "emoji": "👏"}]
    headers = {"x-forwarded-for": next(ADDRESSES)}
    post = lambda items: httpx.post(f"{gateway.http}/v1/reactions", json=items, headers=headers, timeout=PATIENCE_S)
    answer = post(items)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["accepted"], [item["index"] for item in body["rejected"]]) == (most + 2, [most + 1, most + 2, most + 3])
    for item in body["rejected"]:
        assert (item["status"], item["type"]) == (429, LIMITED) and 1 <= item["retry_after"] <= REFILL_S
    # Where nothing was taken the whole answer says so, and still tells of each.
    nothing = post(items[1:3])
    assert_limited(nothing, "user")
    assert [item["index"] for item in nothing.json()["rejected"]] == [0, 1]


def test_a_feed_is_told_how_long_to_wait(gateway, room):
    url = gateway.http.replace("http://", "ws://", 1)
    headers = {"x-forwarded-for": next(ADDRESSES)}
    with connect(f"{url}/v1/rooms/{room}/feed", additional_headers=headers, open_timeout=PATIENCE_S) as socket:

        def send():
            reference = secrets.token_hex(4)
            socket.send(json.dumps({"type": "react", "emoji": "🔥", "user": "u1", "ref": reference}))
            while (message := json.loads(socket.recv(timeout=PATIENCE_S))).get("ref") != reference:
                pass
            return message

        messages = [send() for _ in range(BURSTS["user"] + 3)]
        assert [message["type"] for message in messages[: BURSTS["user"]]] == ["ack"] * BURSTS["user"]
        problem = messages[-1]["problem"]
        assert (problem["type"], problem["status"]) == (LIMITED, 429)
        assert 1 <= problem["retry_after"] <= REFILL_S
        time.sleep(problem["retry_after"])
        assert send()["type"] == "ack"


def test_of_what_a_listed_proxy_says_the_last_address_counts(gateway, room):
    # What stands before it was written by the client.
    client = next(ADDRESSES)
    exhaust(lambda: react(gateway, room, f"{next(ADDRESSES)}, {client}"), "address")
    assert_limited(react(gateway, room, f"{client}, 127.0.0.1"), "address")
    assert react(gateway, room, f"{client}, {next(ADDRESSES)}").status_code == 200


def test_ipv6_counts_by_the_network_of_a_customer(gateway, room):
    network = f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}"
    places = itertools.count(1)
    exhaust(lambda: react(gateway, room, f"{network}::{next(places):x}"), "address")
    assert react(gateway, room, f"2001:db9:{network[9:]}::1").status_code == 200


def test_anybody_else_may_write_x_forwarded_for_and_is_not_believed(venue, room):
    gateway = venue.gateway("--exempt", "none")
    exhaust(lambda: react(gateway, room, next(ADDRESSES)), "address")


def test_this_machine_is_exempt_unless_it_is_said(venue, room):
    gateway = venue.gateway()
    most = BURSTS["address"] + 5
    assert {react(gateway, room).status_code for _ in range(most)} == {200}
    assert "address" not in fields(react(gateway, f"{room}-b").headers["ratelimit-policy"])
