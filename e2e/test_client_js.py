"""ovation.js in a real browser: what it sends, what it sends again, and that every tap counts once."""

from __future__ import annotations

import gzip
import html
import json
import re
import subprocess
import sys
import time

import httpx
import pytest

from pages import Gateway, Site
from processes import FREE, Process
from topology import Topology, started

PATIENCE_MS = 30_000
# It tells what waits and sends it again after a reload, beside everything else.
BYTES_MAX = 4_300
# Where the samples of the docs think that the gateway is.
SAMPLE_ORIGIN = "http://127.0.0.1:8080"

OPEN = """async ([module, url, options, tokens]) => {
  const { Ovation } = await import(module);
  window.seen = { state: [], snapshot: [], update: [], skipped: [], moment: [], waiting: [], error: [] };
  window.asked = 0;
  if (tokens) options.token = async () => tokens[Math.min(window.asked++, tokens.length - 1)];
  window.ovation = new Ovation(url ?? undefined, options);
  for (const type of Object.keys(seen)) {
    ovation.on(type, (detail) => seen[type].push(type === "error" ? detail.message : detail));
  }
}"""


@pytest.fixture
def page(browser, ovation):
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{ovation.http}/")
    yield page
    context.close()


@pytest.fixture
def other_origin(browser):
    """A page of an origin that is no gateway's."""
    site = Site("<!doctype html><title>Elsewhere</title>")
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(site.url)
    yield page
    context.close()
    site.close()


@pytest.fixture
def gateway():
    gateway = Gateway()
    yield gateway
    gateway.close()


def until(page, condition):
    """Waits in the page: Playwright's own waiting needs what the content policy of a gateway's page forbids."""
    page.evaluate(f"""async () => {{
      while (!({condition})) await new Promise((again) => setTimeout(again, 20));
    }}""")


def enter(page, room, module="/ovation.js", url=None, tokens=None, **options):
    page.evaluate(OPEN, [module, url, {"room": room, **options}, tokens])


def enter_live(page, room, **options):
    enter(page, room, **options)
    until(page, "ovation.state === 'live'")


def totals(ovation, room):
    return httpx.get(f"{ovation.http}/v1/rooms/{room}", timeout=10).json()["room_totals"]


def wait_reactions(ovation, room, count, seconds=30):
    """The room's counters, once there are so many reactions or time is up."""
    deadline = time.monotonic() + seconds
    while True:
        found = totals(ovation, room)
        if found["reactions"] >= count or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def sample(ovation, name):
    """A sample of the docs, for this gateway."""
    page = httpx.get(f"{ovation.http}/docs", timeout=10).text
    text = re.search(rf'<code id="{name}">(.*?)</code>', page, re.DOTALL).group(1)
    assert SAMPLE_ORIGIN in text
    return html.unescape(text).replace(SAMPLE_ORIGIN, ovation.http)


def test_client_is_small(ovation):
    with httpx.stream("GET", f"{ovation.http}/ovation.js", headers={"accept-encoding": "gzip"}, timeout=10) as answer:
        assert answer.status_code == 200
        packed = b"".join(answer.iter_raw())
    assert len(packed) < BYTES_MAX, "as it goes over the wire"
    plain = httpx.get(f"{ovation.http}/ovation.js", headers={"accept-encoding": "identity"}, timeout=10)
    assert gzip.decompress(packed) == plain.content
    again = httpx.get(f"{ovation.http}/ovation.js", headers={"if-none-match": plain.headers["etag"]}, timeout=10)
    assert (again.status_code, again.content) == (304, b"")


def test_taps_go_together_and_each_counts(page, ovation, room):
    sent = []

    def watch(socket):
        socket.on("framesent", lambda frame: sent.append(json.loads(frame)))

    page.on("websocket", watch)
    enter_live(page, room)
    stored = page.evaluate("""async () => {
      const taps = [];
      for (let tap = 0; tap < 250; tap++) taps.push(ovation.react("🔥"));
      for (let tap = 0; tap < 30; tap++) taps.push(ovation.react("👏"));
      return Promise.all(taps);
    }""")
    assert len(stored) == 280
    # The first goes at once, the others when the batch time is over.
    assert [(message["emoji"], message["count"]) for message in sent] == [
        ("🔥", 1),
        ("🔥", 100),
        ("🔥", 100),
        ("🔥", 49),
        ("👏", 30),
    ]
    ids = [message["id"] for message in sent]
    assert len(set(ids)) == 5
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", id) for id in ids)
    assert {answer["id"] for answer in stored} == set(ids)
    until(page, "ovation.totals.reactions === 280")
    assert totals(ovation, room) == {"reactions": 280, "late": 0, "duplicates": 0, "rejected": 0}


def test_mistake_is_told_and_spoils_nothing(page, ovation, room):
    enter_live(page, room)
    outcomes = page.evaluate("""async () => {
      const taps = [ovation.react("fire"), ovation.react("🔥"), ovation.react("🔥", 0), ovation.react("🔥", 1.5)];
      const settled = await Promise.allSettled(taps);
      return settled.map(({ status, reason }) => [status, reason?.name, reason?.problem?.type ?? null]);
    }""")
    assert [(status, problem) for status, _, problem in outcomes] == [
        ("rejected", "urn:ovation:problem:unknown-emoji"),
        ("fulfilled", None),
        ("rejected", None),
        ("rejected", None),
    ]
    assert len(page.evaluate("seen.error")) == 3
    assert wait_reactions(ovation, room, 1)["reactions"] == 1


def test_reaction_without_an_answer_goes_by_http_under_its_id(page, ovation, batch_route, room):
    swallowed = []

    def route(socket):
        socket.connect_to_server()
        socket.on_message(lambda text: swallowed.append(json.loads(text)))

    page.route_web_socket("**/feed*", route)
    page.reload()
    enter_live(page, room)
    with page.expect_request(lambda request: request.method == "POST") as sent:
        page.evaluate("() => { window.tap = ovation.react('🔥', 3); }")
    assert [(item["room"], item["id"], item["count"]) for item in sent.value.post_data_json] == [
        (room, swallowed[0]["id"], 3)
    ]
    assert page.evaluate("tap")["id"] == swallowed[0]["id"]
    assert wait_reactions(ovation, room, 3)["reactions"] == 3


def test_taps_without_a_network_count_once_when_it_is_back(page, ovation, batch_route, room):
    enter_live(page, room)
    page.context.set_offline(True)
    page.evaluate("""() => {
      window.taps = [];
      for (let tap = 0; tap < 7; tap++) taps.push(ovation.react("🔥"));
    }""")
    with pytest.raises(Exception, match="Failed to fetch"):
        page.evaluate("fetch('/healthz')")
    page.evaluate("taps.push(ovation.react('👏', 5))")
    assert totals(ovation, room)["reactions"] == 0
    page.context.set_offline(False)
    page.evaluate("Promise.all(taps)")
    until(page, "ovation.state === 'live'")
    assert wait_reactions(ovation, room, 12)["reactions"] == 12


def test_what_waits_is_sent_again_under_its_ids_and_counts_once(page, ovation, batch_route, room):
    enter_live(page, room)
    page.context.set_offline(True)
    page.evaluate("() => { for (let tap = 0; tap < 3; tap++) ovation.react('🔥'); ovation.react('👏', 5); }")
    kept = page.evaluate("ovation.waiting")
    assert sum(reaction["count"] for reaction in kept) == 8
    assert page.evaluate("seen.waiting.at(-1)") == 8
    # As the page would be left; the one that follows has what waits from somewhere.
    page.evaluate("() => ovation.close()")
    enter(page, room)
    page.evaluate(f"() => {{ window.again = ovation.resend({json.dumps(kept)}); }}")
    page.context.set_offline(False)
    assert [stored["id"] for stored in page.evaluate("Promise.all(again)")] == [reaction["id"] for reaction in kept]
    until(page, "seen.waiting.at(-1) === 0")
    assert page.evaluate("ovation.waiting") == []
    assert wait_reactions(ovation, room, 8)["reactions"] == 8


def test_taps_while_the_gateway_is_dead_count_once_when_it_is_back(browser, own_ovation, room):
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{own_ovation.http}/")
    if httpx.post(f"{own_ovation.http}/v1/reactions", json=[], timeout=10).status_code == 404:
        pytest.skip("POST /v1/reactions is not there")
    enter_live(page, room)
    page.evaluate("ovation.react('🔥')")
    own_ovation.process.kill()
    until(page, "ovation.state !== 'live'")
    page.evaluate("""() => {
      window.taps = [];
      for (let tap = 0; tap < 20; tap++) taps.push(ovation.react("🔥"));
      for (let tap = 0; tap < 3; tap++) taps.push(ovation.react("👏"));
    }""")
    own_ovation.start()
    page.evaluate("Promise.all(taps)")
    until(page, "ovation.state === 'live' && ovation.totals.reactions === 24")
    assert wait_reactions(own_ovation, room, 24)["reactions"] == 24
    assert page.evaluate("seen.error") == []
    context.close()


def test_page_that_is_left_right_after_a_tap_counts(page, ovation, batch_route, room):
    # With a batch time of a minute only the farewell can send what follows the first tap.
    enter_live(page, room, batchMs=60_000)
    page.evaluate("""() => {
      for (const emoji of ["🔥", "🔥", "🔥", "👏"]) ovation.react(emoji);
      location.href = "/healthz";
    }""")
    page.wait_for_url("**/healthz")
    assert wait_reactions(ovation, room, 4)["reactions"] == 4


def test_room_that_is_left_sends_what_waits(page, ovation, batch_route, room):
    enter_live(page, room, batchMs=60_000)
    page.evaluate("""async () => {
      const taps = [ovation.react("🔥"), ovation.react("🔥", 4)];
      ovation.close();
      await Promise.all(taps);
    }""")
    assert page.evaluate("ovation.state") == "closed"
    assert page.evaluate("ovation.react('🔥').catch((error) => error.message)") == "The room is left."
    assert wait_reactions(ovation, room, 5)["reactions"] == 5


def test_sample_page_of_the_docs_works_from_another_origin(browser, ovation, room):
    site = Site(sample(ovation, "sample-page").replace('"lobby"', json.dumps(room)))
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(site.url)
    page.get_by_role("button", name="👏").click()
    until(page, "document.querySelector('output').textContent === '1'")
    assert page.locator("#trouble").text_content() == ""
    context.close()
    site.close()
    assert totals(ovation, room)["reactions"] == 1


def test_sample_program_of_the_docs_works(ovation, room):
    program = sample(ovation, "sample-python").replace('"lobby"', json.dumps(room))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "'offset'" in done.stdout
    assert wait_reactions(ovation, room, 1)["reactions"] == 1


def test_lost_connection_goes_on_after_the_cursor(other_origin, ovation, gateway):
    enter(other_origin, "lobby", f"{ovation.http}/ovation.js", gateway.url)
    first = gateway.visit()
    assert (first.path, first.offered) == ("/v1/rooms/lobby/feed", "")
    first.snapshot("c/1+")
    until(other_origin, "ovation.state === 'live'")
    first.send(type="skipped", count=7)
    first.close(1012)
    again = gateway.visit()
    assert again.path == "/v1/rooms/lobby/feed?after=c%2F1%2B"
    until(other_origin, "ovation.state === 'live'")
    assert other_origin.evaluate("seen.skipped") == [7]
    assert len(other_origin.evaluate("seen.snapshot")) == 1


def test_moments_are_told_and_resumed_after(other_origin, ovation, gateway):
    enter(other_origin, "lobby", f"{ovation.http}/ovation.js", gateway.url)
    visit = gateway.visit()
    visit.snapshot("c1")
    visit.send(type="moment", cursor="c2", moment={"id": "lobby:10s:1", "revision": 1, "total": 40})
    until(other_origin, "seen.moment.length === 1")
    assert other_origin.evaluate("seen.moment[0].total") == 40
    assert other_origin.evaluate("ovation.totals.reactions") == 0
    assert other_origin.evaluate("ovation.watching") == 1
    visit.close(1012)
    assert gateway.visit().path == "/v1/rooms/lobby/feed?after=c2"


def test_too_old_is_not_sent_again(other_origin, ovation, gateway):
    enter(other_origin, "lobby", f"{ovation.http}/ovation.js", gateway.url)
    gateway.visit().snapshot("c1")
    until(other_origin, "ovation.state === 'live'")
    said = other_origin.evaluate("""() => ovation.resend([
      { room: "lobby", emoji: "🔥", count: 2, id: "old", until: Date.now() - 1 },
    ])[0].catch((error) => error.message)""")
    assert said == "Your reaction could not be sent. Is the network there?"
    assert other_origin.evaluate("ovation.waiting") == []


def test_token_is_asked_for_again_once(other_origin, ovation, gateway):
    enter(other_origin, "lobby", f"{ovation.http}/ovation.js", gateway.url, ["t1", "t2", "t3"])
    first = gateway.visit()
    assert first.offered.replace(" ", "") == "ovation.v1,ovation.token.t1"
    first.snapshot("c1")
    until(other_origin, "ovation.state === 'live'")
    first.close(4401, "token expired")
    renewed = gateway.visit()
    assert renewed.offered.replace(" ", "") == "ovation.v1,ovation.token.t2"
    assert other_origin.evaluate("seen.error") == []
    renewed.close(4401, "token revoked")
    until(other_origin, "ovation.state === 'denied'")
    assert other_origin.evaluate("seen.error") == ["token revoked"]
    # What would connect again does not.
    other_origin.evaluate("dispatchEvent(new Event('online'))")
    assert other_origin.evaluate("[asked, ovation.state]") == [2, "denied"]
    assert gateway.is_left_alone()


@pytest.mark.parametrize("code", [4401, 4403])
def test_fixed_token_is_denied_at_once(other_origin, ovation, gateway, code):
    enter(other_origin, "lobby", f"{ovation.http}/ovation.js", gateway.url, token="t1")
    gateway.visit().close(code, "not this one")
    until(other_origin, "ovation.state === 'denied'")


def test_too_many_waits_as_long_as_it_is_told(other_origin, ovation, gateway):
    enter(other_origin, "lobby", f"{ovation.http}/ovation.js", gateway.url)
    visit = gateway.visit()
    visit.snapshot("c1")
    until(other_origin, "ovation.state === 'live'")
    other_origin.evaluate("() => { window.tap = ovation.react('🔥'); }")
    first = visit.receive()
    problem = {"type": "urn:ovation:problem:rate-limited", "status": 429, "title": "Too many", "retry_after": 2}
    refused = time.monotonic()
    visit.send(type="error", ref=first["ref"], problem=problem)
    # Taps that come meanwhile wait, and go together.
    other_origin.evaluate("() => { window.more = [1, 2, 3].map(() => ovation.react('🔥')); }")
    again = [visit.receive(), visit.receive()]
    # The browser's clock and this one agree, but not to the millisecond.
    assert time.monotonic() - refused > 1.9
    assert again[0] == first
    assert (again[1]["count"], again[1]["id"] != first["id"]) == (3, True)
    for message in again:
        visit.send(type="ack", ref=message["ref"], id=message["id"])
    assert other_origin.evaluate("Promise.all([tap, ...more])")[0] == {"id": first["id"], "count": 1}


def test_reactions_that_wait_are_bounded(other_origin, ovation, gateway):
    enter(other_origin, "lobby", f"{ovation.http}/ovation.js", gateway.url, batchMs=60_000)
    gateway.visit().snapshot("c1")
    until(other_origin, "ovation.state === 'live'")
    # Full reactions take no more taps, so each is one of its own.
    refused = other_origin.evaluate("""async () => {
      const refused = [];
      for (let tap = 0; tap < 70; tap++) ovation.react("🔥", 100).catch((error) => refused.push(error.message));
      await new Promise((done) => setTimeout(done));
      return refused;
    }""")
    assert refused == ["That is too fast. Wait a moment."] * 6


def test_a_page_outlives_its_gateway_and_misses_no_final(browser, tmp_path):
    """The gateway is killed under it, twice, and comes back; without a reload the page has seen the last result of every window."""
    topology = Topology(tmp_path)
    engine = started(tmp_path)
    first = Process("gateway", "--topology", topology.file, "--cluster", engine.control, "--http", FREE).wait_ready()
    address = first.http.removeprefix("http://")
    gateways = [first]
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(60_000)

    def tap(seconds):
        until = time.monotonic() + seconds
        sent = 0
        while time.monotonic() < until:
            sent += httpx.post(f"{engine.http}/v1/rooms/r/reactions", json={"emoji": "🔥"}, timeout=10).status_code == 200
        return sent

    try:
        page.goto(f"{first.http}/")
        enter_live(page, "r")
        sent = tap(2)
        for _ in range(2):
            gateways[-1].kill()
            until(page, "ovation.state !== 'live'")
            # A window begins and ends while it is away.
            sent += tap(5)
            again = Process("gateway", "--topology", topology.file, "--cluster", engine.control, "--http", address)
            gateways.append(again.wait_ready())
            until(page, "ovation.state === 'live'")
            sent += tap(1)
        finals = """[...new Map([...seen.snapshot.flatMap(({ windows }) => windows), ...seen.update]
            .filter((window) => window.final).map((window) => [window.window.start, window.total])).values()]"""
        until(page, f"{finals}.reduce((sum, total) => sum + total, 0) >= {sent}")
        assert page.evaluate(f"{finals}.reduce((sum, total) => sum + total, 0)") == sent
        assert page.evaluate("seen.snapshot.length") == 1, "it resumed each time"
        numbers = page.evaluate("seen.update.map(({ seq }) => seq)")
        assert numbers == sorted(set(numbers))
        assert page.evaluate("seen.state.filter((state) => state === 'live').length") == 3
    finally:
        context.close()
        for gateway in gateways:
            gateway.end()
        engine.end()
