"""The page of a room, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from processes import outcome
from topology import started

OUT = Path(__file__).parent / "out"
# From a tap to the screen through the whole system, on a busy machine.
PATIENCE_MS = 20_000

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture
def open_page(browser, ovation):
    """Opens a room in a browser of its own; at the end no page may have complained or asked another server."""
    contexts, complaints = [], []

    def open_page(room, prepare=None, **options):
        options.setdefault("viewport", {"width": 390, "height": 780})
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: None if request.url.startswith(ovation.http) else complaints.append(f"asked {request.url}"),
        )
        if prepare:
            prepare(page)
        page.goto(f"{ovation.http}/r/{room}")
        expect(page.locator("#link")).to_have_attribute("data-state", "live")
        return page

    yield open_page
    for context in contexts:
        context.close()
    # A broken content policy is reported as a console error.
    assert complaints == []


def button(page, emoji):
    return page.locator(f'#pad button[data-emoji="{emoji}"]')


def picture(page, name):
    OUT.mkdir(exist_ok=True)
    page.screenshot(path=OUT / f"{name}.png")


def test_tap_on_one_page_is_counted_on_both(open_page, room):
    mine, theirs = open_page(room), open_page(room, color_scheme="dark")
    expect(theirs.locator("#now")).to_have_text("Nobody has reacted yet. Be the first.")
    button(mine, "🔥").click()
    for page in (mine, theirs):
        expect(page.locator("#total")).to_have_text("1")
        expect(button(page, "🔥").locator(".count")).to_have_text("1")
    expect(theirs.locator(".float").first).to_be_attached()
    for _ in range(4):
        button(theirs, "❤️").click()
    for page in (mine, theirs):
        expect(page.locator("#total")).to_have_text("5")
        expect(page.locator("#notice")).to_be_empty()
    picture(mine, "room-light")
    picture(theirs, "room-dark")


def test_reaction_from_a_script_shows_with_an_emoji_that_has_no_button(open_page, ovation, room):
    page = open_page(room, viewport={"width": 1280, "height": 800})
    body = {"emoji": "🦄", "count": 1234 % 100}
    assert httpx.post(f"{ovation.http}/v1/rooms/{room}/reactions", json=body, timeout=10).status_code == 200
    expect(page.locator("#total")).to_have_text("34")
    expect(page.locator("#others li")).to_have_text("🦄 34")
    picture(page, "room-wide")


def test_page_that_comes_later_shows_what_was(open_page, ovation, room):
    body = {"emoji": "👏", "count": 7}
    assert httpx.post(f"{ovation.http}/v1/rooms/{room}/reactions", json=body, timeout=10).status_code == 200
    page = open_page(room)
    expect(page.locator("#total")).to_have_text("7")
    expect(button(page, "👏").locator(".count")).to_have_text("7")


def test_keyboard_alone_is_enough(open_page, room):
    page = open_page(room)
    page.keyboard.press("1")
    expect(page.locator("#total")).to_have_text("1")
    button(page, "😂").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#total")).to_have_text("2")
    expect(button(page, "😂")).to_have_attribute("aria-label", re.compile(r"^Laughing(, 1 now)?$"))


def test_small_screen_needs_no_sideways_scrolling(open_page, room):
    page = open_page(room, viewport={"width": 320, "height": 568})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    for emoji in ("🔥", "🎉"):
        box = button(page, emoji).bounding_box()
        assert box["width"] >= 44 and box["height"] >= 44
        assert box["x"] >= 0 and box["x"] + box["width"] <= 320
        assert box["y"] + box["height"] <= 568
    picture(page, "room-320")


def test_reduced_motion_floats_nothing(open_page, room):
    page = open_page(room, reduced_motion="reduce")
    button(page, "🎉").click()
    expect(page.locator("#total")).to_have_text("1")
    assert page.locator(".float").count() == 0


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
    expect(page.locator("#link")).not_to_have_attribute("data-state", "live")
    with page.expect_request(lambda request: request.method == "POST") as sent:
        button(page, "👍").click()
    assert sent.value.url.endswith("/v1/reactions")
    assert sent.value.response().status == 200
    expect(page.locator("#total")).to_have_text("0")
    network["up"] = True
    expect(page.locator("#link")).to_have_attribute("data-state", "live")
    expect(page.locator("#total")).to_have_text("1")
    assert "after=" in sockets[-1].url


def test_front_page_leads_to_the_room(browser, ovation, room):
    context = browser.new_context(viewport={"width": 390, "height": 780})
    page = context.new_page()
    page.goto(f"{ovation.http}/")
    picture(page, "front")
    page.get_by_label("Room").fill(room)
    page.get_by_role("button", name="Go in").click()
    expect(page).to_have_url(f"{ovation.http}/r/{room}")
    expect(page.locator("#room")).to_have_text(room)
    context.close()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A system with keys, and how to get a token for a room."""
    folder = tmp_path_factory.mktemp("guarded-page")
    keys = folder / "keys.json"
    assert outcome("token", "--new-keys", keys)[0] == 0
    system = started(folder, "--keys", keys)

    def token(room, *more):
        code, text = outcome("token", "--keys", keys, "--room", room, "--allow", "react,watch", *more)
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
    expect(page.locator("#link")).to_have_attribute("data-state", "denied")
    # A link to the same page: the browser loads nothing anew by that alone.
    page.goto(f"{system.http}/r/{room}#token={token(room, *user)}")
    expect(page.locator("#link")).to_have_attribute("data-state", "live")
    assert page.url == f"{system.http}/r/{room}", "the token is out of the address"
    button(page, "🔥").click()
    expect(page.locator("#total")).to_have_text("1")
    expect(page.locator("#notice")).to_be_empty()
    page.reload()
    expect(page.locator("#link")).to_have_attribute("data-state", "live")
    expect(page.locator("#total")).to_have_text("1")
    # Of another room the token says nothing.
    page.goto(f"{system.http}/r/other-{room}")
    expect(page.locator("#link")).to_have_attribute("data-state", "denied")
    context.close()
