"""The dashboard in a real browser: all rooms, one room over time, and what can be taken along."""

from __future__ import annotations

import collections
import csv
import json
import re
import struct
import time
from pathlib import Path
from urllib.parse import parse_qs

import httpx
import pytest
from playwright.sync_api import expect

import readers
from processes import FREE, READY_SECONDS, ROOT, Process, outcome
from topology import WINDOW_MS, Topology, started

OUT = Path(__file__).parent / "out"
AXE = ROOT / "gateway/web/node_modules/axe-core/axe.min.js"
PATIENCE_MS = 30_000
FRESH_SECONDS = 90
WIDE = {"width": 1280, "height": 900}
# What a chart may ask for, however long its range is (`span.ts`).
POINTS_MAX = 600
EMOJI = ["🔥", "❤️", "👏", "😢"]

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def awake(ovation):
    """The system, once its engine has answered: on a busy machine it takes a while to make ready."""
    awaken(ovation)
    return ovation


def complains(message):
    # A gateway that reads as many histories as it may says 503, and the page asks again; the browser notes it all the same.
    return message.type in ("error", "warning") and "503 (Service Unavailable)" not in message.text


@pytest.fixture
def open_page(browser, awake):
    """Opens the dashboard in a browser of its own; at the end no page may have complained or asked another server."""
    contexts, complaints = [], []

    def open_page(view="", prepare=None, system=awake, live=True, **options):
        options.setdefault("viewport", WIDE)
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if complains(message) else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: None if request.url.startswith((system.http, "blob:")) else complaints.append(f"asked {request.url}"),
        )
        if prepare:
            prepare(page)
        page.goto(f"{system.http}/{view}")
        if live:
            expect(page.locator("#link")).to_have_attribute("data-state", "live")
        return page

    yield open_page
    for context in contexts:
        context.close()
    # A broken content policy is reported as a console error.
    assert complaints == []


def react(system, room, counts, **more):
    for emoji, count in counts.items():
        body = {"emoji": emoji, "count": count, **more}
        answer = httpx.post(f"{system.http}/v1/rooms/{room}/reactions", json=body, timeout=10)
        assert answer.status_code == 200, answer.text


def history(system, room):
    answer = httpx.get(f"{system.http}/v1/rooms/{room}/history", timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()["windows"]


def wait_until(true):
    deadline = time.monotonic() + READY_SECONDS
    while not true():
        assert time.monotonic() < deadline


def awaken(system):
    """Until reactions are counted: an engine that has just begun makes ready for a while."""

    def counts():
        react(system, "dawn", {"🔥": 1})
        return httpx.get(f"{system.http}/v1/rooms/dawn", timeout=10).json()["windows"]

    wait_until(counts)


def react_at_first(system, room, counts):
    """The same in a system that has just begun: its engine may still be making ready."""
    react(system, room, counts)
    wait_until(lambda: httpx.get(f"{system.http}/v1/rooms/{room}", timeout=10).json()["windows"])


def react_over_windows(system, room, windows=4):
    """Taps in so many windows, until all of them are final; what was sent."""
    sent = collections.Counter()
    number = 0
    while len({window["window"]["start"] for window in history(system, room)}) < windows:
        counts = {EMOJI[number % len(EMOJI)]: 1 + number % 7}
        react(system, room, counts, user=f"user-{number % 5}")
        sent.update(counts)
        number += 1
    wait_until(lambda: sum(window["total"] for window in history(system, room)) == sent.total())
    return sent


@pytest.fixture(scope="module")
def crowds():
    return []


@pytest.fixture
def crowd(ovation, crowds):
    """A room with a few windows behind it, and what was sent there. Many tests look at the last five minutes: a room that
    is older than some of them is no longer whole there."""
    if not crowds or time.monotonic() - crowds[-1][0] > FRESH_SECONDS:
        room = f"crowd-{time.time_ns()}"
        crowds.append((time.monotonic(), (room, react_over_windows(ovation, room))))
    return crowds[-1][1]


def picture(page, name):
    OUT.mkdir(exist_ok=True)
    page.screenshot(path=OUT / f"{name}.png", full_page=True)


def row(page, room):
    return page.locator(f'tr[data-room="{room}"]')


def shows_taps(page, taps):
    """Whether the chart adds up to so many taps, and has read all of the past."""
    card = page.locator("#rate-card")
    expect(card).to_have_attribute("data-taps", str(taps))
    expect(card.get_by_text("Reading the past")).to_have_count(0)


def fragment(page):
    return {name: values[0] for name, values in parse_qs(page.evaluate("location.hash.slice(1)")).items()}


def chart(page, name="Taps a second by emoji"):
    return page.get_by_role("slider", name=re.compile(f"^{name}"))


def drag(page, start, end):
    """Chooses a part of the first chart, by shares of its width."""
    box = page.locator(".u-over").first.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * start, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * (start + end) / 2, y)
    page.mouse.move(box["x"] + box["width"] * end, y)
    page.mouse.up()


# All rooms


def test_rooms_appear_and_move_while_one_looks(open_page, ovation, room):
    page = open_page(f"#find={room}")
    react(ovation, room, {"🔥": 30})
    expect(row(page, room).locator(".total")).to_have_text("30")
    expect(row(page, room).locator(".rate")).not_to_have_text("0")
    expect(row(page, room)).to_contain_text("🔥")
    react(ovation, f"{room}-louder", {"👏": 90})
    expect(page.locator("tr[data-room]")).to_have_count(2)
    expect(page.locator("tr[data-room]").first).to_have_attribute("data-room", f"{room}-louder")
    # Somebody who only looks is counted, too.
    watcher = open_page(f"#room={room}")
    expect(watcher.locator("#watching")).to_have_text("1")
    expect(row(page, room).locator(".watching")).to_have_text("1")
    page.get_by_label("Sort by").select_option("room")
    expect(page.locator("tr[data-room]").first).to_have_attribute("data-room", room)
    assert fragment(page) == {"find": room, "sort": "room"}
    picture(page, "dashboard-rooms-light")


def test_any_room_opens_by_its_name_and_back_leads_back(open_page, room):
    page = open_page()
    page.get_by_label("Name of a room").fill(room)
    page.get_by_role("button", name="Open").click()
    expect(page.locator("#room")).to_have_text(room)
    assert fragment(page)["room"] == room
    page.go_back()
    expect(page.get_by_role("heading", name="All rooms")).to_be_visible()
    page.go_forward()
    expect(page.locator("#room")).to_have_text(room)
    # Nobody has been there: the page says how to begin.
    expect(page.locator("#no-taps")).to_contain_text(f"/v1/rooms/{room}/reactions")
    assert page.get_by_role("link", name="React").get_attribute("href") == f"/r/{room}"
    assert page.get_by_role("link", name="Stage").get_attribute("href") == f"/s/{room}"


def test_thousands_of_rooms_do_not_freeze_the_page(open_page, ovation, batch_route, room):
    page = open_page(f"#find={room}")
    rooms = 2_000
    # The longest time that the page has not answered.
    page.evaluate(
        """() => {
          globalThis.longest = 0;
          let last = performance.now();
          setInterval(() => {
            const now = performance.now();
            globalThis.longest = Math.max(globalThis.longest, now - last);
            last = now;
          }, 20);
        }"""
    )
    for first in range(0, rooms, 500):
        items = [{"room": f"{room}-{number:04}", "emoji": "🔥"} for number in range(first, first + 500)]
        answer = httpx.post(f"{ovation.http}/v1/reactions", json=items, timeout=30).json()
        assert answer["accepted"] == 500, answer
    expect(page.get_by_role("navigation", name="Pages of rooms")).to_contain_text("of 2,000")
    assert page.locator("tr[data-room]").count() == 40
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_role("navigation", name="Pages of rooms")).to_contain_text("41–80")
    longest = page.evaluate("longest")
    print(f"\n{rooms} rooms at once: the page was busy for at most {longest:.0f} ms")
    assert longest < 2_000
    page.get_by_label("Find a room").fill(f"{room}-1999")
    expect(page.locator("tr[data-room]")).to_have_count(1)


# Two systems make ready for it.
@pytest.mark.timeout(300)
def test_the_first_room_is_taught_and_appears(own_embedded, open_page):
    page = open_page(system=own_embedded)
    expect(page.locator("#no-rooms")).to_contain_text("No rooms yet")
    line = page.locator("#no-rooms code").text_content()
    assert line.startswith(f"curl {own_embedded.http}/v1/rooms/lobby/reactions")
    body = json.loads(re.search(r"-d '(.*)'$", line).group(1))
    react_at_first(own_embedded, "lobby", {body["emoji"]: body["count"]})
    expect(row(page, "lobby").locator(".total")).to_have_text("3")
    expect(page.locator("#no-rooms")).to_have_count(0)


def test_the_old_way_in_still_leads_to_a_room(ovation, room):
    answer = httpx.get(f"{ovation.http}/?room={room}", timeout=10)
    assert answer.is_redirect and answer.headers["location"] == f"/r/{room}"


# One room


def test_taps_of_a_script_show_in_the_charts(open_page, ovation, room):
    page = open_page(f"#room={room}&last=5m&live=1")
    react(ovation, room, {"🔥": 40, "👏": 20, "😢": 5}, user="ann")
    react(ovation, room, {"🔥": 2}, user="bob")
    shows_taps(page, 67)
    expect(page.locator("#total")).to_have_text("67")
    expect(page.locator('li[data-emoji="🔥"] .taps')).to_have_text("42")
    expect(page.locator('li[data-emoji="👏"] .taps')).to_have_text("20")
    tops = page.get_by_role("list", name="Top emoji").locator("li")
    assert [item.get_attribute("data-emoji") for item in tops.all()] == ["🔥", "👏", "😢"]
    page.get_by_text("The charts as a table").click()
    table = page.get_by_role("table", name="Taps by time and emoji")
    expect(table.locator("tbody tr").first).to_be_visible()
    heads = table.locator("thead th").all_text_contents()
    column = heads.index("🔥") + 1
    cells = table.locator(f"tbody tr > :nth-child({column})").all_text_contents()
    assert sum(map(int, cells)) == 42
    # Both named themselves in one window, or one in each of two.
    users = [int(cell) for cell in table.locator(f"tbody tr > :nth-child({heads.index('Users') + 1})").all_text_contents()]
    assert sum(users) >= 2 and max(users) <= 2
    # The emoji of the chart's colour are drawn, and not only listed.
    colours = page.evaluate(
        """() => {
          const canvas = document.querySelector("#rate-card canvas");
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          const found = new Set();
          for (let at = 0; at < data.length; at += 4) found.add(data.slice(at, at + 3).join());
          return found.size;
        }"""
    )
    assert colours > 10


# Notes when the page shows the first numbers, in ms since the navigation began.
WATCH = """
new MutationObserver(() => {
  if (!globalThis.first && document.querySelector('#rate-card:not([data-taps="0"]), tr[data-room]')) {
    globalThis.first = performance.now();
  }
}).observe(document, { attributes: true, childList: true, subtree: true });
"""


def test_first_data_is_there_within_a_second(open_page, crowd):
    room, sent = crowd
    page = open_page(f"#room={room}&last=15m&live=1", prepare=lambda page: page.add_init_script(WATCH), live=False)
    shows_taps(page, sent.total())
    first, whole = page.evaluate("[first, performance.now()]")
    print(f"\nroom: first data {first:.0f} ms after the navigation began, all of the range after {whole:.0f} ms at most")
    assert first < 3_000
    rooms = open_page(f"#find={room}", prepare=lambda page: page.add_init_script(WATCH), live=False)
    expect(row(rooms, room)).to_be_visible()
    first = rooms.evaluate("first")
    print(f"all rooms: first data after {first:.0f} ms")
    assert first < 3_000


def test_the_past_is_there_after_a_reload(open_page, ovation, crowd):
    room, sent = crowd
    page = open_page(f"#room={room}&last=15m&live=1")
    shows_taps(page, sent.total())
    page.reload()
    shows_taps(page, sent.total())
    for emoji, count in sent.items():
        expect(page.locator(f'li[data-emoji="{emoji}"] .taps')).to_have_text(str(count))
    # Long ranges are added up by the server, and no tap is lost on the way.
    for last in ("24h", "7d"):
        with page.expect_request(lambda request: "/history?" in request.url and "step=" in request.url) as asked:
            page.get_by_role("button", name=last, exact=True).click()
        query = {name: values[0] for name, values in parse_qs(asked.value.url.split("?")[1]).items()}
        assert (int(query["to"]) - int(query["from"])) / int(query["step"]) <= POINTS_MAX + 1
        shows_taps(page, sent.total())
        assert fragment(page) == {"room": room, "last": last, "live": "1"}


def test_only_what_is_shown_is_asked_for_and_stale_questions_are_given_up(open_page, crowd):
    room, sent = crowd
    asked, given_up = [], []

    def prepare(page):
        page.on("request", lambda request: asked.append(request.url) if "/history?" in request.url else None)
        page.on("requestfailed", lambda request: given_up.append(request.url))

    page = open_page(f"#room={room}&last=5m&live=1", prepare=prepare)
    for last in ("15m", "1h", "6h", "24h", "5m"):
        page.get_by_role("button", name=last, exact=True).click()
    shows_taps(page, sent.total())
    assert given_up, "the ranges before the last one were still being read"
    spans = [int(query["to"][0]) - int(query["from"][0]) for query in (parse_qs(url.split("?")[1]) for url in asked)]
    assert max(spans) <= 24 * 3_600_000 + 180_000
    before = len(asked)
    page.wait_for_timeout(2_500)
    # Time goes on, and the feed tells of it.
    assert len(asked) == before


def test_zoom_and_a_shared_link_show_the_same(open_page, ovation, crowd):
    room, sent = crowd
    page = open_page(f"#room={room}&last=5m&live=1")
    shows_taps(page, sent.total())
    page.get_by_role("button", name="Pause").click()
    paused = fragment(page)
    assert set(paused) == {"room", "from", "to"}
    shows_taps(page, sent.total())
    start = history(ovation, room)[0]["window"]["start"]
    # From just after the first window to the end.
    share = (start + WINDOW_MS - int(paused["from"])) / (int(paused["to"]) - int(paused["from"]))
    drag(page, share, 0.99)
    expect(page).not_to_have_url(re.compile(f"to={paused['to']}"))
    zoomed = fragment(page)
    assert int(paused["from"]) < int(zoomed["from"]) < int(zoomed["to"]) < int(paused["to"])
    less = sum(window["total"] for window in history(ovation, room) if window["window"]["end"] > int(zoomed["from"]))
    shows_taps(page, less)
    other = open_page(f"#room={room}&from={zoomed['from']}&to={zoomed['to']}", color_scheme="dark")
    shows_taps(other, less)
    for place in ("#range", "#range-taps"):
        expect(other.locator(place)).to_have_text(page.locator(place).text_content())
    assert other.locator("#rate-card").get_attribute("data-points") == page.locator("#rate-card").get_attribute("data-points")
    page.go_back()
    expect(page.locator("#rate-card")).to_have_attribute("data-taps", str(sent.total()))
    assert fragment(page) == paused
    page.go_forward()
    shows_taps(page, less)
    # A double click leads to where the zooming began.
    page.locator(".u-over").first.dblclick()
    shows_taps(page, sent.total())
    assert fragment(page) == paused
    page.get_by_role("button", name="Back to live").click()
    assert fragment(page)["live"] == "1"


def test_the_wheel_zooms_a_chart_that_is_chosen_and_scrolls_the_page_else(open_page, crowd):
    room, sent = crowd
    page = open_page(f"#room={room}&last=5m&live=1", viewport={"width": 1280, "height": 600})
    shows_taps(page, sent.total())
    chart(page).hover()
    page.mouse.wheel(0, -240)
    expect(page.locator("#range")).to_contain_text("Live")
    chart(page).focus()
    chart(page).hover()
    page.mouse.wheel(0, -240)
    expect(page.locator("#range")).to_contain_text("Paused")
    expect(page).to_have_url(re.compile("from="))
    zoomed = fragment(page)
    assert int(zoomed["to"]) - int(zoomed["from"]) < 300_000


def test_the_keyboard_alone_is_enough(open_page, crowd):
    room, sent = crowd
    page = open_page(f"#room={room}&last=5m&live=1")
    shows_taps(page, sent.total())
    page.get_by_role("button", name="Pause").press("Enter")
    shows_taps(page, sent.total())
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('role')") == "slider":
            break
    expect(chart(page)).to_be_focused()
    seen = collections.Counter()
    page.keyboard.press("End")
    last = None
    while (text := chart(page).get_attribute("aria-valuetext")) != last:
        last = text
        seen.update({emoji: int(count) for emoji, count in re.findall(r"(\S+) (\d+)(?=[,;]|$)", text.partition("; ")[2]) if emoji in sent})
        page.keyboard.press("ArrowLeft")
    assert seen == sent
    before = fragment(page)
    page.keyboard.press("+")
    expect(page).not_to_have_url(re.compile(f"to={before['to']}"))
    assert int(fragment(page)["to"]) < int(before["to"])
    page.keyboard.press("0")
    expect(page).to_have_url(re.compile(f"to={before['to']}"))
    assert fragment(page) == before
    expect(chart(page)).to_be_focused()


def test_chosen_emoji_are_shown_alone_and_the_link_says_so(open_page, crowd):
    room, sent = crowd
    page = open_page(f"#room={room}&last=5m&live=1")
    shows_taps(page, sent.total())
    page.get_by_role("button", name="👏").click()
    expect(page.locator("li[data-emoji]")).to_have_count(1)
    assert fragment(page)["emoji"] == "👏"
    page.reload()
    expect(page.locator("li[data-emoji]")).to_have_count(1)
    expect(page.locator('li[data-emoji="👏"] .taps')).to_have_text(str(sent["👏"]))
    page.get_by_role("button", name="Show all").click()
    expect(page.locator("li[data-emoji]")).to_have_count(len(sent))


def test_a_past_stretch_is_played_again(open_page, ovation, crowd):
    room, sent = crowd
    starts = [window["window"]["start"] for window in history(ovation, room)]
    page = open_page(f"#room={room}&from={starts[0] - 20_000}&to={starts[-1] + 20_000}")
    shows_taps(page, sent.total())
    page.get_by_role("button", name="Replay").click()
    replay = page.get_by_role("region", name="Replay")
    expect(replay).to_contain_text("REPLAY")
    expect(page.locator("#range-taps")).to_have_text("0")
    replay.get_by_label("Speed").select_option("60")
    # It plays: what the crowd did comes back by itself.
    expect(page.locator("#range-taps")).to_have_text(str(sent.total()))
    expect(replay.get_by_role("button", name="Play", exact=True)).to_be_visible()
    place = replay.get_by_label("Place in the replay")
    place.evaluate("(input, at) => { input.value = at; input.dispatchEvent(new Event('input', { bubbles: true })); }", starts[0] + 500)
    first = history(ovation, room)[0]["total"]
    expect(page.locator("#range-taps")).to_have_text(str(first))
    picture(page, "dashboard-replay-light")
    replay.get_by_role("button", name="End replay").click()
    expect(page.locator("#range-taps")).to_have_text(str(sent.total()))


@pytest.fixture
def variety(tmp_path):
    """A system whose rooms have windows of three kinds."""
    topology = Topology(tmp_path)
    shape = re.compile(rf"^( +)tumbling: {{ size: {WINDOW_MS}ms }}\n.*?(?= +watermark:)", re.MULTILINE | re.DOTALL)
    text, found = shape.subn(
        "        windows:\n"
        f"          - {{ tumbling: {{ size: {WINDOW_MS}ms }}, grace: 500ms }}\n"
        f"          - {{ name: slide, hopping: {{ size: {2 * WINDOW_MS}ms, advance: {WINDOW_MS}ms }}, grace: 500ms }}\n"
        "          - { name: gust, session: { gap: 4s }, grace: 500ms }\n",
        topology.file.read_text().replace("        window:\n", "", 1),
    )
    assert found == 1, "the shipped topology has another shape"
    topology.file.write_text(text)
    places = ["--http", FREE, "--broker", FREE, "--broker-spu", FREE, "--data", tmp_path / "data"]
    process = Process("run", "--topology", topology.file, *places).wait_ready()
    yield process
    process.end()


# Two systems make ready for it.
@pytest.mark.timeout(300)
def test_windows_of_every_kind_can_be_chosen(variety, open_page, room):
    awaken(variety)
    react(variety, room, {"🔥": 30})
    react(variety, room, {"👏": 12})
    page = open_page(f"#room={room}&last=5m&live=1", system=variety)
    # The shortest tumbling ones are the usual ones: they tell each tap once.
    choice = page.get_by_label("Windows")
    expect(choice.locator("option")).to_have_text([re.compile("tumbling"), re.compile("hopping"), re.compile("session")])
    shows_taps(page, 42)
    choice.select_option("gust")
    shows_taps(page, 42)
    assert fragment(page)["window"] == "gust"
    page.reload()
    expect(choice).to_have_value("gust")
    shows_taps(page, 42)
    expect(page.locator('li[data-emoji="🔥"] .taps')).to_have_text("30")
    choice.select_option("slide")
    expect(page.locator('li[data-emoji="🔥"]')).to_have_count(1)
    picture(page, "dashboard-hopping-light")


def test_a_moment_is_marked_and_leads_to_where_it_was(open_page, ovation, room):
    page = open_page(f"#room={room}&last=5m&live=1")
    items = page.get_by_role("list", name="Moments").locator("li")
    calm = 0
    # What is usual has to be known before anything can stand out.
    while len(history(ovation, room)) < 9:
        react(ovation, room, {"👏": 1}, user=f"user-{calm % 3}")
        calm += 1
        # A pace, so that the room is calm.
        page.wait_for_timeout(150)
    for number in range(6):
        react(ovation, room, {"🎉": 100}, user=f"guest-{number}")
    while items.count() == 0:
        react(ovation, room, {"👏": 1})
        page.wait_for_timeout(150)
    expect(items.first).to_contain_text("🎉")
    mark = page.get_by_role("button", name=re.compile("^Moment at "))
    expect(mark).to_have_text("🎉")
    items.first.get_by_text("More").click()
    line = items.first.locator("code").text_content()
    partition, offset = map(int, re.fullmatch(rf"fluvio consume {ovation.topology.events} -p (\d+) --start (\d+)", line).groups())
    # Who reads from there reads the whole burst.
    again = collections.Counter()
    for place, record in readers.records(ovation.control, ovation.topology.events, ovation.topology.partitions):
        # Others have sent what is no reaction.
        text = bytes(record.value()).decode(errors="replace")
        if place == partition and record.offset() >= offset and f'"room":"{room}"' in text:
            event = json.loads(text)
            again[event["emoji"]] += event.get("count", 1)
    assert again["🎉"] == 600
    picture(page, "dashboard-moment-light")
    mark.click()
    expect(page.locator("#range")).to_contain_text("Paused")
    expect(page).to_have_url(re.compile("from="))
    zoomed = fragment(page)
    assert int(zoomed["to"]) - int(zoomed["from"]) < 300_000
    expect(page.locator('li[data-emoji="🎉"] .taps')).to_have_text("600")
    expect(mark).to_be_visible()
    # All rooms tell of it, too.
    rooms = open_page(f"#find={room}")
    expect(row(rooms, room).locator(".moment")).to_contain_text("🎉")


def test_csv_holds_what_was_sent(open_page, crowd):
    room, sent = crowd
    page = open_page(f"#room={room}&last=15m&live=1")
    shows_taps(page, sent.total())
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    assert download.value.suggested_filename.startswith(f"{room}_")
    rows = list(csv.DictReader(Path(download.value.path()).read_text(encoding="utf-8").splitlines()))
    found = collections.Counter()
    for one in rows:
        found[one["emoji"]] += int(one["count"])
    assert found == sent


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_png_is_a_picture_of_the_charts(open_page, crowd, scheme):
    room, sent = crowd
    page = open_page(f"#room={room}&last=5m&live=1", color_scheme=scheme)
    shows_taps(page, sent.total())
    with page.expect_download() as download:
        page.get_by_role("button", name="PNG").click()
    assert download.value.suggested_filename.endswith(".png")
    content = Path(download.value.path()).read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", content[16:24])
    box = page.locator("#rate-card canvas").bounding_box()
    assert width >= box["width"] and height > box["height"]
    OUT.mkdir(exist_ok=True)
    (OUT / f"dashboard-export-{scheme}.png").write_bytes(content)


def test_the_feed_comes_back_and_goes_on_where_it_was(open_page, ovation, room):
    network, sockets = {"up": True}, []

    def route(socket):
        if network["up"]:
            sockets.append(socket)
            socket.connect_to_server()
        else:
            socket.close(code=1013)

    react(ovation, room, {"🔥": 5})
    page = open_page(f"#room={room}&last=5m&live=1", prepare=lambda page: page.route_web_socket("**/feed*", route))
    shows_taps(page, 5)
    network["up"] = False
    sockets[-1].close(code=1012)
    expect(page.locator("#link")).to_have_attribute("data-state", "away")
    react(ovation, room, {"👏": 4})
    network["up"] = True
    expect(page.locator("#link")).to_have_attribute("data-state", "live")
    shows_taps(page, 9)
    assert "after=" in sockets[-1].url


# Operators


def test_dead_letters_show_the_original(open_page, ovation, room):
    page = open_page(f"#room={room}")
    expect(page.locator("#pipeline")).to_contain_text("Stages")
    producer = readers.connect(ovation.control).topic_producer(ovation.topology.events)
    originals = [f"no JSON {room}", json.dumps({"room": room, "emoji": f"fire {room}"})]
    for text in originals:
        producer.send(room.encode(), text.encode()).wait()
    producer.flush()
    letters = page.locator("#dead-letters")
    for text, reason in zip(originals, ("malformed", "unknown_emoji")):
        letter = letters.get_by_role("row").filter(has_text=text)
        expect(letter).to_have_count(1)
        expect(letter.get_by_role("rowheader")).to_have_text(reason)
    assert int(page.locator("#rejects-total").text_content().split(" ")[0].replace(",", "")) >= 2


def test_the_pipeline_tells_how_the_stages_do(open_page, ovation, room):
    page = open_page(f"#room={room}")
    react(ovation, room, {"🔥": 9})
    stages = page.locator("#stages tbody tr")
    expect(stages.first).to_be_visible()
    expect(stages.filter(has_text="reactions")).to_have_count(ovation.topology.partitions)
    expect(stages.filter(has_text="running").first).to_be_visible()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A system with keys, and how to get a token."""
    folder = tmp_path_factory.mktemp("guarded-dashboard")
    keys = folder / "keys.json"
    assert outcome("token", "--new-keys", keys)[0] == 0
    system = started(folder, "--keys", keys)

    def token(room, allow="react,watch"):
        code, text = outcome("token", "--keys", keys, "--room", room, "--allow", allow)
        assert code == 0, text
        return text.split()[-1]

    yield system, token
    system.end()


def test_a_token_comes_with_the_link_and_the_view_stays(browser, guarded, room):
    system, token = guarded
    context = browser.new_context(viewport=WIDE)
    page = context.new_page()
    page.goto(f"{system.http}/#token={token('elsewhere')}&room={room}&last=5m&live=1")
    expect(page.locator("#link")).to_have_attribute("data-state", "denied")
    assert page.evaluate("location.hash") == f"#room={room}&last=5m&live=1"
    expect(page.get_by_role("alert").first).to_contain_text("token")
    # A token that somebody was given by other means.
    page.get_by_label("Token").fill(token(room))
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("#link")).to_have_attribute("data-state", "live")
    expect(page.locator("#pipeline")).to_contain_text("admin")
    expect(page.get_by_role("button", name="CSV")).to_be_enabled()
    with page.expect_download():
        page.get_by_role("button", name="CSV").click()
    # A link to the same page: the browser loads nothing anew by that alone.
    page.goto(f"{system.http}/#token={token('*')}&find={room}")
    expect(page.get_by_role("heading", name="All rooms")).to_be_visible()
    expect(page.locator("#link")).to_have_attribute("data-state", "live")
    assert page.evaluate("location.hash") == f"#find={room}"
    context.close()


# For everybody


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1280, 1920])
def test_it_fits_and_is_accessible(open_page, ovation, crowd, scheme, width):
    room, sent = crowd
    page = open_page(f"#find={room}", viewport={"width": width, "height": 900}, color_scheme=scheme)
    expect(row(page, room)).to_be_visible()
    check(page, f"dashboard-rooms-{width}-{scheme}", width)
    page = open_page(f"#room={room}&last=5m&live=1", viewport={"width": width, "height": 900}, color_scheme=scheme)
    shows_taps(page, sent.total())
    page.get_by_text("The charts as a table").click()
    page.get_by_role("button", name="Custom").click()
    check(page, f"dashboard-room-{width}-{scheme}", width)
    page.get_by_role("button", name="Replay").click()
    expect(page.get_by_role("region", name="Replay")).to_be_visible()
    check(page, f"dashboard-replay-{width}-{scheme}", width)


def check(page, name, width):
    picture(page, name)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if not page.evaluate("'axe' in globalThis"):
        # A content policy holds for the page's own scripts, not for those of the test.
        page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run().then(({ violations }) => violations)")
    bad = [
        (violation["id"], node["html"][:200], node["failureSummary"])
        for violation in found
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
    assert bad == []
