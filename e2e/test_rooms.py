"""What rooms take: admin calls with real tokens, heard by two gateways on one broker; rules from a file; an address for operators."""

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

RULES = """
[[room]]
match = "listed-*"
emoji = ["🔥", "❤️"]

[[room]]
match = "closed-*"
open = false
"""


def token(*allow, rooms=("*",), sub="ann"):
    claims = {"exp": time.time() + 600, "rooms": list(rooms), "allow": list(allow), "sub": sub}
    return jwt.encode(claims, SECRET, "HS256")


class Venue:
    """A broker, and gateways on it that each have an address for operators."""

    def __init__(self, folder):
        self.folder = folder
        self.topology = Topology(folder)
        (folder / "keys").write_text(SECRET)
        (folder / "rooms.toml").write_text(RULES)
        self.broker = processes.broker(folder / "data")
        self.first = self.start("run")
        self.second = self.start("gateway")

    def start(self, command):
        places = ["--cluster", self.broker.control, "--topology", self.topology.file, "--http", FREE, "--admin", FREE]
        who = ["--keys", self.folder / "keys", "--rooms", self.folder / "rooms.toml"]
        return processes.Process(command, *places, *who).wait_ready()

    @property
    def gateways(self):
        return [self.first, self.second]

    def end(self):
        for process in [*self.gateways, self.broker]:
            process.end()


@pytest.fixture(scope="module")
def venue(tmp_path_factory):
    venue = Venue(tmp_path_factory.mktemp("venue"))
    yield venue
    venue.end()


def bearer(*allow, **claims):
    return {"authorization": f"Bearer {token(*allow, **claims)}"}


def admin(gateway, method, path, body=None, headers=None):
    headers = bearer("admin") if headers is None else headers
    return httpx.request(method, f"{gateway.admin}/admin/rooms{path}", json=body, headers=headers, timeout=PATIENCE_S)


def name_of(problem):
    return problem["type"].removeprefix("urn:ovation:problem:")


def react(gateway, room, emoji="🔥"):
    """The outcome of a reaction that is sent alone: `200`, or a problem's status and name."""
    url = f"{gateway.http}/v1/rooms/{room}/reactions"
    answer = httpx.post(url, json={"emoji": emoji}, headers=bearer("react"), timeout=PATIENCE_S)
    return 200 if answer.status_code == 200 else (answer.status_code, name_of(answer.json()))


def react_many(gateway, *items):
    answer = httpx.post(f"{gateway.http}/v1/reactions", json=list(items), headers=bearer("react"), timeout=PATIENCE_S)
    assert answer.status_code == 200, answer.text
    rejected = {item["index"]: (item["status"], name_of(item)) for item in answer.json()["rejected"]}
    return [rejected.get(index, 200) for index in range(len(items))]


def react_on_feed(socket, emoji="🔥"):
    reference = secrets.token_hex(4)
    socket.send(json.dumps({"type": "react", "emoji": emoji, "ref": reference}))
    while True:
        message = json.loads(socket.recv(timeout=PATIENCE_S))
        if message.get("ref") == reference:
            break
    return 200 if message["type"] == "ack" else (message["problem"]["status"], name_of(message["problem"]))


def feed(gateway, room):
    url = gateway.http.replace("http://", "ws://", 1)
    return connect(f"{url}/v1/rooms/{room}/feed", additional_headers=bearer("react", "watch"), open_timeout=PATIENCE_S)


def eventually(look, wanted):
    """Another gateway hears of a change within the time that a record takes."""
    deadline = time.monotonic() + PATIENCE_S
    while (seen := look()) != wanted:
        assert time.monotonic() < deadline, (seen, wanted)
        time.sleep(0.02)


CLOSED = (409, "reactions-closed")
NOT_ALLOWED = (422, "emoji-not-allowed")


def test_a_closed_room_is_closed_on_every_way_in_at_every_gateway(venue, room):
    other = f"{room}-other"
    with feed(venue.first, room) as one, feed(venue.second, room) as two:
        for gateway, socket in [(venue.first, one), (venue.second, two)]:
            assert (react(gateway, room), react_on_feed(socket)) == (200, 200)
        answer = admin(venue.first, "PUT", f"/{room}", {"open": False})
        assert answer.status_code == 200, answer.text
        settings = answer.json()
        assert (settings["room"], settings["open"], settings["own"]["by"]) == (room, False, "ann")
        # The gateway that was asked goes by it when it answers.
        assert react(venue.first, room) == CLOSED
        eventually(lambda: react(venue.second, room), CLOSED)
        for gateway, socket in [(venue.first, one), (venue.second, two)]:
            assert react_on_feed(socket) == CLOSED
            items = [{"room": room, "emoji": "🔥"}, {"room": other, "emoji": "🔥"}]
            assert react_many(gateway, *items) == [CLOSED, 200]
            assert admin(gateway, "GET", f"/{room}").json() == settings
        # Opened at the other one.
        assert admin(venue.second, "PUT", f"/{room}", {"open": True}).json()["open"] is True
        assert react(venue.second, room) == 200
        eventually(lambda: react(venue.first, room), 200)
        assert (react_on_feed(one), react_on_feed(two)) == (200, 200)


def test_a_list_of_emoji_goes_by_the_emoji_and_not_by_its_bytes(venue, room):
    answer = admin(venue.first, "PUT", f"/{room}", {"emoji": ["❤", "👍"]})
    assert answer.json()["emoji"] == ["❤️", "👍"]
    eventually(lambda: react(venue.second, room), NOT_ALLOWED)
    for gateway in venue.gateways:
        assert [react(gateway, room, emoji) for emoji in ["❤", "❤️", "👍", "👍🏽"]] == [200] * 4
        assert react(gateway, room, "🔥") == NOT_ALLOWED
        # What is no emoji at all is another mistake.
        assert react(gateway, room, "fire") == (422, "unknown-emoji")
        items = [{"room": room, "emoji": emoji} for emoji in ["❤", "🔥", "❤️"]]
        assert react_many(gateway, *items) == [200, NOT_ALLOWED, 200]
        with feed(gateway, room) as socket:
            assert (react_on_feed(socket, "❤"), react_on_feed(socket, "🔥")) == (200, NOT_ALLOWED)


def test_settings_outlive_the_gateway_and_go_with_delete(venue, room):
    assert admin(venue.first, "PUT", f"/{room}", {"open": False}).status_code == 200
    eventually(lambda: react(venue.second, room), CLOSED)
    venue.second.end()
    venue.second = venue.start("gateway")
    # Until it has read them nothing is taken, so the room is not open for a moment.
    outcomes = [react(venue.second, room)]
    while outcomes[-1] == (503, "rooms-unread"):
        outcomes.append(react(venue.second, room))
    assert outcomes[-1] == CLOSED, outcomes
    listed = lambda gateway: room in {entry["room"] for entry in admin(gateway, "GET", "").json()["rooms"]}
    assert listed(venue.first) and listed(venue.second)
    answer = admin(venue.second, "DELETE", f"/{room}")
    assert answer.status_code == 200 and answer.json()["open"] is True and not answer.json().get("own")
    assert react(venue.second, room) == 200
    eventually(lambda: react(venue.first, room), 200)
    assert not listed(venue.second)


def test_a_rule_holds_until_a_room_has_settings_of_its_own(venue, room):
    listed, closed = f"listed-{room}", f"closed-{room}"
    for gateway in venue.gateways:
        assert (react(gateway, closed), react(gateway, listed, "👏"), react(gateway, listed, "❤")) == (CLOSED, NOT_ALLOWED, 200)
    settings = admin(venue.first, "GET", f"/{listed}").json()
    assert (settings["rule"], settings["emoji"]) == ("listed-*", ["🔥", "❤️"])
    assert admin(venue.first, "PUT", f"/{closed}", {"open": True}).status_code == 200
    assert admin(venue.first, "PUT", f"/{listed}", {"emoji": "all"}).status_code == 200
    eventually(lambda: (react(venue.second, closed), react(venue.second, listed, "👏")), (200, 200))
    assert admin(venue.first, "DELETE", f"/{closed}").json()["open"] is False
    assert react(venue.first, closed) == CLOSED


def test_only_admins_of_the_room_may(venue, room):
    close = {"open": False}

    def refused(headers):
        answer = admin(venue.first, "PUT", f"/{room}", close, headers)
        assert answer.headers["content-type"] == "application/problem+json"
        return answer.status_code, name_of(answer.json())

    assert refused({}) == (401, "unauthorized")
    assert refused({"authorization": "Bearer nonsense"}) == (401, "unauthorized")
    assert refused(bearer("react", "watch")) == (403, "forbidden")
    assert refused(bearer("admin", rooms=["elsewhere"])) == (403, "forbidden")
    for method, path in [("GET", ""), ("GET", f"/{room}"), ("DELETE", f"/{room}")]:
        answer = admin(venue.first, method, path, headers=bearer("react", "watch"))
        assert (answer.status_code, name_of(answer.json())) == (403, "forbidden")
    assert react(venue.first, room) == 200
    assert admin(venue.first, "PUT", f"/{room}", close, bearer("admin", rooms=[room])).status_code == 200
    assert react(venue.first, room) == CLOSED


def test_wrong_calls_are_told_and_change_nothing(venue, room):
    for body, status, name in [
        ({}, 422, "malformed"),
        ({"open": "no"}, 422, "malformed"),
        ({"opened": False}, 422, "malformed"),
        ({"emoji": ["fire"]}, 422, "bad-emoji-list"),
        ({"emoji": ["🔥"] * 257}, 422, "bad-emoji-list"),
        ({"emoji": ["🔥" * 20_000]}, 413, "too-large"),
    ]:
        answer = admin(venue.first, "PUT", f"/{room}", body)
        assert (answer.status_code, name_of(answer.json())) == (status, name), answer.text
    answer = admin(venue.first, "PUT", "/no%20room", {"open": False})
    assert (answer.status_code, name_of(answer.json())) == (422, "bad-room")
    answer = admin(venue.first, "POST", f"/{room}", {"open": False})
    assert answer.status_code == 405 and set(answer.headers["allow"].split(",")) >= {"GET", "PUT", "DELETE"}
    assert react(venue.first, room) == 200


def test_operators_have_their_own_address_and_the_crowd_has_none_of_it(venue):
    for gateway in venue.gateways:
        for path in ["/metrics", "/admin/rooms", "/admin/rooms/lobby"]:
            answer = httpx.get(gateway.http + path, headers=bearer("admin"), timeout=PATIENCE_S)
            assert (answer.status_code, name_of(answer.json())) == (404, "not-found"), path
        # Not with another spelling either.
        for path in ["//admin/rooms", "/admin/../admin/rooms", "/%61dmin/rooms", "/admin%2Frooms"]:
            assert httpx.get(gateway.http + path, headers=bearer("admin"), timeout=PATIENCE_S).status_code == 404, path
        assert "ovation_reactions_total" in httpx.get(f"{gateway.admin}/metrics", timeout=PATIENCE_S).text
        for path in ["/healthz", "/readyz"]:
            assert httpx.get(gateway.admin + path, timeout=PATIENCE_S).status_code == 200
            assert httpx.get(gateway.http + path, timeout=PATIENCE_S).status_code == 200
        assert httpx.get(f"{gateway.admin}/v1/rooms", headers=bearer("watch"), timeout=PATIENCE_S).status_code == 404


def test_without_keys_nobody_is_an_admin(ovation, room):
    """Not even on this machine, where everybody may react: a page in its browser could call, too."""
    for headers in [{}, bearer("admin")]:
        answer = httpx.put(f"{ovation.http}/admin/rooms/{room}", json={"open": False}, headers=headers, timeout=PATIENCE_S)
        assert (answer.status_code, name_of(answer.json())) == (403, "forbidden")
        assert "--keys" in answer.json()["detail"]
