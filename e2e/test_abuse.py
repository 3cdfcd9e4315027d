"""Hard to hurt: slow clients, floods and broken HTTP are survived, and honest clients are served meanwhile."""

import contextlib
import os
import re
import resource
import shutil
import socket
import subprocess
import threading
import time

import h2.config
import h2.connection
import h2.errors
import h2.events
import httpx
import pytest

import processes
from topology import started

PATIENCE_S = 30
# An honest client sends this often, and does not wait for longer.
EVERY_S, WITHIN_S = 0.05, 2.0
# Beyond the gateway's own timeouts of 10 s, so that its cuts are seen.
ATTACK_S = 16
ATTACKERS = 300
# The honest client's own, and one that has just ended.
FEW = 3
# A connection with all its buffers costs about 17 KB; with an answer of its own that nobody reads it would be 64.
ATTACKER_KB = 48
FLOOD = 3_000
# What the kernel may hold for one that does not read: a piece of an answer, and not all that it asks for.
ATTACKER_QUEUE_KB = 128
# Of a line in /proc/net/tcp; a listener has no client, and a queue of another kind.
ESTABLISHED, LISTENING = 1, 10
# `Connections::per_address_max`.
PER_ADDRESS_MAX = 1_024


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    """A system with its defaults."""
    process = started(tmp_path_factory.mktemp("target"))
    yield process
    process.end()


@pytest.fixture(scope="module")
def counting(tmp_path_factory):
    """A system that makes no exception for this machine."""
    process = started(tmp_path_factory.mktemp("counting"), "--exempt", "none")
    yield process
    process.end()


def place(process):
    url = httpx.URL(process.http)
    return url.host, url.port


def sockets(process):
    """The gateway's connections as the kernel sees them, whatever the gateway says: client, state, unread bytes of answers."""
    _, port = place(process)
    with open("/proc/net/tcp") as table:
        for line in list(table)[1:]:
            local, remote, state, queues = line.split()[1:5]
            if int(local.split(":")[1], 16) == port:
                client = socket.inet_ntoa(bytes.fromhex(remote.split(":")[0])[::-1])
                yield client, int(state, 16), int(queues.split(":")[0], 16)


def connections(process, client=None):
    """Established connections."""
    return sum(state == ESTABLISHED and client in (None, other) for other, state, _ in sockets(process))


def wait_until(what, seconds=PATIENCE_S):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "did not come about"
        time.sleep(0.05)


class Honest:
    """A client that reacts all the time, now and then over a new connection."""

    def __init__(self, process, room):
        self.url = f"{process.http}/v1/rooms/{room}/reactions"
        self.outcomes = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._react)

    def _react(self):
        while not self._over.is_set():
            with httpx.Client(timeout=PATIENCE_S) as client:
                for _ in range(10):
                    begin = time.monotonic()
                    try:
                        outcome = client.post(self.url, json={"emoji": "🔥"}).status_code
                    except httpx.HTTPError as error:
                        outcome = repr(error)
                    self.outcomes.append((outcome, time.monotonic() - begin))
                    if self._over.wait(EVERY_S):
                        return

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join(PATIENCE_S)

    def assert_served(self):
        assert len(self.outcomes) >= 10
        assert {outcome for outcome, _ in self.outcomes} == {200}
        slowest = max(took for _, took in self.outcomes)
        assert slowest < WITHIN_S, f"{slowest:.2f} s"
        print(f"honest: {len(self.outcomes)} reactions, the slowest in {slowest * 1_000:.0f} ms")


def slowhttptest(process, path, *mode):
    """Attacks, and returns what the tool says of it in the end."""
    tool = shutil.which("slowhttptest")
    if not tool:
        if os.environ.get("CI"):
            pytest.fail("slowhttptest is not installed: apt-get install slowhttptest")
        pytest.skip("slowhttptest is not installed: apt-get install slowhttptest")
    size = ["-c", ATTACKERS, "-r", ATTACKERS, "-l", ATTACK_S, "-p", int(WITHIN_S), "-u", process.http + path]
    command = [tool, *map(str, [*mode, *size])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=ATTACK_S + PATIENCE_S)
    text = re.sub(r"\x1b\[[\d;]*m", "", done.stdout + done.stderr)
    assert "Exit status" in text, text
    return text


def ended(text):
    return re.findall(r"^(?:Test ended|Exit status).*", text, re.MULTILINE)


ATTACKS = {
    # A header line every second, without an end.
    "slow headers": ("/v1/rooms", ["-H", "-i", "1", "-x", "24"]),
    # A body of 8 KiB, some bytes a second.
    "slow body": ("/v1/rooms/lobby/reactions", ["-B", "-i", "1", "-s", "8192", "-x", "10", "-f", "application/json"]),
    # Many answers of 100 KB, of which some bytes are read every few seconds.
    "slow read": ("/openapi.json", ["-X", "-k", "10", "-w", "256", "-y", "512", "-n", "5", "-z", "16"]),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_slow_clients_are_cut_while_honest_ones_are_served(target, room, attack):
    path, mode = ATTACKS[attack]
    before = target.resident_kb
    largest, most, queued, is_over = before, 0, 0, False
    with Honest(target, room) as honest:
        attacked = threading.Event()

        def watch():
            nonlocal largest, most, queued, is_over
            while not attacked.wait(0.25):
                open_ones = connections(target)
                largest, most = max(largest, target.resident_kb), max(most, open_ones)
                unread = sum(size for _, state, size in sockets(target) if state != LISTENING)
                queued = max(queued, unread // 1024)
                is_over |= most >= ATTACKERS * 0.9 and open_ones <= FEW

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            text = slowhttptest(target, path, *mode)
        finally:
            attacked.set()
            watcher.join(PATIENCE_S)
    honest.assert_served()
    print(f"{attack}: {most} connections at most, memory grew by {largest - before} KB, the kernel's by {queued} KB;", *ended(text))
    assert most >= ATTACKERS * 0.9, "the attack was one"
    assert largest - before < ATTACKERS * ATTACKER_KB
    assert queued < ATTACKERS * ATTACKER_QUEUE_KB
    # The gateway has closed them, and not the tool at its end. (One that does not read does not see that it was closed.)
    assert is_over or "No open connections left" in text, text
    assert not re.search(r"service available: +NO", text), text
    wait_until(lambda: connections(target) <= FEW)
    assert target.running() and "panicked" not in target.text


@contextlib.contextmanager
def idle_connections(process, count, source=None):
    """Many connections that say nothing."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    source = (source, 0) if source else None
    with contextlib.ExitStack() as open_ones:
        yield [
            open_ones.enter_context(socket.create_connection(place(process), PATIENCE_S, source_address=source))
            for _ in range(count)
        ]


def is_closed(connection):
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_a_flood_from_one_address_takes_no_more_than_its_share(counting, room):
    before = counting.resident_kb
    with Honest(counting, room) as honest:
        with idle_connections(counting, FLOOD, source="127.0.0.2") as flood:
            wait_until(lambda: sum(map(is_closed, flood)) >= FLOOD - PER_ADDRESS_MAX)
            # The kernel's list is read piece by piece, and may still show some that have just been closed.
            wait_until(lambda: connections(counting, client="127.0.0.2") <= PER_ADDRESS_MAX)
            held = connections(counting, client="127.0.0.2")
            grown = counting.resident_kb - before
            # Whoever comes on top is closed, too: and an honest client of another address is not.
            with idle_connections(counting, 1, source="127.0.0.2") as (another,):
                wait_until(lambda: is_closed(another))
            # Enough of the honest client's time for connections of its own.
            seen = len(honest.outcomes)
            wait_until(lambda: len(honest.outcomes) >= seen + 25)
    honest.assert_served()
    print(f"flood: {held} of {FLOOD} held, memory grew by {grown} KB")
    assert grown < PER_ADDRESS_MAX * ATTACKER_KB
    wait_until(lambda: connections(counting, client="127.0.0.2") == 0)
    with idle_connections(counting, 1, source="127.0.0.2") as (another,):
        another.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert another.recv(12) == b"HTTP/1.1 200", "its places are given back"


def test_idle_connections_make_room_when_all_places_are_taken(tmp_path, room):
    _, text = processes.outcome("run", "--help")
    if "--connections-max" not in text:
        pytest.skip("this binary has no --connections-max")
    most = 200
    process = started(tmp_path, "--connections-max", str(most))
    try:
        with idle_connections(process, 2 * most) as flood, Honest(process, room) as honest:
            wait_until(lambda: len(honest.outcomes) >= 25)
            assert any(map(is_closed, flood))
            # Those that wait in the listen queue are established for the kernel, so the gateway's word is taken.
            numbers = httpx.get(f"{process.http}/metrics", timeout=PATIENCE_S).text
            opened = re.search(r"^ovation_connections_open (\d+)$", numbers, re.MULTILINE)
            assert opened is None or int(opened[1]) <= most
        assert {outcome for outcome, _ in honest.outcomes} == {200}
    finally:
        process.end()


def exchange(process, data):
    """Sends bytes over a connection of their own; everything that comes back until the gateway closes."""
    with socket.create_connection(place(process), PATIENCE_S) as connection:
        connection.settimeout(PATIENCE_S)
        answer = b""
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
            while part := connection.recv(65_536):
                answer += part
        return answer


def statuses(answer):
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)]


HOST = b"Host: localhost\r\n"
BODY = '{"emoji":"🔥"}'.encode()
POST = b"POST /v1/rooms/lobby/reactions HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"
CLOSE = b"Connection: close\r\n"
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)

MALFORMED = {
    "no request line": (b"\x00\x01\x02\r\n\r\n", {400}),
    "TLS": (bytes.fromhex("160301020001fc0303") + b"\x55" * 80, {400}),
    "no version": (b"GET /v1/rooms\r\n\r\n", {400}),
    "an unknown version": (b"GET /v1/rooms HTTP/7.3\r\n" + HOST + b"\r\n", {400, 505}),
    "a method that is none": (b"G@T\x7f /v1/rooms HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "a space in the target": (b"GET /v1/rooms /x HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "a target without end": (b"GET /" + b"a" * 200_000, {400, 414, 431}),
    "a header without end": (b"GET /v1/rooms HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 200_000, {400, 431}),
    "a header line of 64 KiB": (b"GET /v1/rooms HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 65_536 + b"\r\n\r\n", {431}),
    "too many headers": (b"GET /v1/rooms HTTP/1.1\r\n" + HOST + b"X: 1\r\n" * 100 + b"\r\n", {431}),
    "a header without a colon": (b"GET /v1/rooms HTTP/1.1\r\n" + HOST + b"nonsense\r\n\r\n", {400}),
    "a space before the colon": (POST + b"Content-Length : 3\r\n\r\n{}\n", {400}),
    "a NUL in a header": (b"GET /v1/rooms HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n\r\n", {400}),
    "a folded header": (b"GET /v1/rooms HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n", {400}),
    "a length that is none": (POST + b"Content-Length: 1x\r\n\r\n{}", {400}),
    "a negative length": (POST + b"Content-Length: -1\r\n\r\n{}", {400}),
    "a length beyond 2^64": (POST + b"Content-Length: 99999999999999999999\r\n\r\n{}", {400, 413, 431}),
    "two lengths": (POST + b"Content-Length: 3\r\nContent-Length: 30\r\n\r\n" + BODY, {400}),
    "a chunk size that is none": (CHUNKED + b"\r\nzz\r\n{}\r\n0\r\n\r\n", {400}),
    "a chunk size beyond 2^64": (CHUNKED + b"\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n", {400, 413}),
    "a chunk longer than it says": (CHUNKED + b"\r\n2\r\n" + BODY + b"\r\n0\r\n\r\n", {400}),
    "a chunk extension without end": (CHUNKED + b"\r\n2;" + b"a" * 100_000, {400, 413}),
    "trailers without end": (CHUNKED + b"\r\n2\r\n{}\r\n0\r\n" + b"X: 1\r\n" * 100_000, {400, 413, 431}),
    "chunked in HTTP/1.0": (CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n" + CHUNKS, {400}),
    "an encoding after chunked": (POST + b"Transfer-Encoding: chunked, identity\r\n\r\n" + CHUNKS, {400}),
    "an encoding that is none": (POST + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKS, {400}),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_http_is_refused_and_the_connection_closed(target, what):
    data, refused = MALFORMED[what]
    answer = exchange(target, data)
    # Closed without a word will do, and nothing after the refusal.
    assert len(statuses(answer)) <= 1 and set(statuses(answer)) <= refused, answer[:400]
    assert httpx.get(f"{target.http}/healthz", timeout=PATIENCE_S).status_code == 200


SMUGGLED = b"GET /v1/rooms/smuggled HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n"
SMUGGLERS = {
    "length, then chunked": b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n",
    "chunked, then length": b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n",
    "chunked in disguise": b"Content-Length: %d\r\nTransfer-Encoding: \x0bchunked\r\n\r\n",
    "chunked twice": b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
    "chunked with a space": b"Content-Length: %d\r\nTransfer-Encoding : chunked\r\n\r\n",
}


@pytest.mark.parametrize("how", SMUGGLERS)
def test_a_smuggled_request_is_not_answered(target, how):
    """What a proxy that goes by the length takes for the body's rest is no request of its own here."""
    rest = CHUNKS + SMUGGLED
    answer = exchange(target, POST + SMUGGLERS[how] % len(rest) + rest)
    assert b'"smuggled"' not in answer and len(statuses(answer)) <= 1, answer
    # The other way round: a proxy that goes by the chunks.
    rest = b"0\r\n\r\n" + SMUGGLED
    answer = exchange(target, POST + SMUGGLERS[how] % 5 + rest)
    assert b'"smuggled"' not in answer and len(statuses(answer)) <= 1, answer


def test_honest_chunks_and_pipelines_are_answered(target):
    assert statuses(exchange(target, CHUNKED + CLOSE + b"\r\n" + CHUNKS)) == [200]
    one = POST + b"Content-Length: %d\r\n" % len(BODY)
    assert statuses(exchange(target, (one + b"\r\n" + BODY) * 3 + one + CLOSE + b"\r\n" + BODY)) == [200] * 4


def test_a_client_of_http2_is_served(target, room):
    with httpx.Client(base_url=target.http, http1=False, http2=True, timeout=PATIENCE_S) as client:
        for _ in range(20):
            answer = client.post(f"/v1/rooms/{room}/reactions", json={"emoji": "🔥"})
            assert (answer.http_version, answer.status_code) == ("HTTP/2", 200)
        large = client.post("/v1/reactions", json=[{"room": room, "emoji": "🔥"}] * 1_000)
        assert large.json()["accepted"] == 1_000
        assert client.get(f"/v1/rooms/{room}").json()["room"] == room
        assert client.get("/nowhere").status_code == 404
        assert client.post(f"/v1/rooms/{room}/reactions", json={"emoji": "🔥" * 5_000}).status_code == 413


class Http2:
    """A connection that speaks HTTP/2, well or badly."""

    def __init__(self, process):
        self.authority = "localhost"
        self.state = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.socket = socket.create_connection(place(process), PATIENCE_S)
        self.socket.settimeout(PATIENCE_S)
        self.state.initiate_connection()
        self.flush()

    def flush(self):
        self.socket.sendall(self.state.data_to_send())

    def request(self, path="/v1/rooms"):
        stream = self.state.get_next_available_stream_id()
        headers = [(":method", "GET"), (":path", path), (":scheme", "http"), (":authority", self.authority)]
        self.state.send_headers(stream, headers, end_stream=True)
        return stream

    def until_closed(self):
        """Reads to the end of the connection: the code that it was ended with, if one was said."""
        code = None
        with contextlib.suppress(ConnectionError):
            while data := self.socket.recv(65_536):
                for event in self.state.receive_data(data):
                    if isinstance(event, h2.events.ConnectionTerminated):
                        code = event.error_code
        self.socket.close()
        return code


def test_a_rapid_reset_ends_the_connection_and_not_the_gateway(target, room):
    with Honest(target, room) as honest:
        attacker = Http2(target)
        with contextlib.suppress(ConnectionError):
            for _ in range(1_000):
                stream = attacker.request()
                attacker.state.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
            attacker.flush()
        assert attacker.until_closed() in (None, h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
        wait_until(lambda: len(honest.outcomes) >= 10)
    honest.assert_served()
    wait_until(lambda: connections(target) <= FEW)


def frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


# A literal header field without indexing, name "x" and 100 bytes of value.
FIELD = b"\x00\x01x\x64" + b"a" * 100
HEADERS, SETTINGS, PING, CONTINUATION = 1, 4, 6, 9
BAD_FRAMES = {
    "continuations without end": frame(HEADERS, 0, 1, b"") + frame(CONTINUATION, 0, 1, FIELD * 100) * 500,
    "empty continuations without end": frame(HEADERS, 0, 1, b"") + frame(CONTINUATION, 0, 1, b"") * 50_000,
    "a frame that is too large": frame(0, 0, 1, b"a" * 100_000),
    "headers that cannot be decoded": frame(HEADERS, 5, 1, b"\xff" * 50),
    "a stream of the server": frame(HEADERS, 5, 2, b"\x82\x84\x86"),
    "settings that make no sense": frame(SETTINGS, 0, 0, b"\x00\x05\x00\x00\x00\x01"),
    "a ping of the wrong length": frame(PING, 0, 0, b"1"),
}


@pytest.mark.parametrize("what", BAD_FRAMES)
def test_broken_http2_ends_the_connection(target, what):
    before = target.resident_kb
    attacker = Http2(target)
    with contextlib.suppress(ConnectionError):
        attacker.socket.sendall(BAD_FRAMES[what])
    assert attacker.until_closed() != h2.errors.ErrorCodes.NO_ERROR
    assert target.resident_kb - before < 16 * 1024
    assert httpx.get(f"{target.http}/healthz", timeout=PATIENCE_S).status_code == 200
