"""The stage of a room, in a real browser: what the crowd does shows, over anything, and nothing else ever does."""

from __future__ import annotations

import json
import re
import struct
import threading
import time
import zlib
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from processes import FREE, ROOT, Process, outcome
from topology import Topology, started

OUT = Path(__file__).parent / "out"
AXE = ROOT / "gateway/web/node_modules/axe-core/axe.min.js"
# From a tap to the screen through the whole system, on a busy machine.
PATIENCE_MS = 20_000
SCREEN = {"width": 1920, "height": 1080}
SOME = re.compile("^[1-9]")

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture
def contexts(browser):
    """Opens a context in the browser; all are closed at the end."""
    opened = []

    def context(**options):
        options.setdefault("viewport", SCREEN)
        opened.append(browser.new_context(**options))
        return opened[-1]

    yield context
    for one in opened:
        one.close()


@pytest.fixture
def open_stage(contexts, ovation):
    """Opens a stage, and waits until it is live; at the end no page may have complained or asked another server."""
    complaints = []

    def open_stage(room, query="", prepare=None, http=None, **options):
        http = http or ovation.http
        page = contexts(**options).new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith(http) else complaints.append(f"asked {request.url}"))
        if prepare:
            prepare(page)
        page.goto(f"{http}/s/{room}{query}")
        expect(stage(page)).to_have_attribute("data-state", "live")
        return page

    yield open_stage
    # A broken content policy is reported as a console error.
    assert complaints == []


def stage(page):
    return page.locator(".stage")


def canvas(page):
    return page.locator("canvas")


def total(page):
    return page.locator(".total")


def react(http, room, emoji="🔥", count=1):
    body = {"emoji": emoji, "count": count}
    assert httpx.post(f"{http}/v1/rooms/{room}/reactions", json=body, timeout=10).status_code == 200


def picture(page, name, **options):
    OUT.mkdir(exist_ok=True)
    return page.screenshot(path=OUT / f"{name}.png", **options)


# Pixels of the canvas that are not quite transparent. Read from a copy: the page's own canvas is not made for being read.
PAINTED = """(() => {
  const canvas = document.querySelector("canvas");
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let at = 3; at < data.length; at += 4) if (data[at] > 0) count += 1;
  return count;
})()"""


def painted(page):
    return page.evaluate(PAINTED)


def until(page, condition):
    """Waits in the page: Playwright's own waiting needs what the content policy forbids."""
    page.evaluate(f"""async () => {{
      while (!({condition})) await new Promise(requestAnimationFrame);
    }}""")


def first_pixel(png):
    """Red, green, blue and alpha of the pixel at the top left."""
    at, parts = 8, {}
    while at < len(png):
        (length,), kind = struct.unpack(">I", png[at : at + 4]), png[at + 4 : at + 8]
        parts[kind] = parts.get(kind, b"") + png[at + 8 : at + 8 + length]
        at += 12 + length
    channels = {2: 3, 6: 4}[parts[b"IHDR"][9]]
    # A row begins with its filter; of the first pixel every filter leaves the values as they are.
    values = zlib.decompress(parts[b"IDAT"])[1 : 1 + channels]
    return (*values, 255)[:4]


class Script:
    """Plays the gateway to a page that it prepares: for what no test can make a real crowd do in time."""

    def __init__(self):
        self.sockets = []
        # Close code for connections; they are taken where there is none.
        self.refuses = None
        self._cursor = 0

    def prepare(self, page):
        page.route_web_socket("**/feed*", self._take)

    def _take(self, socket):
        self.sockets.append(socket)
        if self.refuses:
            socket.close(code=self.refuses)
            return
        totals = {"reactions": 100, "late": 0, "duplicates": 0, "rejected": 0}
        self.say(type="snapshot", room="final", room_totals=totals, watching=1, windows=[], moments=[moment("old")])

    def say(self, **message):
        self._cursor += 1
        self.sockets[-1].send(json.dumps({"cursor": str(self._cursor), **message}))

    def update(self, counts, reactions, start=1795426840000, revision=1, score=None):
        self.say(
            type="update",
            watching=1,
            update={
                "stage": "reactions",
                "epoch": 1,
                "seq": revision,
                "room": "final",
                "window": {"name": "10s", "kind": "tumbling", "start": start, "end": start + 10_000},
                "revision": revision,
                "final": False,
                "total": sum(counts.values()),
                "counts": counts,
                "users": 12,
                "sentiment": {"score": score, "coverage": 0.9, "n": 100},
                "top": sorted(counts, key=counts.get, reverse=True)[:5],
                "rate": 12.5,
                "room_totals": {"reactions": reactions, "late": 0, "duplicates": 0, "rejected": 0},
                "source": {"partition": 0, "offset": revision},
            },
        )


def moment(name, revision=1, lift=12.3):
    return {
        "stage": "moments",
        "epoch": 1,
        "seq": revision,
        "room": "final",
        "id": f"final:10s:{name}",
        "window": "10s",
        "revision": revision,
        "final": False,
        "start": 1795426840000,
        "end": 1795426850000,
        "total": 5321,
        "peak": {"start": 1795426840000, "total": 4000, "rate": 400.0, "users": 1204},
        "baseline": {"rate": 31.0},
        "lift": lift,
        "score": 14.2,
        "leading": "⚽",
        "counts": {"⚽": 4000, "🔥": 1321},
        "sentiment": {"before": 0.31, "during": 0.62, "shift": 0.31},
        "replay": {"topic": "emoji-events", "partition": 2, "offset": 88123},
        "source": {"partition": 2, "offset": 412},
    }


def test_tap_rises_and_is_counted(open_stage, ovation, room):
    page = open_stage(room)
    expect(canvas(page)).to_have_attribute("data-flying", "0")
    assert painted(page) == 0
    assert page.locator(".third").count() == 0, "of a crowd that has done nothing there is nothing to see"
    react(ovation.http, room)
    expect(canvas(page)).to_have_attribute("data-flying", "1")
    expect(total(page)).to_have_text("1")
    expect(page.locator(".leader")).to_have_text("🔥")
    until(page, f"{PAINTED} > 200")
    for _ in range(3):
        react(ovation.http, room, "👏", 2)
    expect(total(page)).to_have_text("7")
    expect(page.locator(".leader")).to_have_text("👏")
    picture(page, "stage-quiet")
    # All land, and then the page rests.
    expect(canvas(page)).to_have_attribute("data-flying", "0")
    assert painted(page) == 0


def test_stage_that_comes_later_shows_what_was(open_stage, ovation, room):
    react(ovation.http, room, "❤️", 50)
    page = open_stage(room)
    expect(total(page)).to_have_text("50")
    expect(page.locator(".leader")).to_have_text("❤️")


@pytest.mark.parametrize(
    "query, pixel",
    [
        ("", (0, 0, 0, 0)),
        ("?background=dark", (11, 11, 16, 255)),
        ("?background=light", (246, 244, 240, 255)),
        ("?background=green", (0, 177, 64, 255)),
        ("?background=%23ff8800", (255, 136, 0, 255)),
    ],
)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_ground_is_what_the_address_says(open_stage, room, query, pixel, scheme):
    page = open_stage(room, query, color_scheme=scheme)
    assert first_pixel(page.screenshot(omit_background=True)) == pixel


def test_options_choose_what_shows(open_stage, ovation, room):
    page = open_stage(room, "?emoji=👏,❤&counters=off&position=left")
    beside = open_stage(room)
    react(ovation.http, room, "🔥", 9)
    expect(total(beside)).to_have_text("9")
    assert canvas(page).get_attribute("data-flying") == "0"
    # ❤ in the address is ❤️ in the feed.
    react(ovation.http, room, "❤️")
    expect(canvas(page)).to_have_attribute("data-flying", "1")
    assert page.locator(".third").count() == 0


def test_mistakes_in_the_address_are_left_out(contexts, ovation, room):
    page = contexts().new_page()
    warnings = []
    page.on("console", lambda message: warnings.append((message.type, message.text)))
    page.goto(f"{ovation.http}/s/{room}?background=url(x)&scale=huge&sound=on")
    expect(stage(page)).to_have_attribute("data-state", "live")
    assert [kind for kind, _ in warnings] == ["warning", "warning"], warnings
    assert first_pixel(page.screenshot(omit_background=True))[3] == 0


def test_moment_is_celebrated_once(open_stage):
    script = Script()
    page = open_stage("final", prepare=script.prepare)
    banner = page.locator(".banner")
    assert banner.count() == 0, "a moment from before is no news"
    script.say(type="moment", moment=moment("goal"))
    expect(banner.locator(".text")).to_have_text("12× the usual")
    expect(banner.locator(".face")).to_have_text("⚽")
    until(page, "Number(document.querySelector('canvas').dataset.flying) > 30")
    picture(page, "stage-moment")
    script.say(type="moment", moment=moment("goal", revision=2, lift=20.1))
    expect(banner.locator(".text")).to_have_text("20× the usual")
    # It goes; told again, as after a resume, it does not come back, and the next one comes by itself.
    expect(banner).to_have_count(0)
    script.say(type="moment", moment=moment("goal", revision=2, lift=20.1))
    script.say(type="moment", moment=moment("goal", revision=3, lift=21))
    script.say(type="moment", moment=moment("save", lift=3.21))
    expect(banner.locator(".text")).to_have_text("3.2× the usual")


def test_mood_is_a_band(open_stage):
    script = Script()
    page = open_stage("final", prepare=script.prepare)
    script.update({"🔥": 5}, 105)
    expect(total(page)).to_have_text("105")
    assert page.locator(".mood").count() == 0
    script.update({"🔥": 50}, 150, revision=2, score=0.4)
    meter = page.get_by_role("meter", name="Mood")
    expect(meter).to_have_attribute("aria-valuenow", "40")
    expect(meter).to_have_attribute("aria-valuetext", "happy")


def test_lost_connection_shows_nothing_and_comes_back(open_stage, ovation, room):
    network, sockets = {"up": True}, []

    def route(socket):
        sockets.append(socket)
        if network["up"]:
            socket.connect_to_server()
        else:
            socket.close(code=1013)

    page = open_stage(room, prepare=lambda page: page.route_web_socket("**/feed*", route))
    react(ovation.http, room)
    expect(total(page)).to_have_text("1")
    network["up"] = False
    sockets[-1].close(code=1012)
    expect(stage(page)).not_to_have_attribute("data-state", "live")
    react(ovation.http, room, "🎉", 3)
    expect(stage(page)).to_have_attribute("data-state", "away")
    expect(total(page)).to_have_text("1")
    # After a while, a dot that only who knows of it will see.
    dot = page.locator(".dot")
    expect(dot).to_be_visible()
    assert max(dot.bounding_box()[side] for side in ("width", "height")) <= 12
    network["up"] = True
    expect(stage(page)).to_have_attribute("data-state", "live")
    expect(dot).to_have_count(0)
    expect(total(page)).to_have_text("4")
    expect(canvas(page)).to_have_attribute("data-flying", SOME)
    assert "after=" in sockets[-1].url and "every=" in sockets[-1].url


def test_stage_outlives_its_server(browser, own_ovation, room):
    context = browser.new_context(viewport=SCREEN)
    page = context.new_page()
    page.goto(f"{own_ovation.http}/s/{room}")
    react(own_ovation.http, room)
    expect(total(page)).to_have_text("1")
    own_ovation.process.kill()
    expect(stage(page)).to_have_attribute("data-state", "away")
    own_ovation.start()
    react(own_ovation.http, room, "👏")
    expect(total(page)).to_have_text("2", timeout=2 * PATIENCE_MS)
    expect(stage(page)).to_have_attribute("data-state", "live")
    context.close()


def with_clock(script):
    """Prepares a page whose time goes as the test says."""

    def prepare(page):
        page.clock.install()
        script.prepare(page)

    return prepare


def test_connection_that_is_silent_is_made_anew(open_stage):
    """A connection that has died unseen looks like a quiet room."""
    script = Script()
    page = open_stage("final", prepare=with_clock(script))
    page.clock.run_for(100_000)
    script.update({"🔥": 5}, 105)
    expect(total(page)).to_have_text(SOME)
    page.clock.run_for(119_000)
    assert len(script.sockets) == 1
    page.clock.run_for(2_000)
    expect(stage(page)).to_have_attribute("data-state", "live")
    assert len(script.sockets) == 2
    assert "after=2" in script.sockets[-1].url
    assert page.locator(".dot").count() == 0


def test_stage_that_is_shut_out_asks_again(open_stage):
    script = Script()
    page = open_stage("final", prepare=with_clock(script))
    script.update({"🔥": 5}, 105)
    script.refuses = 4401
    script.sockets[-1].close(code=4401)
    expect(stage(page)).to_have_attribute("data-state", "denied")
    page.clock.run_for(61_000)
    assert len(script.sockets) == 2
    expect(stage(page)).to_have_attribute("data-state", "denied")
    expect(page.locator(".dot")).to_be_visible()
    assert page.locator(".trouble").count() == 0, "the audience is not told"
    script.refuses = None
    page.clock.run_for(61_000)
    expect(stage(page)).to_have_attribute("data-state", "live")
    expect(page.locator(".dot")).to_have_count(0)


def test_untouched_screen_shows_no_cursor_and_speaks_seldom(open_stage):
    script = Script()
    page = open_stage("final", prepare=with_clock(script))
    root, said = page.locator("html"), page.locator("[aria-live]").first
    page.mouse.move(50, 50)
    expect(root).not_to_have_class("untouched")
    page.clock.run_for(3_100)
    expect(root).to_have_class("untouched")
    page.mouse.move(60, 60)
    expect(root).not_to_have_class("untouched")
    script.update({"🔥": 5}, 105)
    expect(total(page)).to_have_text(SOME)
    expect(said).to_be_empty()
    page.clock.run_for(15_000)
    expect(said).to_have_text(re.compile(r"^105 reactions\. .*🔥 leads\.$"))
    script.say(type="moment", moment=moment("goal"))
    page.clock.run_for(2_000)
    expect(said).not_to_contain_text("the usual")
    page.clock.run_for(13_000)
    expect(said).to_contain_text("⚽ 12× the usual.")


def test_reduced_motion_shows_bars_and_no_swarm(open_stage, ovation, room):
    page = open_stage(room, reduced_motion="reduce")
    react(ovation.http, room, "🎉", 8)
    react(ovation.http, room, "🔥", 4)
    expect(total(page)).to_have_text("12")
    expect(page.locator(".bars li")).to_have_count(2)
    expect(page.locator(".bars li").first).to_have_text("🎉")
    assert canvas(page).get_attribute("data-flying") == "0"
    assert painted(page) == 0
    picture(page, "stage-calm")


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
@pytest.mark.parametrize("query", ["", "?background=light", "?background=green&position=right&scale=0.6"])
def test_assistive_technology_finds_nothing_serious(open_stage, query, motion):
    script = Script()
    page = open_stage("final", query, prepare=script.prepare, reduced_motion=motion)
    script.update({"🔥": 50, "👏": 20}, 150, score=0.4)
    script.say(type="moment", moment=moment("goal"))
    expect(page.locator(".banner")).to_be_visible()
    expect(page.locator(".mood")).to_be_visible()
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run()")
    serious = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
    assert serious == [], [(one["id"], [node["html"] for node in one["nodes"]]) for one in serious]
    assert len(found["passes"]) > 5


@pytest.mark.parametrize("width, height", [(1080, 1920), (640, 360), (3840, 1080)])
def test_everything_is_on_the_screen(open_stage, width, height):
    script = Script()
    page = open_stage("final", prepare=script.prepare, viewport={"width": width, "height": height})
    counts = {"🔥": 5_000, "❤️": 3_000, "👏": 1_500, "😂": 900, "🎉": 800}
    script.update(counts, 12_345_678, score=0.4)
    expect(total(page)).to_have_text("12,345,678")
    script.say(type="moment", moment=moment("goal", lift=1234.5))
    # It has come, and does not go yet.
    until(page, "document.querySelector('.banner')?.getAnimations().every(({ currentTime }) => currentTime > 700)")
    for part in (".third", ".total", ".others li:last-child", ".banner", ".banner .text"):
        box = page.locator(part).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width, part
        assert box["y"] >= 0 and box["y"] + box["height"] <= height, part
    picture(page, f"stage-{width}x{height}")


def test_link_with_a_token_opens_a_room_that_asks_for_one(contexts, tmp_path, room):
    keys = tmp_path / "keys.json"
    assert outcome("token", "--new-keys", keys)[0] == 0
    system = started(tmp_path, "--keys", keys)
    try:
        code, text = outcome("token", "--keys", keys, "--room", room, "--allow", "react,watch")
        assert code == 0, text
        page = contexts().new_page()
        page.goto(f"{system.http}/s/{room}")
        # Whoever sets the stage up is told; nobody else will ever see it.
        expect(page.locator(".trouble")).to_be_visible()
        page.goto(f"{system.http}/s/{room}#token={text.split()[-1]}")
        expect(stage(page)).to_have_attribute("data-state", "live")
        expect(page.locator(".trouble")).to_have_count(0)
        assert page.url == f"{system.http}/s/{room}", "the token is out of the address"
    finally:
        system.end()


def heap_bytes(page):
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used = session.send("Runtime.getHeapUsage")["usedSize"]
    session.detach()
    return used


def test_memory_is_the_same_after_days(open_stage):
    """A window each ten seconds, with emoji that come and go: 6,000 are most of a day."""
    script = Script()
    page = open_stage("final", prepare=script.prepare)
    reactions = 100

    def play(windows, of):
        nonlocal reactions
        for number in windows:
            reactions += 3
            counts = {chr(0x1F400 + number % 200): 2, "🔥": 1}
            script.update(counts, reactions, start=1795426840000 + 10_000 * number, score=0.1)
            if number % 20 == 0:
                script.say(type="moment", moment=moment(f"{of}-{number}"))
        expect(total(page)).to_have_text(f"{reactions:,}")

    play(range(2_000), "first")
    before = heap_bytes(page)
    play(range(2_000, 6_000), "then")
    after = heap_bytes(page)
    print(f"\nheap after 2,000 windows {before / 1e6:.2f} MB, after 6,000 {after / 1e6:.2f} MB")
    assert after - before < 500_000


# Counts what the page does: frames and how long it works for each, with the messages that came since the last one; and how
# long tasks were. Of a frame that is Svelte's work, too, which it does when the frame's own callback has returned.
WATCH = """
window.seen = { frames: [], work: [], long: [], messages: 0, started: 0 };
{
  const { seen } = window;
  const request = window.requestAnimationFrame.bind(window);
  let [busy, last] = [0, 0];
  window.requestAnimationFrame = (step) => request((time) => {
    const begun = performance.now();
    step(time);
    queueMicrotask(() => {
      seen.work.push(busy + performance.now() - begun);
      busy = 0;
      if (last) seen.frames.push(time - last);
      last = time;
    });
  });
  Object.defineProperty(WebSocket.prototype, "onmessage", {
    set(hear) {
      this.addEventListener("message", (event) => {
        const begun = performance.now();
        hear(event);
        busy += performance.now() - begun;
        seen.messages += 1;
      });
    },
  });
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) seen.long.push(duration);
  }).observe({ entryTypes: ["longtask"] });
}
"""
SECONDS = 10
UPDATES_PER_S = 200
# What the page's scripts may take of a second of a core.
SCRIPT_MS_PER_S = 150


class Stadium:
    """About 20,000 taps a second, of eight emoji, as a few gateways would combine them."""

    def __init__(self, http, room):
        self._http, self._room = http, room
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._cheer, daemon=True)
        self._thread.start()

    def _cheer(self):
        shares = {"🔥": 100, "❤️": 90, "👏": 80, "😂": 50, "🎉": 40, "👍": 20, "😮": 15, "😢": 5}
        batch = [{"room": self._room, "emoji": emoji, "count": count} for emoji, count in shares.items()]
        with httpx.Client(timeout=20) as client:
            due = time.monotonic()
            while not self._over.wait(max(0.0, due - time.monotonic())):
                due += 0.02
                client.post(f"{self._http}/v1/reactions", json=batch)

    def stop(self):
        self._over.set()
        self._thread.join(30)


@pytest.fixture
def many_windows(tmp_path):
    """A system that has a dozen windows open in each room, and tells each of them every 50 ms."""
    topology = Topology(tmp_path)
    text = topology.file.read_text()
    text, found = re.subn(
        r"^( +)window:\n +tumbling: .*\n(?: +#.*\n)* +grace: .*\n(?: +#.*\n)* +emit: .*\n",
        r"\1windows:\n"
        r"\1  - { tumbling: { size: 10s }, grace: 500ms, emit: { every: 50ms } }\n"
        r"\1  - { hopping: { size: 12s, advance: 1s }, grace: 500ms, emit: { every: 50ms } }\n",
        text,
        count=1,
        flags=re.MULTILINE,
    )
    assert found == 1, "the shipped topology has another shape"
    topology.file.write_text(text)
    places = ["--http", FREE, "--broker", FREE, "--broker-spu", FREE, "--data", tmp_path / "data"]
    process = Process("run", "--topology", topology.file, *places).wait_ready()
    yield process
    process.end()


def script_seconds(session):
    """Processor time that the page's scripts have had so far."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(one["value"] for one in metrics if one["name"] == "ScriptDuration")


def test_two_hundred_updates_a_second_cost_little(open_stage, many_windows, room):
    """The claim is 60 frames a second without a task over 50 ms on an idle machine of two cores. Here a browser that paints in
    software shares them with the server, the crowd and whatever else a machine of CI does, so what the wall clock says of frames
    and tasks is printed, and not judged. Judged is what is the page's own, whoever else is running: the processor time that its
    scripts take, and that it shows no more particles than it may."""
    page = open_stage(room, "?background=dark", http=many_windows.http, prepare=lambda page: page.add_init_script(WATCH))
    crowd = Stadium(many_windows.http, room)
    try:
        until(page, "Number(document.querySelector('canvas').dataset.flying) > 0")
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        before = script_seconds(session)
        page.evaluate("() => { seen.frames.length = seen.work.length = seen.long.length = seen.messages = 0; }")
        flying = page.evaluate(f"""async () => {{
          const canvas = document.querySelector("canvas");
          const over = performance.now() + {SECONDS * 1000};
          let most = 0;
          while (performance.now() < over) {{
            most = Math.max(most, Number(canvas.dataset.flying));
            await new Promise((again) => setTimeout(again, 100));
          }}
          return most;
        }}""")
        seen = page.evaluate("seen")
        script_ms = (script_seconds(session) - before) * 1000 / SECONDS
        picture(page, "stage-stadium")
    finally:
        crowd.stop()

    def at(numbers, part):
        return sorted(numbers)[min(len(numbers) - 1, int(part * len(numbers)))]

    rate = seen["messages"] / SECONDS
    print(f"\n{rate:.0f} updates/s; {len(seen['frames']) / SECONDS:.1f} frames/s; at most {flying} particles")
    for name in ("frames", "work"):
        parts = ", ".join(f"p{100 * part:.0f} {at(seen[name], part):.2f}" for part in (0.5, 0.95, 0.99))
        print(f"{'between frames' if name == 'frames' else 'own work for a frame'}, ms: {parts}, most {max(seen[name]):.2f}")
    print(f"tasks over 50 ms: {len(seen['long'])}, longest {max(seen['long'], default=0):.0f} ms")
    print(f"scripts: {script_ms:.0f} ms of processor time a second, {script_ms / len(seen['frames']) * SECONDS:.2f} ms a frame")
    assert rate >= UPDATES_PER_S * 0.5, "the server was too slow for this test to say anything"
    assert 0 < flying <= 600
    assert script_ms < SCRIPT_MS_PER_S
