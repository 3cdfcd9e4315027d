"""Who may: tokens that PyJWT signs, on every way in; pages from elsewhere; and a start that would let everybody in."""

import base64
import hashlib
import hmac
import json
import secrets
import stat
import time

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

import processes
from topology import started

PATIENCE_S = 30
# The gateway takes a token for this long after its `exp`.
LEEWAY_S = 30

SECRET = secrets.token_urlsafe(48)
ED25519 = ed25519.Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwks():
    """The same keys as a provider lists them, with one that nobody here can use."""
    raw = ED25519.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    keys = [
        {"kty": "oct", "kid": "hs", "k": b64(SECRET.encode())},
        {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": b64(raw), "use": "sig"},
        json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key())) | {"kid": "rs", "key_ops": ["verify"]},
        {"kty": "EC", "crv": "P-256", "kid": "ec", "x": "AA", "y": "AA"},
    ]
    return json.dumps({"keys": keys})


def token(rooms=("*",), allow=("react", "watch"), seconds=600, key=SECRET, algorithm="HS256", kid="hs", **claims):
    claims = {"exp": time.time() + seconds, "rooms": list(rooms), "allow": list(allow)} | claims
    return jwt.encode(claims, key, algorithm, headers={"kid": kid} if kid else None)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A system with keys, at one page's service besides its own."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "keys.json").write_text(jwks())
    process = started(folder, "--keys", folder / "keys.json", "--origins", "https://app.example")
    yield process
    process.end()


def react(process, room, bearer=None, body=None, **headers):
    if bearer:
        headers["authorization"] = f"Bearer {bearer}"
    url = f"{process.http}/v1/rooms/{room}/reactions"
    return httpx.post(url, json=body or {"emoji": "🔥"}, headers=headers, timeout=PATIENCE_S)


def feed(process, room, bearer=None, **options):
    if bearer:
        options["additional_headers"] = {"authorization": f"Bearer {bearer}"}
    url = process.http.replace("http://", "ws://", 1)
    return connect(f"{url}/v1/rooms/{room}/feed", open_timeout=PATIENCE_S, **options)


def receive(socket):
    return json.loads(socket.recv(timeout=PATIENCE_S))


def receive_type(socket, wanted):
    while (message := receive(socket))["type"] != wanted:
        assert message["type"] in ("update", "snapshot"), message
    return message


def name_of(problem):
    return problem["type"].removeprefix("urn:ovation:problem:")


def assert_problem(answer, status, name):
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert (answer.status_code, name_of(answer.json())) == (status, name), answer.text
    return answer


def assert_closed(socket, code):
    """The last messages, up to the close."""
    seen = []
    with pytest.raises(ConnectionClosed):
        while True:
            seen.append(receive(socket))
    assert socket.close_code == code, (socket.close_code, socket.close_reason, seen)
    return seen


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"),
    [(SECRET, "HS256", "hs"), (ED25519, "EdDSA", "ed"), (RSA, "RS256", "rs"), (RSA, "RS256", None)],
    ids=["hs", "ed", "rs", "any"],
)
def test_tokens_of_each_algorithm_are_taken(guarded, room, key, algorithm, kid):
    answer = react(guarded, room, token(key=key, algorithm=algorithm, kid=kid))
    assert answer.status_code == 200, answer.text


def test_bad_tokens_are_refused(guarded, room):
    pem = RSA.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    part = lambda value: b64(json.dumps(value).encode())
    claims = {"exp": int(time.time()) + 600, "rooms": ["*"], "allow": ["react"]}
    unsigned = f"{part({'alg': 'none'})}.{part(claims)}."
    # PyJWT refuses to sign with a public key, so the classic forgery is done by hand.
    signed = f"{part({'alg': 'HS256', 'kid': 'rs'})}.{part(claims)}"
    forged = f"{signed}.{b64(hmac.digest(pem, signed.encode(), hashlib.sha256))}"
    for bad in [
        "nonsense",
        unsigned,
        forged,
        token(key=secrets.token_urlsafe(48)),
        token(kid="rs"),
        token(seconds=-LEEWAY_S - 5),
        token(nbf=time.time() + LEEWAY_S + 60),
        token(sub="x" * 65),
        token(rooms=["x" * 65]),
        token(padding="x" * 9000),
    ]:
        answer = assert_problem(react(guarded, room, bad), 401, "unauthorized")
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert assert_problem(react(guarded, room), 401, "unauthorized").headers["www-authenticate"] == "Bearer"
    assert SECRET not in guarded.text


def test_a_token_is_for_its_rooms_actions_and_user(guarded, room):
    mine = token(rooms=[f"{room[:8]}*"], allow=["react"], sub="u1")
    assert react(guarded, room, mine).status_code == 200
    assert react(guarded, room, mine, {"emoji": "🔥", "user": "u1"}).status_code == 200
    assert_problem(react(guarded, room, mine, {"emoji": "🔥", "user": "u2"}), 403, "wrong-user")
    assert_problem(react(guarded, "elsewhere", mine), 403, "forbidden")
    ask = lambda path, bearer: httpx.get(guarded.http + path, headers={"authorization": f"Bearer {bearer}"})
    assert_problem(ask(f"/v1/rooms/{room}", mine), 403, "forbidden")
    watch = token(rooms=[room], allow=["watch"])
    assert ask(f"/v1/rooms/{room}", watch).status_code == 200
    # The list of rooms has only those of the token.
    react(guarded, "other-room", token())
    deadline = time.monotonic() + PATIENCE_S
    with feed(guarded, room, watch) as socket, feed(guarded, "other-room", token()) as other:
        for one in (socket, other):
            first = receive(one)
            while not first.get("windows") and first["type"] != "update" and time.monotonic() < deadline:
                first = receive(one)
    listed = lambda bearer: {entry["room"] for entry in ask("/v1/rooms", bearer).json()["rooms"]}
    assert listed(watch) == {room}
    assert listed(token()) >= {room, "other-room"}


def test_a_feed_takes_the_token_by_header_subprotocol_or_first_message(guarded, room):
    with feed(guarded, room, token()) as socket:
        assert receive(socket)["type"] == "snapshot"
    with feed(guarded, room, subprotocols=["ovation.v1", f"ovation.token.{token()}"]) as socket:
        assert socket.subprotocol == "ovation.v1"
        assert receive(socket)["type"] == "snapshot"
    with feed(guarded, room) as socket:
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.3)
        socket.send(json.dumps({"type": "auth", "token": token(sub="u1")}))
        assert receive(socket)["type"] == "snapshot"
        socket.send(json.dumps({"type": "react", "emoji": "🔥", "ref": "r1"}))
        assert receive_type(socket, "ack")["ref"] == "r1"
        socket.send(json.dumps({"type": "react", "emoji": "🔥", "ref": "r2", "user": "u2"}))
        assert name_of(receive_type(socket, "error")["problem"]) == "wrong-user"


def test_a_feed_without_a_good_token_is_closed(guarded, room):
    def opened(**options):
        return feed(guarded, room, **options)

    with opened(bearer=token(seconds=-LEEWAY_S - 5)) as socket:
        (message,) = assert_closed(socket, 4401)
        assert name_of(message["problem"]) == "unauthorized"
    with opened(subprotocols=["ovation.v1", "ovation.token.a.b.c"]) as socket:
        (message,) = assert_closed(socket, 4401)
        assert name_of(message["problem"]) == "unauthorized"
    for first in ['{"type":"auth","token":"nonsense"}', '{"type":"auth"}', '{"type":"react","emoji":"🔥"}', "{", b"x"]:
        with opened() as socket:
            socket.send(first)
            (message,) = assert_closed(socket, 4401)
            assert name_of(message["problem"]) == "unauthorized"
    for narrow in [token(rooms=["elsewhere"]), token(allow=["react"])]:
        with opened(bearer=narrow) as socket:
            (message,) = assert_closed(socket, 4403)
            assert name_of(message["problem"]) == "forbidden"


def test_a_feed_that_sends_no_token_is_closed_in_time(guarded, room):
    begin = time.monotonic()
    with feed(guarded, room) as socket:
        (message,) = assert_closed(socket, 4401)
    assert name_of(message["problem"]) == "unauthorized"
    assert 9 < time.monotonic() - begin < PATIENCE_S


def test_a_feed_may_watch_without_reacting(guarded, room):
    with feed(guarded, room, token(allow=["watch"])) as socket:
        assert receive(socket)["type"] == "snapshot"
        socket.send(json.dumps({"type": "react", "emoji": "🔥", "ref": "r1"}))
        message = receive_type(socket, "error")
        assert (message["ref"], name_of(message["problem"])) == ("r1", "forbidden")


def test_a_feed_ends_with_its_token_unless_it_gets_another(guarded, room):
    def short():
        return token(seconds=2 - LEEWAY_S)

    with feed(guarded, room, short()) as over, feed(guarded, room, short()) as renewed:
        assert receive(over)["type"] == "snapshot"
        assert receive(renewed)["type"] == "snapshot"
        # A long one, too, fits into a message.
        renewed.send(json.dumps({"type": "auth", "token": token(padding="x" * 5000), "ref": "a1"}))
        assert receive_type(renewed, "ack") == {"type": "ack", "ref": "a1"}
        assert_closed(over, 4401)
        assert over.close_reason == "token expired"
        renewed.send(json.dumps({"type": "react", "emoji": "🔥", "ref": "r1"}))
        assert receive_type(renewed, "ack")["ref"] == "r1"
        renewed.send(json.dumps({"type": "auth", "token": "nonsense", "ref": "a2"}))
        assert_closed(renewed, 4401)


def test_pages_from_elsewhere_are_refused(guarded, room):
    bearer = token()
    assert react(guarded, room, bearer, origin="https://app.example").status_code == 200
    assert react(guarded, room, bearer, origin=guarded.http).status_code == 200
    for origin in ["https://evil.example", "null", "http://localhost:5173"]:
        assert_problem(react(guarded, room, bearer, origin=origin), 403, "origin-not-allowed")
        with pytest.raises(InvalidStatus) as refused:
            feed(guarded, room, bearer, origin=origin)
        assert refused.value.response.status_code == 403
    with feed(guarded, room, bearer, origin="https://app.example") as socket:
        assert receive(socket)["type"] == "snapshot"
    preflight = {"origin": "https://app.example", "access-control-request-method": "POST"}
    answer = httpx.options(f"{guarded.http}/v1/rooms/{room}/reactions", headers=preflight)
    assert answer.headers["access-control-allow-origin"] == "https://app.example"


def test_a_gateway_that_others_reach_does_not_start_by_accident(tmp_path):
    data = tmp_path / "data"
    for command in [["run", "--data", data], ["gateway", "--cluster", "127.0.0.1:1"]]:
        code, text = processes.outcome(*command, "--topology", "none.yaml", "--http", "0.0.0.0:0")
        assert code == 2, text
        assert "--keys FILE" in text and "--open" in text
    assert not data.exists(), "nothing was started"
    (tmp_path / "short").write_text("short")
    code, text = processes.outcome("run", "--data", data, "--http", "0.0.0.0:0", "--keys", tmp_path / "short")
    assert code == 2 and "5 bytes" in text and not data.exists()


def test_an_open_gateway_starts_where_others_reach_it(tmp_path, room):
    process = started(tmp_path, "--open", http="0.0.0.0:0")
    try:
        port = process.http.rpartition(":")[2]
        answer = httpx.post(
            f"http://127.0.0.1:{port}/v1/rooms/{room}/reactions", json={"emoji": "🔥"}, headers={"host": "live.example"}
        )
        assert answer.status_code == 200, answer.text
    finally:
        process.end()


def test_on_this_machine_everybody_may_but_no_page_from_elsewhere(ovation, room):
    assert react(ovation, room).status_code == 200
    assert react(ovation, room, origin="http://localhost:5173").status_code == 200
    assert_problem(react(ovation, room, origin="https://evil.example"), 403, "origin-not-allowed")
    # A page that made its own name point to this machine.
    rebound = react(ovation, room, origin="http://evil.example", host="evil.example")
    assert_problem(rebound, 421, "misdirected-request")


def test_keys_are_read_again_and_mistakes_keep_the_last_ones(tmp_path, room):
    keys = tmp_path / "keys"
    keys.write_text(SECRET)
    process = started(tmp_path, "--keys", keys)
    try:
        first, second = token(kid=None), token(key="another-" + SECRET, kid=None)
        assert react(process, room, first).status_code == 200
        assert_problem(react(process, room, second), 401, "unauthorized")

        def wait(what):
            deadline = time.monotonic() + PATIENCE_S
            while not what():
                assert time.monotonic() < deadline, process.text
                time.sleep(0.1)

        keys.write_text("short")
        wait(lambda: "keys not read again" in process.text)
        assert react(process, room, first).status_code == 200
        keys.write_text("another-" + SECRET)
        wait(lambda: react(process, room, second).status_code == 200)
        assert_problem(react(process, room, first), 401, "unauthorized")
        assert SECRET not in process.text and second not in process.text
    finally:
        process.end()


def test_tokens_are_made_that_pyjwt_reads(guarded, tmp_path, room):
    file = tmp_path / "new.json"
    code, _ = processes.outcome("token", "--new-keys", file)
    assert code == 0 and stat.S_IMODE(file.stat().st_mode) == 0o600
    code, text = processes.outcome("token", "--new-keys", file)
    assert code == 2 and "stays as it is" in text
    (key,) = jwt.PyJWKSet.from_json(file.read_text()).keys
    code, made = processes.outcome("token", "--keys", file, "--room", "final-*", "--user", "u1", "--for", "2h")
    assert code == 0, made
    claims = jwt.decode(made, key.key, algorithms=["HS256"])
    assert (claims["sub"], claims["rooms"], claims["allow"]) == ("u1", ["final-*"], ["react", "watch"])
    assert claims["exp"] - claims["iat"] == 7200
    assert jwt.get_unverified_header(made)["kid"] == key.key_id

    for private, algorithm in [(ED25519, "EdDSA"), (RSA, "RS256")]:
        pem = tmp_path / "private.pem"
        pem.write_bytes(
            private.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        code, made = processes.outcome("token", "--keys", pem, "--room", room, "--allow", "react")
        assert code == 0, made
        assert jwt.decode(made, private.public_key(), algorithms=[algorithm])["allow"] == ["react"]
        assert react(guarded, room, made).status_code == 200
        code, text = processes.outcome("gateway", "--keys", pem, "--cluster", "127.0.0.1:1")
        assert code == 2 and "openssl pkey" in text
