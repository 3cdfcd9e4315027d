"""The reaction page of a room, in a real browser."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from processes import FREE, outcome
from topology import started

OUT = Path(__file__).parent / "out"
AXE = Path(__file__).parent.parent / "gateway/web/node_modules/axe-core/axe.min.js"
# From a tap to the screen through the whole system, on a busy machine.
PATIENCE_MS = 20_000
# All that a browser loads before somebody can react, as it goes over the wire.
FIRST_LOAD_MAX = 50_000
USUAL = ["🔥", "❤️", "😂", "👏", "😮", "😢", "👍", "🎉"]
# In the air at a time, the crowd's and one's own.
FLOATS_MAX = 56 + 16

expect.set_options(timeout=PATIENCE_MS)


class Network:
    """What a page may reach of the API: all, or nothing, as without a network. The page itself can be loaded."""

    def __init__(self, context, up=True):
        self.up = up
        self.sockets = []
        self.sent = []
        context.route_web_socket("**/v1/**", self._socket)
        context.route("**/v1/**", self._request)

    def _socket(self, socket):
        if not self.up:
            socket.close(code=1013)
            return
        server = socket.connect_to_server()

        def send(text):
            self._note(json.loads(text), "react")
            server.send(text)

        socket.on_message(send)
        self.sockets.append(socket)

    def _request(self, route):
        if route.request.method == "POST":
            for item in route.request.post_data_json:
                self._note({"type": "react", **item}, "react")
        if self.up:
            route.continue_()
        else:
            route.abort("internetdisconnected")

    def _note(self, message, kind):
        if message.get("type") == kind:
            self.sent.append((self.up, message["id"], message["count"]))

    def cut(self):
        self.up = False
        for socket in self.sockets:
            socket.close(code=1012)
        self.sockets.clear()


@pytest.fixture
def open_context(browser):
    """Browsers of their own; at the end no page may have complained."""
    contexts, complaints = [], []

    def open_context(expected=(), **options):
        options.setdefault("viewport", {"width": 390, "height": 780})
        context = browser.new_context(**options)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)

        def note(text):
            if not any(re.search(pattern, text) for pattern in expected):
                complaints.append(text)

        context.on("console", lambda message: note(message.text) if message.type in ("error", "warning") else None)
        context.on("weberror", lambda error: note(str(error.error)))
        return context

    open_context.complaints = complaints
    yield open_context
    for context in contexts:
        context.close()
    # A broken content policy is reported as a console error.
    assert complaints == []


@pytest.fixture
def open_page(open_context, ovation):
    """Opens a room in a browser of its own, which may ask nobody but the gateway."""

    def open_page(room, query="", prepare=None, **options):
        context = open_context(**options)
        page = context.new_page()
        page.on(
            "request",
            lambda request: None
            if request.url.startswith(ovation.http)
            else open_context.complaints.append(f"asked {request.url}"),
        )
        if prepare:
            prepare(page)
        enter(page, ovation, room, query)
        return page

    return open_page


def enter(page, system, room, query=""):
    page.goto(f"{system.http}/r/{room}{query}")
    live(page)


def live(page):
    expect(page.locator(".link")).to_have_attribute("data-state", "live")


def button(page, emoji):
    return page.locator(f'.pad .tap[data-emoji="{emoji}"]')


def chip(page, emoji):
    return page.locator(f'.chips .tap[data-emoji="{emoji}"]')


def shows(page, total):
    expect(page.locator("#total")).to_have_text(f"{total:,}")


def react(system, room, emoji, count=1, **more):
    body = {"emoji": emoji, "count": count, **more}
    assert httpx.post(f"{system.http}/v1/rooms/{room}/reactions", json=body, timeout=10).status_code == 200


def totals(system, room):
    return httpx.get(f"{system.http}/v1/rooms/{room}", timeout=10).json()["room_totals"]


def picture(page, name):
    OUT.mkdir(exist_ok=True)
    page.screenshot(path=OUT / f"{name}.png")


def inaccessible(page):
    """What axe-core finds that is serious or worse."""
    # By the debugger, which no content policy binds.
    page.evaluate(AXE.read_text() + "; undefined")
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    bad = [rule for rule in found["violations"] if rule["impact"] in ("serious", "critical")]
    return [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in bad]


def test_tap_on_one_page_is_counted_on_both(open_page, room):
    mine, theirs = open_page(room), open_page(room, color_scheme="dark")
    expect(theirs.locator(".now")).to_have_text("Nobody has reacted yet. Be the first.")
    expect(theirs.locator(".watching")).to_have_text(re.compile(r"^\d+ watching$"))
    button(mine, "🔥").click()
    for page in (mine, theirs):
        shows(page, 1)
        expect(button(page, "🔥").locator(".count")).to_have_text("1")
    expect(theirs.locator(".float").first).to_be_attached()
    for _ in range(4):
        button(theirs, "❤️").click()
    for page in (mine, theirs):
        shows(page, 5)
        expect(page.locator(".notice")).to_be_empty()
    picture(mine, "room-light")
    picture(theirs, "room-dark")


def test_own_tap_rises_at_once_and_once(open_page, room):
    gate = {}

    def prepare(page):
        def route(socket):
            gate["server"] = socket.connect_to_server()
            socket.on_message(lambda text: gate.setdefault("held", []).append(text))

        page.route_web_socket("**/v1/**", route)

    page = open_page(room, prepare=prepare)
    button(page, "🔥").click()
    # The reaction has not even left the browser's side.
    expect(page.locator(".float")).to_have_count(1)
    while "held" not in gate:
        page.wait_for_timeout(10)
    for text in gate["held"]:
        gate["server"].send(text)
    shows(page, 1)
    assert page.locator(".float").count() == 1


def test_reaction_from_a_script_shows_with_an_emoji_that_has_no_button(open_page, ovation, room):
    page = open_page(room, viewport={"width": 1280, "height": 800})
    react(ovation, room, "🦄", 34)
    shows(page, 34)
    expect(chip(page, "🦄").locator(".count")).to_have_text("34")
    chip(page, "🦄").click()
    shows(page, 35)
    picture(page, "room-wide")


def test_page_that_comes_later_shows_what_was(open_page, ovation, room):
    react(ovation, room, "👏", 7)
    page = open_page(room)
    shows(page, 7)
    expect(button(page, "👏").locator(".count")).to_have_text("7")


def test_address_says_which_emoji_have_a_button(open_page, room):
    page = open_page(room, "?emoji=🚀,👏,no,🚀")
    taps = page.locator(".pad .tap[data-emoji]")
    expect(taps).to_have_count(2)
    assert [tap.get_attribute("data-emoji") for tap in taps.all()] == ["🚀", "👏"]
    button(page, "🚀").click()
    shows(page, 1)


def test_keyboard_alone_is_enough(open_page, room):
    page = open_page(room)
    page.keyboard.press("1")
    shows(page, 1)
    button(page, "😂").focus()
    page.keyboard.press("Enter")
    shows(page, 2)
    page.keyboard.press("Space")
    shows(page, 3)
    expect(button(page, "😂")).to_have_attribute("aria-label", re.compile(r"^Laughing, \d now$"))
    # Each button can be reached, and shows where one is.
    page.locator(".brand").focus()
    reached = []
    for _ in range(len(USUAL) + 1):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.dataset.emoji ?? document.activeElement.ariaLabel"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert reached == [*USUAL, "More emoji"]


def hold_mouse(page, emoji):
    box = button(page, emoji).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    return page.mouse.up


def hold_finger(page, emoji):
    box = button(page, emoji).bounding_box()
    debugger = page.context.new_cdp_session(page)
    point = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    debugger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [point]})
    return lambda: debugger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def hold_space(page, emoji):
    button(page, emoji).focus()
    page.keyboard.down("Space")
    return lambda: page.keyboard.up("Space")


def hold_number(page, emoji):
    key = str(USUAL.index(emoji) + 1)
    page.keyboard.down(key)
    return lambda: page.keyboard.up(key)


@pytest.mark.parametrize("hold", [hold_mouse, hold_finger, hold_space, hold_number])
def test_press_and_hold_repeats_until_it_is_let_go(open_page, ovation, room, hold):
    page = open_page(room, has_touch=True)
    begun = time.monotonic()
    let_go = hold(page, "👏")
    streak = button(page, "👏").locator(".streak")
    expect(streak).to_have_text(re.compile(r"^\+\d\d+$"))
    # Nine a second, after a third of one.
    assert time.monotonic() - begun > 1
    let_go()
    # What it says is what it sent: once it is quiet, all of it is counted.
    tapped = int(streak.text_content()[1:])
    expect(streak).to_be_empty()
    shows(page, tapped)
    assert totals(ovation, room)["reactions"] == tapped


def test_large_crowd_rises_evenly_and_within_bounds(open_page, ovation, room):
    page = open_page(room)
    page.evaluate("""() => {
      window.risen = [];
      const animate = Element.prototype.animate;
      Element.prototype.animate = function (...all) {
        if (this.className === "float") risen.push([performance.now(), this.textContent]);
        return animate.apply(this, all);
      };
    }""")
    for _ in range(20):
        items = [{"room": room, "emoji": emoji, "count": 100} for emoji in ("🔥", "🔥", "🔥", "👏")]
        assert httpx.post(f"{ovation.http}/v1/reactions", json=items, timeout=10).json()["rejected"] == []
    shows(page, 8000)
    expect(page.locator(".float").first).to_be_attached()
    assert page.locator(".float").count() <= FLOATS_MAX
    risen = page.evaluate("risen")
    fire = sum(emoji == "🔥" for _, emoji in risen)
    assert len(risen) >= 4 and fire >= len(risen) / 2, "most are what most tapped"
    # Never several in one instant.
    gaps = [later - earlier for (earlier, _), (later, _) in zip(risen, risen[1:])]
    assert min(gaps) > 10
    picture(page, "room-busy")


def test_small_screen_needs_no_scrolling(open_page, ovation, room):
    page = open_page(room, viewport={"width": 320, "height": 568})
    react(ovation, room, "🦄", 99, user="somebody with a name")
    shows(page, 99)
    assert page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]") == [320, 568]
    for tap in page.locator(".pad .tap").all():
        box = tap.bounding_box()
        assert box["width"] >= 44 and box["height"] >= 44
        assert box["x"] >= 0 and box["x"] + box["width"] <= 320
        assert box["y"] + box["height"] <= 568
    picture(page, "room-320")


def test_wide_screen_has_all_buttons_in_a_row(open_page, ovation, room):
    page = open_page(room, viewport={"width": 1920, "height": 1080}, color_scheme="dark")
    react(ovation, room, "🔥", 100)
    shows(page, 100)
    assert page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]") == [1920, 1080]
    boxes = [tap.bounding_box() for tap in page.locator(".pad .tap").all()]
    assert len({box["y"] for box in boxes}) == 1
    picture(page, "room-1920")


def test_nothing_moves_when_the_crowd_reacts(open_page, ovation, room):
    page = open_page(room)
    places = "[...document.querySelectorAll('.pad .tap, .total, .now')].map((one) => one.getBoundingClientRect().top)"
    before = page.evaluate(places)
    for emoji in ("🦄", "🔥", "🚀"):
        react(ovation, room, emoji, 50, user=emoji)
    shows(page, 150)
    expect(chip(page, "🚀")).to_be_visible()
    assert page.evaluate(places) == before


def test_reduced_motion_floats_nothing(open_page, ovation, room):
    page = open_page(room, reduced_motion="reduce")
    button(page, "🎉").click()
    react(ovation, room, "🔥", 50)
    shows(page, 51)
    assert page.locator(".float").count() == 0


def test_you_and_others(open_page, ovation, room):
    page = open_page(room)
    # A window ends while this goes on, now and then: then it is done again.
    for turn in range(5):
        for other in range(3):
            react(ovation, room, "🔥", user=f"other {other}")
        button(page, "🔥").click()
        try:
            expect(page.locator(".now")).to_contain_text("You and 3 others", timeout=1_500)
            return
        except AssertionError:
            continue
    raise AssertionError(page.locator(".now").text_content())


MOMENT = {
    "stage": "moments", "epoch": 1, "seq": 1, "room": "r", "id": "r:10s:1", "window": "10s", "revision": 1, "final": False,
    "start": 1, "end": 2, "total": 4000, "peak": {"start": 1, "total": 4000, "rate": 400.0, "users": 1204},
    "baseline": {"rate": 31.0}, "lift": 12.9, "score": 14.2, "leading": "⚽", "counts": {"⚽": 4000},
    "sentiment": {"before": 0.31, "during": 0.62, "shift": 0.31},
}  # fmt: skip


def test_moment_is_celebrated_once(open_page, room):
    sockets = []

    def prepare(page):
        page.route_web_socket("**/v1/**", lambda socket: (socket.connect_to_server(), sockets.append(socket)))

    page = open_page(room, prepare=prepare)

    def tell(**more):
        end = int(time.time() * 1000)
        moment = {**MOMENT, "start": end - 10_000, "end": end, **more}
        sockets[-1].send(json.dumps({"type": "moment", "cursor": "", "moment": moment}))

    banner = page.locator(".moment")
    expect(banner).to_be_empty()
    tell()
    expect(banner).to_have_text(re.compile("What a moment! 4,000 reactions, 13× the usual"))
    expect(banner).to_have_css("opacity", "1")
    picture(page, "room-moment")
    tell(revision=2, total=5321)
    expect(banner).to_contain_text("5,321 reactions")
    tell(revision=1)
    expect(banner).to_contain_text("5,321 reactions")
    expect(banner).to_be_empty()
    tell(revision=3, total=6000)
    button(page, "🔥").click()
    shows(page, 1)
    expect(banner).to_be_empty()


def test_picker_works_by_keyboard(open_page, ovation, room):
    page = open_page(room)
    page.get_by_role("button", name="More emoji").focus()
    page.keyboard.press("Enter")
    picker = page.get_by_role("dialog", name="All emoji")
    expect(picker.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("unicorn")
    page.keyboard.press("Enter")
    shows(page, 1)
    # Into the results and along them.
    page.keyboard.press("Control+A")
    page.keyboard.type("cat")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    expect(picker.locator(".grid button").nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    shows(page, 2)
    # A tone, for what has tones.
    picker.get_by_role("tab", name="People & Body").click()
    picker.get_by_role("radio", name="Medium", exact=True).check(force=True)
    picker.get_by_role("button", name="thumbs up", exact=True).click()
    shows(page, 3)
    picture(page, "room-picker")
    page.keyboard.press("Escape")
    expect(picker).to_have_count(0)
    expect(page.get_by_role("button", name="More emoji")).to_be_focused()
    expect(chip(page, "👍🏽")).to_be_visible()
    counts = httpx.get(f"{ovation.http}/v1/rooms/{room}", timeout=10).json()["windows"]
    assert {emoji for window in counts for emoji in window["counts"]} >= {"🦄", "👍🏽"}
    # They are there when the page is loaded again.
    page.reload()
    live(page)
    page.get_by_role("button", name="More emoji").click()
    for place, name in ((0, "👍🏽"), (2, "unicorn")):
        expect(picker.locator(".grid button").nth(place)).to_have_attribute("aria-label", name)
    expect(picker.get_by_role("radio", name="Medium", exact=True)).to_be_checked()


def test_picker_offers_only_what_the_device_can_draw(open_page, room):
    page = open_page(room)
    page.get_by_role("button", name="More emoji").click()
    expect(page.locator(".grid button").first).to_be_visible()
    blank = []
    for tab in page.get_by_role("dialog", name="All emoji").get_by_role("tab").all():
        tab.click()
        blank += page.evaluate("""() => {
          const context = new OffscreenCanvas(40, 40).getContext("2d", { willReadFrequently: true });
          const cells = [...document.querySelectorAll(".grid button")];
          context.font = getComputedStyle(cells[0]).font;
          context.textBaseline = "top";
          return cells.map((cell) => cell.textContent).filter((emoji) => {
            context.clearRect(0, 0, 40, 40);
            context.fillText(emoji, 0, 0);
            return !context.getImageData(0, 0, 40, 40).data.some(Boolean);
          });
        }""")
    assert blank == []


def test_whatever_the_picker_offers_is_taken(open_page, ovation, room):
    page = open_page(room)
    page.get_by_role("button", name="More emoji").click()
    picker = page.get_by_role("dialog", name="All emoji")
    expect(picker.locator(".grid button").first).to_be_visible()
    offered = set()
    for tone in ("No skin tone", "Medium-dark"):
        picker.get_by_role("radio", name=tone, exact=True).check(force=True)
        for tab in picker.get_by_role("tab").all():
            tab.click()
            offered |= set(page.evaluate("[...document.querySelectorAll('.grid button')].map((one) => one.textContent)"))
    assert len(offered) > 1_800
    emoji = sorted(offered)
    for start in range(0, len(emoji), 500):
        items = [{"room": f"all-{room}", "emoji": one} for one in emoji[start : start + 500]]
        answer = httpx.post(f"{ovation.http}/v1/reactions", json=items, timeout=30).json()
        assert [(items[bad["index"]]["emoji"], bad["detail"]) for bad in answer["rejected"]] == []


def test_first_load_is_small(open_context, ovation, room):
    context = open_context()
    page = context.new_page()
    debugger = context.new_cdp_session(page)
    sizes, names = {}, {}
    debugger.on("Network.responseReceived", lambda event: names.update({event["requestId"]: event["response"]["url"]}))
    debugger.on(
        "Network.loadingFinished",
        lambda event: sizes.update({names.get(event["requestId"], "?"): event["encodedDataLength"]}),
    )
    debugger.send("Network.enable")
    enter(page, ovation, room)
    page.wait_for_load_state("networkidle")
    loaded = {url: size for url, size in sizes.items() if "/v1/" not in url}
    assert any(url.endswith(".css") for url in loaded) and any(url.endswith(".js") for url in loaded)
    assert not any("picker" in url for url in loaded)
    assert sum(loaded.values()) < FIRST_LOAD_MAX, loaded


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessible(open_page, ovation, room, scheme):
    page = open_page(room, color_scheme=scheme, reduced_motion="reduce")
    react(ovation, room, "🦄", 40, user="u")
    react(ovation, room, "🔥", 40, user="v")
    shows(page, 80)
    assert inaccessible(page) == []
    page.get_by_role("button", name="More emoji").click()
    expect(page.get_by_role("dialog").locator(".grid button").first).to_be_visible()
    assert inaccessible(page) == []
    picture(page, f"room-picker-{scheme}")


def test_tap_while_the_socket_is_down_goes_by_http_and_the_feed_comes_back(open_page, batch_route, room):
    network = {"up": True}
    sockets = []

    def route(socket):
        if network["up"]:
            sockets.append(socket)
            socket.connect_to_server()
        else:
            socket.close(code=1013)

    page = open_page(room, prepare=lambda page: page.route_web_socket("**/feed*", route))
    network["up"] = False
    sockets[-1].close(code=1012)
    expect(page.locator(".link")).not_to_have_attribute("data-state", "live")
    with page.expect_request(lambda request: request.method == "POST") as sent:
        button(page, "👍").click()
    assert sent.value.url.endswith("/v1/reactions")
    assert sent.value.response().status == 200
    shows(page, 0)
    network["up"] = True
    live(page)
    shows(page, 1)
    assert "after=" in sockets[-1].url


NO_NETWORK = ["ERR_INTERNET_DISCONNECTED", "ERR_CONNECTION", "WebSocket connection"]


def test_taps_without_a_network_outlive_the_page_and_count_once(open_context, ovation, batch_route, room):
    context = open_context(expected=NO_NETWORK)
    network = Network(context)
    page = context.new_page()
    enter(page, ovation, room)
    network.cut()
    expect(page.locator(".link")).not_to_have_attribute("data-state", "live")
    for _ in range(5):
        button(page, "🔥").click()
    button(page, "👏").click()
    expect(page.locator(".waiting")).to_have_text("6 waiting")
    picture(page, "room-offline")
    page.reload()
    expect(page.locator(".waiting")).to_have_text("6 waiting")
    button(page, "👏").click()
    expect(page.locator(".waiting")).to_have_text("7 waiting")
    before = {id: count for up, id, count in network.sent if not up}
    network.up = True
    live(page)
    shows(page, 7)
    expect(page.locator(".waiting")).to_be_empty()
    expect(page.locator(".notice")).to_be_empty()
    after = {id: count for up, id, count in network.sent if up}
    assert after == {**after, **before}, "under the ids of before"
    assert sum(after.values()) == 7
    assert totals(ovation, room)["reactions"] == 7
    page.reload()
    live(page)
    shows(page, 7)
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('ovation.waiting'))") == []


def test_network_that_goes_and_comes(open_page, ovation, batch_route, room):
    page = open_page(room, expected=NO_NETWORK)
    page.context.set_offline(True)
    for _ in range(3):
        button(page, "🔥").click()
    expect(page.locator(".waiting")).to_have_text("3 waiting")
    page.context.set_offline(False)
    live(page)
    shows(page, 3)
    assert totals(ovation, room)["reactions"] == 3


def wait_kept(page):
    """Waits until the page has written down what waits: one that is closed from here runs no handler any more."""
    page.evaluate("""async () => {
      const kept = () => Object.keys(localStorage).some((key) => key.startsWith("ovation.waiting"));
      while (!kept()) await new Promise((again) => setTimeout(again, 20));
    }""")


def tap_cut_off(page, network):
    """Four taps that wait, and are written down."""
    network.cut()
    for _ in range(4):
        button(page, "🔥").click()
    expect(page.locator(".waiting")).to_have_text("4 waiting")
    wait_kept(page)


def test_what_a_closed_tab_left_another_one_sends(open_context, ovation, batch_route, room):
    context = open_context(expected=NO_NETWORK)
    network = Network(context)
    # It is there before there is anything to take: it has to hear of it.
    other = context.new_page()
    enter(other, ovation, room)
    tapping = context.new_page()
    enter(tapping, ovation, room)
    tap_cut_off(tapping, network)
    # While its tab is open, its taps are its own.
    expect(other.locator(".waiting")).to_be_empty()
    tapping.close()
    expect(other.locator(".waiting")).to_have_text("4 waiting")
    network.up = True
    live(other)
    shows(other, 4)
    assert totals(ovation, room)["reactions"] == 4


def test_a_new_tab_sends_what_one_left_that_is_closed_after(open_context, ovation, batch_route, room):
    context = open_context(expected=NO_NETWORK)
    network = Network(context)
    tapping = context.new_page()
    enter(tapping, ovation, room)
    tap_cut_off(tapping, network)
    new = context.new_page()
    new.goto(f"{ovation.http}/r/{room}")
    expect(new.locator(".pad .tap").first).to_be_visible()
    tapping.close()
    expect(new.locator(".waiting")).to_have_text("4 waiting")
    network.up = True
    live(new)
    shows(new, 4)
    assert totals(ovation, room)["reactions"] == 4


def test_what_is_too_old_is_given_up_and_said(open_context, ovation, room):
    context = open_context()
    page = context.new_page()
    enter(page, ovation, room)
    page.evaluate(
        """([room, host]) => localStorage.setItem(`ovation.waiting ${host} ${room} gone`, JSON.stringify([
          { room, emoji: "🔥", count: 3, id: "old-1", until: Date.now() - 1 },
          { room, emoji: "👏", count: 2, id: "old-2", until: Date.now() - 1 },
          "nonsense",
        ]))""",
        [room, ovation.http.removeprefix("http://")],
    )
    page.reload()
    expect(page.locator(".notice")).to_contain_text("5 taps were not counted")
    live(page)
    assert totals(ovation, room)["reactions"] == 0


def test_page_goes_on_when_the_server_comes_back(open_context, own_ovation, room):
    context = open_context(expected=[*NO_NETWORK, "Failed to load resource"])
    page, other = context.new_page(), context.new_page()
    for one in (page, other):
        enter(one, own_ovation, room)
    button(page, "🔥").click()
    shows(other, 1)
    own_ovation.process.kill()
    expect(page.locator(".link")).not_to_have_attribute("data-state", "live")
    for _ in range(6):
        button(page, "👏").click()
    expect(page.locator(".waiting")).to_have_text("6 waiting")
    own_ovation.start()
    for one in (page, other):
        live(one)
        shows(one, 7)
    expect(page.locator(".waiting")).to_be_empty()
    assert totals(own_ovation, room)["reactions"] == 7


@pytest.fixture(scope="module")
def ruled(tmp_path_factory):
    """A system in which rooms have rules."""
    folder = tmp_path_factory.mktemp("ruled-page")
    rules = folder / "rooms.toml"
    rules.write_text(
        '[[room]]\nmatch = "closed-*"\nopen = false\n\n[[room]]\nmatch = "few-*"\nemoji = ["🚀", "👍", "🦄"]\n\n'
        '[[room]]\nmatch = "many-*"\nemoji = ["🚀", "🦄", "🐈", "🐕", "🌍", "🍕", "🎸", "⚽", "🏆", "👍"]\n'
    )
    system = started(folder, "--rooms", rules)
    yield system
    system.end()


def test_closed_room_says_so(open_context, ruled, room):
    page = open_context().new_page()
    enter(page, ruled, f"closed-{room}")
    expect(page.locator(".closed")).to_have_text("Reactions are closed at the moment.")
    for tap in page.locator(".pad .tap").all():
        expect(tap).to_be_disabled()
    page.keyboard.press("1")
    expect(page.locator(".notice")).to_be_empty()
    picture(page, "room-closed")


def test_room_with_a_list_has_its_emoji_as_buttons(open_context, ruled, room):
    page = open_context().new_page()
    enter(page, ruled, f"few-{room}")
    expect(button(page, "🚀")).to_be_visible()
    assert [tap.get_attribute("data-emoji") for tap in page.locator(".pad .tap").all()] == ["🚀", "👍", "🦄"]
    button(page, "🦄").click()
    shows(page, 1)


def test_list_of_a_room_limits_the_picker(open_context, ruled, room):
    page = open_context().new_page()
    enter(page, ruled, f"many-{room}")
    expect(button(page, "👍")).to_be_visible()
    page.get_by_role("button", name="More emoji").click()
    picker = page.get_by_role("dialog", name="All emoji")
    picker.get_by_role("searchbox").fill("a")
    expect(picker.locator(".grid button").first).to_be_visible()
    offered = {one.text_content() for one in picker.locator(".grid button").all()}
    assert offered and offered <= {"🚀", "🦄", "🐈", "🐕", "🌍", "🍕", "🎸", "⚽", "🏆", "👍"}
    picker.get_by_role("searchbox").fill("red heart")
    expect(picker.locator(".grid")).to_have_text("Nothing is called so.")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A system with keys, and how to get a token for a room."""
    folder = tmp_path_factory.mktemp("guarded-page")
    keys = folder / "keys.json"
    assert outcome("token", "--new-keys", keys)[0] == 0
    system = started(folder, "--keys", keys, "--admin", FREE)

    def token(room, *more, allow="react,watch"):
        code, text = outcome("token", "--keys", keys, "--room", room, "--allow", allow, *more)
        assert code == 0, text
        return text.split()[-1]

    yield system, token
    system.end()


@pytest.mark.parametrize("user", [[], ["--user", "zoë"]])
def test_a_link_with_a_token_opens_a_room_that_asks_for_one(browser, guarded, room, user):
    system, token = guarded
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{system.http}/r/{room}#token={token('elsewhere')}")
    expect(page.locator(".link")).to_have_attribute("data-state", "denied")
    # A link to the same page: the browser loads nothing anew by that alone.
    page.goto(f"{system.http}/r/{room}#token={token(room, *user)}")
    live(page)
    assert page.url == f"{system.http}/r/{room}", "the token is out of the address"
    button(page, "🔥").click()
    shows(page, 1)
    expect(page.locator(".notice")).to_be_empty()
    page.reload()
    live(page)
    shows(page, 1)
    # Of another room the token says nothing.
    page.goto(f"{system.http}/r/other-{room}")
    expect(page.locator(".link")).to_have_attribute("data-state", "denied")
    context.close()


def test_room_that_is_closed_and_opened_under_the_page(browser, guarded, room):
    system, token = guarded
    headers = {"authorization": f"Bearer {token(room, allow='admin')}"}

    def rule(**settings):
        address = f"{system.admin}/admin/rooms/{room}"
        assert httpx.put(address, json=settings, headers=headers, timeout=30).status_code == 200

    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{system.http}/r/{room}#token={token(room)}")
    live(page)
    rule(open=False)
    button(page, "🔥").click()
    expect(page.locator(".closed")).to_have_text("Reactions are closed at the moment.")
    expect(button(page, "🔥")).to_be_disabled()
    expect(page.locator(".notice")).to_be_empty()
    rule(open=True)
    # The page asks now and then.
    expect(button(page, "🔥")).to_be_enabled()
    button(page, "🔥").click()
    shows(page, 1)
    context.close()
