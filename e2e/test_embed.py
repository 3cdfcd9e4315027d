"""Reactions on other people's pages: the element, and the page in a frame."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import expect

from pages import Site
from test_page import PATIENCE_MS, inaccessible, live, picture, shows, totals

# The element with all that it needs, as it goes over the wire.
ELEMENT_MAX = 60_000

expect.set_options(timeout=PATIENCE_MS)

# What an element needs of its page: the module, and the gateway to talk to. No style of any kind is allowed.
POLICY = (
    "default-src 'none'; script-src {http} 'nonce-page'; connect-src {http} {ws}; style-src 'none'; "
    "require-trusted-types-for 'script'; trusted-types svelte-trusted-html 'allow-duplicates'"
)
PAGE = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta http-equiv="content-security-policy" content="{policy}">
    <title>My show</title>
    <script type="module" src="{http}/ovation-reactions.js"></script>
    <script nonce="page">
      window.heard = [];
      for (const type of ["ovation-reacted", "ovation-state"]) {{
        addEventListener(type, (event) => heard.push([type, event.detail]));
      }}
    </script>
  </head>
  <body>
    <main><h1>My show</h1>{body}</main>
  </body>
</html>"""


@pytest.fixture
def open_site(browser, ovation):
    """Opens a page of another origin with a strict content policy; at the end it may not have complained."""
    sites, contexts, complaints = [], [], []

    def open_site(body, policy=POLICY, **options):
        http = ovation.http
        text = PAGE.format(policy=policy.format(http=http, ws=http.replace("http", "ws")), http=http, body=body)
        site = Site(text)
        sites.append(site)
        context = browser.new_context(**{"viewport": {"width": 700, "height": 700}, **options})
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()

        def note(message):
            if message.type in ("error", "warning") and "favicon" not in message.location.get("url", ""):
                complaints.append(message.text)

        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(site.url)
        return page

    yield open_site
    for context in contexts:
        context.close()
    for site in sites:
        site.close()
    assert complaints == []


def button(place, emoji):
    return place.locator(f'.pad .tap[data-emoji="{emoji}"]')


def states(page):
    return page.evaluate("heard.filter(([type]) => type === 'ovation-state').map(([, { state }]) => state)")


def test_element_works_on_a_page_with_a_strict_policy(open_site, ovation, room):
    page = open_site(f'<ovation-reactions room="{room}" emoji="🔥,👏"></ovation-reactions>')
    element = page.locator("ovation-reactions")
    live(element)
    assert [tap.get_attribute("data-emoji") for tap in element.locator(".pad .tap").all()] == ["🔥", "👏", None]
    button(element, "👏").click()
    shows(element, 1)
    [(_, stored)] = [(type, detail) for type, detail in page.evaluate("heard") if type == "ovation-reacted"]
    assert (stored["emoji"], stored["count"]) == ("👏", 1) and re.fullmatch("[0-9a-f-]{36}", stored["id"])
    assert states(page) == ["connecting", "live"]
    assert totals(ovation, room)["reactions"] == 1
    # Its style has arrived, though the page allows none.
    expect(button(element, "👏")).to_have_css("border-radius", re.compile(r"^1\d"))
    assert inaccessible(page) == []
    picture(page, "embed-light")


def test_number_keys_are_the_pages_own_unless_the_focus_is_inside(open_site, room):
    page = open_site(f'<input aria-label="Text"><ovation-reactions room="{room}"></ovation-reactions>')
    element = page.locator("ovation-reactions")
    live(element)
    page.locator("h1").click()
    page.keyboard.press("1")
    button(element, "👏").focus()
    page.keyboard.press("2")
    shows(element, 1)
    expect(button(element, "❤️").locator(".count")).to_have_text("1")


def test_theme_and_colours_are_the_pages_choice(open_site, room):
    page = open_site(f'<ovation-reactions room="{room}" theme="dark"></ovation-reactions>', color_scheme="light")
    element = page.locator("ovation-reactions")
    live(element)
    expect(element).to_have_css("background-color", "rgb(18, 18, 23)")
    assert inaccessible(page) == []
    picture(page, "embed-dark")
    element.evaluate("(element) => element.setAttribute('theme', 'light')")
    expect(element).to_have_css("background-color", "rgb(250, 247, 243)")
    element.evaluate("(element) => element.style.setProperty('--ovation-ground', 'rgb(1, 2, 3)')")
    expect(element).to_have_css("background-color", "rgb(1, 2, 3)")


def test_element_follows_its_attributes_and_leaves_with_its_place(open_site, ovation, room):
    page = open_site(f'<ovation-reactions room="{room}"></ovation-reactions>')
    element = page.locator("ovation-reactions")
    live(element)
    button(element, "🔥").click()
    shows(element, 1)
    element.evaluate(f"(element) => element.setAttribute('room', 'other-{room}')")
    shows(element, 0)
    live(element)
    button(element, "🔥").click()
    shows(element, 1)
    element.evaluate("(element) => { window.kept = element; element.remove(); }")
    expect(element).to_have_count(0)
    assert totals(ovation, f"other-{room}")["reactions"] == 1
    page.evaluate("document.querySelector('main').append(kept)")
    live(element)
    shows(element, 1)
    assert element.locator(".reactions").count() == 1


def test_server_can_be_named(open_site, ovation, room):
    page = open_site(f'<ovation-reactions room="{room}" server="{ovation.http}"></ovation-reactions>')
    element = page.locator("ovation-reactions")
    live(element)
    button(element, "🔥").click()
    shows(element, 1)


def test_picker_comes_as_a_module_of_its_own(open_site, room):
    page = open_site(f'<ovation-reactions room="{room}"></ovation-reactions>')
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    element = page.locator("ovation-reactions")
    live(element)
    element.get_by_role("button", name="More emoji").click()
    picker = element.get_by_role("dialog", name="All emoji")
    picker.get_by_role("searchbox").fill("rocket")
    page.keyboard.press("Enter")
    shows(element, 1)
    # The first clears the search.
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(picker).to_have_count(0)
    expect(element.locator('.chips .tap[data-emoji="🚀"]')).to_be_visible()
    assert sum(url.endswith("/ovation-picker.js") for url in asked) == 1


def test_element_is_small(ovation):
    with httpx.stream(
        "GET", f"{ovation.http}/ovation-reactions.js", headers={"accept-encoding": "gzip"}, timeout=10
    ) as answer:
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "*"
        packed = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert len(packed) < ELEMENT_MAX


@pytest.mark.parametrize("size", [(320, 480), (640, 360)])
def test_page_in_a_frame_has_no_chrome(browser, ovation, room, size):
    context = browser.new_context(viewport={"width": size[0], "height": size[1]})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(f"{ovation.http}/r/{room}?embed&theme=dark&emoji=🔥,👏,😂")
    live(page)
    expect(page.locator("header")).to_have_count(0)
    expect(page.locator("a")).to_have_count(0)
    expect(page.locator("body")).to_have_css("background-color", "rgb(18, 18, 23)")
    button(page, "🔥").click()
    shows(page, 1)
    width, height = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
    assert width <= size[0] and height <= size[1]
    assert inaccessible(page) == []
    picture(page, f"embed-frame-{size[0]}")
    context.close()


def test_frame_of_the_gateways_own_origin_lets_its_page_through(browser, ovation, room):
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    address = f"/r/{room}?embed&ground=none&theme=light"
    text = f'<!doctype html><title>Show</title><iframe src="{address}" title="Reactions"></iframe>'
    page.route(f"{ovation.http}/show", lambda route: route.fulfill(body=text, content_type="text/html"))
    page.goto(f"{ovation.http}/show")
    frame = page.frame_locator("iframe")
    expect(frame.locator(".link")).to_have_attribute("data-state", "live")
    expect(frame.locator("body")).to_have_css("background-color", "rgba(0, 0, 0, 0)")
    expect(frame.locator("html")).to_have_css("color-scheme", "light")
    button(frame, "🔥").click()
    shows(frame, 1)
    context.close()
