"""Fair use: what is too much is told with the time to wait, and that time is true. Limits are by user, address and room."""

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
OFF = {"user": "off", "address": "off", "room": "off"}


@pytest.fixture
def gateway(tmp_path):
    """Starts a system with these limits, and none besides them."""
    started = []

    def start(*args, **limits):
        places = ["--http", FREE, "--broker", FREE, "--broker-spu", FREE, "--data", tmp_path / "data"]
        limits = [text for kind, rate in (OFF | limits).items() for text in (f"--limit-{kind}", rate)]
        process = processes.Process("run", "--topology", Topology(tmp_path).file, *places, *limits, *args)
        started.append(process)
        return process.wait_ready()

    yield start
    for process in started:
        process.end()


def react(gateway, room, user=None, headers=None):
    body = {"emoji": "🔥"} | ({"user": user} if user else {})
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
    limit = fields(answer.headers["ratelimit"])
    assert answer.json()["retry_after"] == seconds >= 1
    assert limit == {kind: {"r": 0, "t": seconds}}
    assert kind in fields(answer.headers["ratelimit-policy"])
    return seconds


def exhaust(send, most):
    """Sends until it is refused: the answers before, and the refusal."""
    taken = []
    for _ in range(most + 1):
        answer = send()
        if answer.status_code != 200:
            return taken, answer
        taken.append(answer)
    raise AssertionError(f"{most + 1} reactions were taken")


# One token in three seconds: few come back while the test runs, and waiting for one is short.
SLOW, BURST, REFILL_S = "20/m:5", 5, 3


@pytest.mark.parametrize("kind", ["user", "address", "room"])
def test_what_is_too_much_is_refused_and_waiting_as_told_lets_through(gateway, room, kind):
    gateway = gateway("--exempt", "none", **{kind: SLOW})
    user = "u1" if kind == "user" else None
    started = time.monotonic()
    taken, refused = exhaust(lambda: react(gateway, room, user), BURST + 5)
    refills = int((time.monotonic() - started) / REFILL_S) + 1
    assert BURST <= len(taken) <= BURST + refills
    assert fields(taken[0].headers["ratelimit"]) == {kind: {"r": BURST - 1, "t": REFILL_S}}
    assert fields(taken[0].headers["ratelimit-policy"]) == {kind: {"q": BURST, "w": BURST * REFILL_S}}
    seconds = assert_limited(refused, kind)
    assert seconds <= REFILL_S
    # Others are not touched: another user, or another room; an address is the same one for all here.
    another = {"user": lambda: react(gateway, room, "u2"), "room": lambda: react(gateway, f"{room}-b")}
    if kind in another:
        assert another[kind]().status_code == 200
    # The time that was told is the time that it takes, so here the test sleeps.
    time.sleep(seconds)
    assert react(gateway, room, user).status_code == 200
    assert_limited(react(gateway, room, user), kind)


def test_the_user_of_a_token_has_one_bucket_wherever_it_sends_from(gateway, tmp_path, room):
    (tmp_path / "keys").write_text(SECRET)
    proxies = ["--trusted-proxies", "127.0.0.1/32"]
    gateway = gateway("--keys", tmp_path / "keys", *proxies, user=SLOW)
    claims = {"exp": time.time() + 600, "rooms": ["*"], "allow": ["react"]}
    of = lambda sub: {"authorization": f"Bearer {jwt.encode(claims | {'sub': sub}, SECRET)}"}
    places = iter(range(1, 200))
    send = lambda: react(gateway, room, headers=of("u1") | {"x-forwarded-for": f"192.0.2.{next(places)}"})
    _, refused = exhaust(send, BURST + 5)
    assert_limited(refused, "user")
    assert react(gateway, room, headers=of("u2")).status_code == 200


def test_a_batch_is_judged_item_by_item(gateway, room):
    gateway = gateway(user=SLOW)
    own = [{"room": room, "emoji": "🔥", "user": "u1"}] * (BURST + 3)
    post = lambda items: httpx.post(f"{gateway.http}/v1/reactions", json=items, timeout=PATIENCE_S)
    answer = post([{"room": room, "emoji": "👏", "user": "u2"}, *own, {"room": room, "emoji": "👏"}])
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["accepted"], len(body["rejected"])) == (BURST + 2, 3)
    assert [item["index"] for item in body["rejected"]] == [BURST + 1, BURST + 2, BURST + 3]
    for item in body["rejected"]:
        assert (item["status"], item["type"]) == (429, LIMITED) and 1 <= item["retry_after"] <= REFILL_S
    # Where nothing was taken the whole answer says so, and still tells of each.
    nothing = post(own[:2])
    assert_limited(nothing, "user")
    assert [item["index"] for item in nothing.json()["rejected"]] == [0, 1]


def test_a_feed_is_told_how_long_to_wait(gateway, room):
    gateway = gateway(room=SLOW)
    url = gateway.http.replace("http://", "ws://", 1)
    with connect(f"{url}/v1/rooms/{room}/feed", open_timeout=PATIENCE_S) as socket:

        def send():
            reference = secrets.token_hex(4)
            socket.send(json.dumps({"type": "react", "emoji": "🔥", "ref": reference}))
            while (message := json.loads(socket.recv(timeout=PATIENCE_S))).get("ref") != reference:
                pass
            return message

        outcomes = [send() for _ in range(BURST + 3)]
        problems = [message["problem"] for message in outcomes if message["type"] == "error"]
        assert problems, outcomes
        assert {(problem["type"], problem["status"]) for problem in problems} == {(LIMITED, 429)}
        seconds = problems[-1]["retry_after"]
        assert 1 <= seconds <= REFILL_S
        time.sleep(seconds)
        assert send()["type"] == "ack"


def forwarded(gateway, room, value):
    return react(gateway, room, headers={"x-forwarded-for": value})


def test_anybody_may_write_x_forwarded_for_and_nobody_believes_it(gateway, room):
    gateway = gateway("--exempt", "none", address=SLOW)
    places = iter(range(1, 200))
    _, refused = exhaust(lambda: forwarded(gateway, room, f"192.0.2.{next(places)}"), BURST + 5)
    assert_limited(refused, "address")


def test_a_listed_proxy_is_believed_and_what_the_client_wrote_before_it_is_not(gateway, room):
    gateway = gateway("--exempt", "none", "--trusted-proxies", "127.0.0.1/32", address=SLOW)
    # The last address that is no proxy is the client: what stands before it is the client's own invention.
    places = iter(range(1, 200))
    _, refused = exhaust(lambda: forwarded(gateway, room, f"203.0.113.{next(places)}, 192.0.2.1"), BURST + 5)
    assert_limited(refused, "address")
    assert forwarded(gateway, room, "192.0.2.2").status_code == 200
    assert forwarded(gateway, room, "192.0.2.1, 192.0.2.3, 127.0.0.1").status_code == 200
    # IPv6 counts by /64.
    _, refused = exhaust(lambda: forwarded(gateway, room, f"2001:db8::{next(places):x}"), BURST + 5)
    assert_limited(refused, "address")
    assert forwarded(gateway, room, "2001:db8:0:1::1").status_code == 200


def test_this_machine_is_exempt_unless_it_is_said(gateway, room):
    gateway = gateway(address=SLOW)
    answers = [react(gateway, room) for _ in range(3 * BURST)]
    assert {answer.status_code for answer in answers} == {200}
    assert not any("ratelimit" in answer.headers for answer in answers)
