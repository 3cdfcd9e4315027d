"""What the end-to-end tests stand on: the real binary, on the embedded broker and, where
OVATION_TEST_CLUSTER=HOST:PORT names one, on a real Fluvio cluster."""

import os
import secrets
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import sync_playwright

import processes
from readers import delete_topics
from topology import Topology, unique_prefix

CLUSTER = os.environ.get("OVATION_TEST_CLUSTER")
BROKERS = ["embedded", "cluster"]
BROWSER = Path("/usr/bin/chromium")
BROWSER_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# What is tried a second time, and told of as "rerun" at the end: what a browser shows, and what ran out of time, since both
# depend on how busy the machine is. A wrong number outside a browser never is, nor is what hung: its limit is for both tries.
OUT_OF_TIME = ["monotonic", "[Tt]ime(d)?[ -]?[Oo]ut"]
HUNG = "from pytest-timeout"


def pytest_collection_modifyitems(items):
    for item in items:
        why = {} if "browser" in item.fixturenames else {"only_rerun": OUT_OF_TIME}
        item.add_marker(pytest.mark.flaky(reruns=1, rerun_except=HUNG, **why))


def pytest_report_header():
    where = f"also on the cluster {CLUSTER}" if CLUSTER else "no cluster: OVATION_TEST_CLUSTER is not set"
    return f"binary {processes.BINARY}; brokers: embedded, {where}"


class System:
    """A running `ovation run`, and how to start it again on the same data."""

    def __init__(self, folder, kind, changes=None):
        self.kind = kind
        self.folder = folder
        self.data = folder / "data"
        self.topology = Topology(folder, "emoji" if kind == "embedded" else unique_prefix(), changes)
        self.process = None
        self._addresses = {"--http": processes.FREE, "--broker": processes.FREE, "--broker-spu": processes.FREE}

    def arguments(self):
        where = ["--cluster", CLUSTER] if self.kind == "cluster" else ["--data", self.data]
        addresses = [text for pair in self._addresses.items() for text in pair]
        return ["run", "--topology", self.topology.file, *where, *addresses]

    def start(self):
        self.process = processes.Process(*self.arguments()).wait_ready()
        # A restart comes back at the same addresses, as it would for users.
        self._addresses["--http"] = self.http.removeprefix("http://")
        if self.kind == "embedded":
            self._addresses |= {"--broker": self.control, "--broker-spu": self.process.spu}
        return self

    @property
    def http(self):
        return self.process.http

    @property
    def control(self):
        return self.process.control

    def end(self):
        if self.process:
            self.process.end()
        if self.kind == "cluster":
            delete_topics(CLUSTER, self.topology.all_topics)


def started(folder, kind, changes=None):
    if kind == "cluster" and not CLUSTER:
        pytest.skip("OVATION_TEST_CLUSTER is not set")
    return System(folder, kind, changes).start()


@pytest.fixture(scope="session", params=BROKERS)
def ovation(request, tmp_path_factory):
    """One system for all tests that only use it; they keep apart by room."""
    system = started(tmp_path_factory.mktemp("ovation"), request.param)
    yield system
    system.end()


@pytest.fixture(params=BROKERS)
def own_ovation(request, tmp_path):
    """A system for a test that kills it."""
    system = started(tmp_path, request.param)
    yield system
    system.end()


@pytest.fixture
def own_embedded(tmp_path):
    """A system whose memory is looked at: of its own, and with the broker in it."""
    system = started(tmp_path, "embedded")
    yield system
    system.end()


@pytest.fixture
def broker(tmp_path):
    """A fresh, empty embedded broker."""
    process = processes.broker(tmp_path / "broker")
    yield process
    process.end()


@pytest.fixture
def room():
    return f"room-{secrets.token_hex(6)}"


# Of a module, not of the session: while it is open, no other test of this thread can run an event loop.
@pytest.fixture(scope="module")
def browser():
    if not BROWSER.exists():
        pytest.skip(f"{BROWSER} is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=BROWSER_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def batch_route(ovation):
    """Skips where the gateway does not take many reactions in a request."""
    if httpx.post(f"{ovation.http}/v1/reactions", json=[], timeout=10).status_code == 404:
        pytest.skip("POST /v1/reactions is not there")
