"""The docs page: complete without JavaScript, and with the reference of the gateway that serves it."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

OUT = Path(__file__).parent / "out"
PATIENCE_MS = 20_000


@pytest.fixture
def openapi(ovation):
    answer = httpx.get(f"{ovation.http}/openapi.json", timeout=10)
    if answer.status_code == 404:
        pytest.skip("/openapi.json is not there")
    return answer.json()


@pytest.fixture
def open_docs(browser, ovation):
    """Opens the docs; at the end the page may not have complained, nor asked another server."""
    contexts, complaints = [], []

    def open_docs(**options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: None if request.url.startswith(ovation.http) else complaints.append(f"asked {request.url}"),
        )
        page.goto(f"{ovation.http}/docs")
        return page

    yield open_docs
    for context in contexts:
        context.close()
    assert complaints == []


def picture(page, name, **options):
    OUT.mkdir(exist_ok=True)
    page.screenshot(path=OUT / f"{name}.png", **options)


def test_reference_shows_every_route_type_and_problem(open_docs, openapi, ovation):
    page = open_docs(viewport={"width": 1280, "height": 900})
    expect(page.locator("#reference-state")).to_contain_text(openapi["info"]["version"])
    operations = [(path, method) for path, item in openapi["paths"].items() for method in item if method in ("get", "post")]
    assert page.locator("#reference-here details[id^=route-]").count() == len(operations)
    for path, method in operations:
        route = page.locator(f'details[id^="route-{method}-"] summary', has=page.get_by_text(path, exact=True))
        expect(route).to_have_count(1)
    for name in openapi["components"]["schemas"]:
        expect(page.locator(f"#type-{name}")).to_have_count(1)
    expect(page.locator("#problems + .wide tbody tr")).to_have_count(len(openapi["x-problems"]))
    expect(page.locator("#limits-here tbody tr")).to_have_count(len(openapi["x-limits"]))
    many = page.locator("#route-post-v1-reactions")
    many.locator("summary").click()
    expect(many).to_contain_text("application/x-ndjson")
    # The example is one that would be taken.
    example = httpx.post(f"{ovation.http}/v1/reactions", json=json.loads(many.locator("pre").first.text_content()), timeout=10)
    assert example.json()["rejected"] == []
    for word in ("undefined", "[object", "NaN"):
        expect(page.locator("main")).not_to_contain_text(word)
    picture(page, "docs-wide")
    many.scroll_into_view_if_needed()
    picture(page, "docs-reference")
    # A link to a type opens it.
    many.get_by_role("link", name="BatchAnswer").click()
    expect(page.locator("#type-BatchAnswer")).to_have_attribute("open", "")


def test_samples_speak_of_this_gateway(open_docs, openapi, ovation):
    page = open_docs()
    expect(page.locator("#sample-page")).to_contain_text(f'from "{ovation.http}/ovation.js"')
    expect(page.locator(".sample button").first).to_have_text("Copy")


def test_phone_needs_no_sideways_scrolling(open_docs, openapi):
    page = open_docs(viewport={"width": 360, "height": 740}, color_scheme="dark")
    expect(page.locator("#problems")).to_be_attached()
    for details in page.locator("#reference-here details").all():
        details.evaluate("(details) => { details.open = true; }")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    picture(page, "docs-phone")
    page.locator("#answers").scroll_into_view_if_needed()
    picture(page, "docs-phone-answers")
    page.locator("#route-post-v1-reactions").scroll_into_view_if_needed()
    picture(page, "docs-phone-reference")


def test_static_part_needs_no_javascript(open_docs):
    page = open_docs(java_script_enabled=False)
    for heading in ("One reaction", "ovation.js", "The WebSocket", "Python", "What an answer means", "Limits"):
        expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    expect(page.locator("#reference-state a")).to_have_attribute("href", "/openapi.json")
