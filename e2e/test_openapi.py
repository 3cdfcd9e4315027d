"""The OpenAPI document is true: schemathesis asks what it describes, and what it forbids, of a running system."""

import os
import pathlib
import re
import secrets
import subprocess
import sys
import time

import httpx
import jwt
import pytest

import processes
from topology import started

HERE = pathlib.Path(__file__).resolve().parent
# Cases of each operation and phase; more find more.
EXAMPLES = os.environ.get("OVATION_SCHEMATHESIS_EXAMPLES", "40")
PATIENCE_S = 170
METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


def unlimited(folder, *args):
    """A system that takes as much as one client sends."""
    limits = [text for kind in ["user", "address", "room"] for text in (f"--limit-{kind}", "off")]
    return started(folder, *limits, *args)


def schemathesis(process, folder, *args):
    """Asks, and returns what it says: the exit code and the text."""
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", HERE / "schemathesis.toml", "run"]
    command += [f"{process.http}/openapi.json", "--checks", "all", "--max-examples", EXAMPLES, "--no-color", *args]
    environment = os.environ | {"PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"}
    # What it remembers goes into this folder.
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE_S
    )
    return done.returncode, done.stdout + done.stderr


def accepted(process, way):
    numbers = httpx.get(f"{process.http}/metrics", timeout=10).text
    found = re.search(rf'^ovation_reactions_total{{way="{way}",outcome="accepted"}} (\d+)$', numbers, re.MULTILINE)
    return int(found[1]) if found else 0


def assert_no_failures(process, folder, *args):
    code, text = schemathesis(process, folder, *args)
    print(text[text.find("SUMMARY") :])
    assert code == 0, text
    assert "Tested: 11" in text, text
    assert process.running() and "panicked" not in process.text, process.text
    return text


def test_what_the_document_says_is_so(tmp_path):
    process = unlimited(tmp_path)
    try:
        assert_no_failures(process, tmp_path)
        # Not all was refused: the way in was open to what fits.
        assert accepted(process, "one") >= 10 and accepted(process, "many") >= 5
    finally:
        process.end()


def test_what_the_document_says_of_tokens_is_so(tmp_path):
    secret = secrets.token_urlsafe(48)
    (tmp_path / "keys").write_text(secret)
    process = unlimited(tmp_path, "--keys", tmp_path / "keys")
    try:
        claims = {"exp": time.time() + 600, "rooms": ["*"], "allow": ["react", "watch"]}
        bearer = f"Authorization: Bearer {jwt.encode(claims, secret)}"
        assert_no_failures(process, tmp_path, "--header", bearer, "--max-examples", "10", "--phases", "examples,coverage,fuzzing")
        assert accepted(process, "one") > 0
    finally:
        process.end()


@pytest.fixture(scope="module")
def document(ovation):
    return httpx.get(f"{ovation.http}/openapi.json", timeout=10).json()


def operations(document):
    return [
        (path, method, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    ]


def test_operations_are_named_once(document):
    """Generators make function names of these."""
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert sorted(names) == [
        "events", "eventsOfRooms", "feed", "feedOfRooms", "healthz", "history", "moments", "pipeline", "react", "reactMany",
        "readyz", "rooms", "snapshot",
    ]


def test_every_answer_has_the_headers_that_are_described(ovation, document, room):
    for path, method, operation in operations(document):
        assert "X-Request-Id" in operation["responses"]["default"]["headers"]
        # Streams of events have no end.
        with httpx.stream(method, ovation.http + path.replace("{room}", room), timeout=10) as answer:
            pass
        described = operation["responses"].get(str(answer.status_code), operation["responses"]["default"])
        for name, header in described["headers"].items():
            header = document["components"]["headers"][header["$ref"].rpartition("/")[2]]
            assert name in answer.headers or not header.get("required"), (path, name)


@pytest.mark.parametrize("method", ["TRACE", "PUT", "PATCH", "DELETE", "BREW", "CONNECT"])
def test_other_methods_are_told_which_ones_there_are(ovation, document, room, method):
    for path, allowed, _ in operations(document):
        # Streams of events have no end.
        with httpx.stream(method, ovation.http + path.replace("{room}", room), timeout=10) as answer:
            pass
        assert (answer.status_code, answer.headers["content-type"]) == (405, "application/problem+json"), path
        assert allowed.upper() in re.split(r", *", answer.headers["allow"])
