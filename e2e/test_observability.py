"""Numbers, alerts and traces: what the docs, the dashboard and the alerts name is what a running system tells."""

import fcntl
import json
import os
import pty
import re
import secrets
import signal
import struct
import subprocess
import termios
import time

import httpx
import pytest
import yaml
from websockets.sync.client import connect

import processes
import promql
import readers
from processes import FREE, ROOT, Process
from reactor import Reactor
from topology import WINDOW_MS, Topology, started

PATIENCE_S = 60
DOCS = ROOT / "docs" / "metrics.md"
DASHBOARD = ROOT / "deploy" / "grafana" / "ovation.json"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
# `make e2e` puts it there.
PROMTOOL = ROOT / ".tools" / "bin" / "promtool"
# Prometheus adds them to everything that it scrapes.
TARGET_LABELS = {"job", "instance"}
TRACED = "warn," + ",".join(f"ovation_{part}=debug" for part in ("gateway", "broker", "client", "topology"))
SAMPLE = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Exposition:
    """What one scrape, or several, have told: families with their types, and series with their labels."""

    def __init__(self):
        self.types = {}
        self.labels = {}
        self.samples = {}

    def add(self, http):
        answer = httpx.get(f"{http}/metrics", timeout=10)
        assert answer.status_code == 200 and answer.headers["content-type"].startswith("application/openmetrics-text")
        assert answer.text.endswith("# EOF\n")
        for line in answer.text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split()
                self.types[name] = kind
            elif not line.startswith("#"):
                name, labels, value = SAMPLE.fullmatch(line).groups()
                pairs = dict(LABEL.findall(labels or ""))
                self.labels.setdefault(name, set()).update(pairs)
                self.samples[name, tuple(sorted(pairs.items()))] = float(value)
        return self

    def value(self, name, **labels):
        return self.samples.get((name, tuple(sorted(labels.items()))))

    def total(self, name):
        return sum(value for (known, _), value in self.samples.items() if known == name)

    @property
    def families(self):
        """By the name that a query would use: type and labels."""
        suffix = {"counter": "_total", "info": "_info"}
        found = {}
        for name, kind in self.types.items():
            series = f"{name}_bucket" if kind == "histogram" else name + suffix.get(kind, "")
            found[name if kind == "histogram" else series] = (
                "gauge" if kind == "info" else kind,
                self.labels.get(series, set()) - {"le"},
            )
        return found


def documented():
    """The rows of the tables: name, type and labels."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \|", DOCS.read_text(), re.MULTILINE)
    assert len(rows) == len({name for name, *_ in rows}) > 50
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Everything that a busy system tells within some seconds."""
    process = started(tmp_path_factory.mktemp("busy"))
    room, exposition = f"room-{secrets.token_hex(6)}", Exposition()
    reactor = Reactor(process.http, room)
    try:
        producer = readers.connect(process.control).topic_producer("emoji-events")
        producer.send(room.encode(), json.dumps({"room": room, "emoji": "water"}).encode())
        producer.flush()
        socket = f"{process.http.replace('http', 'ws')}/v1/rooms/{room}/feed"
        with connect(socket) as feed:
            feed.recv(timeout=PATIENCE_S)
        deadline = time.monotonic() + PATIENCE_S
        while exposition.add(process.http).families.keys() < documented().keys():
            missing = documented().keys() - exposition.families.keys()
            assert time.monotonic() < deadline, f"not told: {missing}"
            time.sleep(0.2)
    finally:
        reactor.stop()
        process.end()
    return exposition


def test_docs_name_every_metric_and_no_other(told):
    assert told.families == documented()


def test_histograms_end_with_infinity(told):
    names = [name for name, kind in told.types.items() if kind == "histogram"]
    for name in names:
        last = {labels: value for (known, labels), value in told.samples.items() if known == f"{name}_bucket" and ("le", "+Inf") in labels}
        assert last and sum(last.values()) == told.total(f"{name}_count"), name


def test_units_stand_in_the_names():
    for name, (kind, _) in documented().items():
        assert kind != "histogram" or name.endswith("_seconds"), name
        assert (kind == "counter") == name.endswith("_total"), name


def test_traffic_shows(told):
    # One may be counted here and not yet there.
    taps = told.total("ovation_taps_total")
    assert taps > 0 and told.total("ovation_ack_duration_seconds_count") == pytest.approx(taps, abs=2)
    appended = told.value("ovation_broker_appended_records_total", topic="emoji-events")
    # Ticks are records as well.
    chained = told.value("ovation_broker_chain_records_total", topic="emoji-events")
    assert appended > 0 and chained == pytest.approx(appended, abs=200)
    assert told.total("ovation_task_results_total") > 0 and told.total("ovation_task_checkpoints_total") > 0
    assert told.total("ovation_task_produce_duration_seconds_count") > 0
    assert told.value("ovation_rejects_total", reason="unknown_emoji") >= 1
    assert told.value("ovation_reader_records_total", reader="hub") > 0
    assert told.value("ovation_part_ready", part="producer") == 1
    assert told.total("ovation_broker_storage_errors_total") == 0


def exists(told, expression):
    """Every name of an expression is one that the system tells."""
    found = promql.names(expression)
    assert found.metrics, expression
    known = TARGET_LABELS | {"le"}
    for name, labels in found.metrics.items():
        if name == "up":
            continue
        assert name in told.labels, f"{name} in {expression}"
        assert labels <= told.labels[name] | TARGET_LABELS, f"{labels} of {name} in {expression}"
        known |= told.labels[name]
    assert found.labels <= known, f"{found.labels - known} in {expression}"


def panels():
    dashboard = json.loads(DASHBOARD.read_text())
    return [panel for row in dashboard["panels"] for panel in (row, *row.get("panels", []))]


def plain(query):
    """An expression of the dashboard without its variables."""
    return re.sub(r"\$\{?\w+\}?", lambda variable: "1m" if "interval" in variable.group() else "x", query)


def test_the_dashboard_asks_for_what_is_there(told):
    dashboard = json.loads(DASHBOARD.read_text())
    titles = [panel["title"] for panel in panels() if panel["type"] == "row"]
    assert titles == ["Audience", "Way in", "Broker and chain", "Engine", "Way out"]
    numbers = [panel["id"] for panel in panels()]
    assert len(numbers) == len(set(numbers))
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource" and variables["datasource"]["query"] == "prometheus"
    for panel in panels():
        if panel["type"] == "row":
            continue
        assert panel["title"] and panel["targets"], panel
        for asked in (panel, *panel["targets"]):
            assert asked["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]
        for target in panel["targets"]:
            for used in re.findall(r"\$\{?(\w+)", target["expr"]):
                assert used in variables or used.startswith("__"), target["expr"]
            exists(told, plain(target["expr"]))
            legend = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert legend <= promql.names(plain(target["expr"])).labels | {"instance"}, target
        place = panel["gridPos"]
        assert 0 <= place["x"] and place["x"] + place["w"] <= 24 and place["h"] > 0
    for variable in variables.values():
        if variable["type"] == "query":
            query, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"]).groups()
            assert label in TARGET_LABELS
            exists(told, plain(query))


def alerts():
    [group] = yaml.safe_load(ALERTS.read_text())["groups"]
    return group["rules"]


def test_alerts_ask_for_what_is_there_and_say_what_to_do(told):
    sections = set(re.findall(r"^### (\w+)$", DOCS.read_text(), re.MULTILINE))
    for alert in alerts():
        exists(told, alert["expr"])
        assert alert["labels"]["severity"] in {"critical", "warning"}
        assert alert["annotations"].keys() == {"summary", "action", "runbook_url"}
        assert alert["alert"] in sections and alert["expr"] in DOCS.read_text()
        assert alert["annotations"]["runbook_url"] == f"docs/metrics.md#{alert['alert'].lower()}"
        by = promql.names(alert["expr"])
        named = set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["summary"]))
        assert named <= by.labels | TARGET_LABELS | set().union(*(told.labels.get(name, set()) for name in by.metrics))


def test_names_are_told_from_words():
    found = promql.names('sum by (a, le) (rate(x_total{b=~"by (c)", d!=\'1\'}[5m] offset 1h)) > 0.5e3 and on(e) y or vector(1)')
    assert (found.metrics, found.labels) == ({"x_total": {"b", "d"}, "y": set()}, {"a", "le", "e"})
    for bad in ['{a="b"}', "x ; y"]:
        with pytest.raises(AssertionError):
            promql.names(bad)


@pytest.mark.skipif(not PROMTOOL.exists(), reason="promtool is not there: make .tools/bin/promtool")
@pytest.mark.parametrize(
    "command", [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"], ["check", "config", "prometheus.yml"]]
)
def test_promtool_agrees(command):
    ended = subprocess.run([PROMTOOL, *command], cwd=ALERTS.parent, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_roles_without_a_gateway_are_scraped_too(tmp_path):
    broker = Process("broker", "--data", tmp_path / "data", "--broker", FREE, "--broker-spu", FREE, "--status", FREE)
    engine = None
    try:
        status = lambda process: process.wait_ready()._said(r"^status +(http://\S+?)/readyz$")
        of_broker = status(broker)
        topology = Topology(tmp_path)
        engine = Process("engine", "--cluster", broker.control, "--topology", topology.file, "--status", FREE)
        of_engine = status(engine)
        told = {"broker": Exposition().add(of_broker), "engine": Exposition().add(of_engine)}
        assert told["broker"].value("ovation_broker_streams_open", topic="emoji-events") == topology.partitions
        assert not [name for name in told["broker"].types if name.startswith(("ovation_task", "ovation_feed"))]
        assert told["engine"].value("ovation_task_ready", stage="reactions", partition="0") == 1
        assert told["engine"].value("ovation_part_ready", part="engine reactions/0") == 1
        for exposition in told.values():
            assert exposition.total("process_resident_memory_bytes") > 0
            assert exposition.families.items() <= documented().items()
        assert httpx.get(f"{of_broker}/readyz", timeout=10).status_code == 200
        # Both in one view.
        code, text = processes.outcome("top", "--once", of_broker, of_engine)
        assert code == 0 and "Broker and chain" in text and "Engine" in text and "Way in" not in text, text
    finally:
        for process in filter(None, [engine, broker]):
            process.end()


@pytest.fixture
def traced(tmp_path):
    process = started(tmp_path, "--log", TRACED)
    yield process
    process.end()


def fields(line):
    """`name=value` of a line, those of its spans included; what stands last counts."""
    return {name: value.strip('"') for name, value in re.findall(r'(\w+)=("[^"]*"|[^\s{}:]+)', line)}


def found(process, message, **wanted):
    """The first line with this message and these fields; waits for it."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        for line in list(process.lines):
            told = fields(line)
            if message in line and all(fits(told.get(name), value) for name, value in wanted.items()):
                return told
        assert time.monotonic() < deadline, f"no {message!r} with {wanted}:\n{process.text}"
        time.sleep(0.05)


def fits(told, wanted):
    if callable(wanted):
        return told is not None and told.lstrip("-").isdigit() and wanted(int(told))
    return told == str(wanted)


def test_one_reaction_is_followed_through_every_step(traced, room):
    own, user = f"tap-{secrets.token_hex(6)}", f"user-{secrets.token_hex(6)}"
    with connect(f"{traced.http.replace('http', 'ws')}/v1/rooms/{room}/feed") as feed:
        feed.recv(timeout=PATIENCE_S)
        body = {"emoji": "🔥", "id": own, "user": user}
        answer = httpx.post(f"{traced.http}/v1/rooms/{room}/reactions", json=body, timeout=10).json()
        assert answer["id"] == own
        feed.recv(timeout=PATIENCE_S)

        # By its id, until it is stored.
        assert found(traced, "accepted", id=own)["room"] == room
        stored = found(traced, "stored", id=own)
        partition, offset = int(stored["partition"]), int(stored["offset"])
        assert (partition, offset) == (answer["partition"], answer["offset"])
        # By its offset, until there is a result.
        source = {"topic": "emoji-events", "partition": partition}
        at = {**source, "offset": offset}
        assert found(traced, "appended", **at)["records"] == "1"
        found(traced, "produced", **at)
        before = lambda first: first <= offset
        after = lambda next: next > offset
        found(traced, "chain ran", **source, offset=before, next=after)
        batch = found(traced, "chain answered", **source, offset=before, next=after, seq=lambda seq: seq > 0)
        assert batch["stage"] == "reactions"
        # By its result's number.
        seq = int(batch["seq"])
        covers = {"seq": lambda first: first <= seq, "last_seq": lambda last: last >= seq}
        sink = {"topic": "emoji-aggregates", "partition": partition}
        delivered = found(traced, "delivered", **sink, **covers)
        found(traced, "appended", **sink, offset=delivered["offset"])
        taken = found(traced, "hub takes", room=room, partition=partition, seq=seq, source=offset)
        assert taken["window"] == f"{WINDOW_MS}ms" and taken["final"] == "false"
        assert int(found(traced, "crowd gets", room=room, partition=partition, **covers)["delivered"]) == 1
    assert user not in traced.text


def test_nothing_is_traced_unasked(own_embedded, room):
    assert httpx.post(f"{own_embedded.http}/v1/rooms/{room}/reactions", json={"emoji": "🔥"}, timeout=10).status_code == 200
    assert room not in own_embedded.process.text


def test_top_shows_what_goes_on(own_embedded, room):
    reactor = Reactor(own_embedded.http, room)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            code, text = processes.outcome("top", "--once", "--json", own_embedded.http)
            assert code == 0, text
            view = json.loads(text)
            if view["way_in"]["taps_per_s"] > 0 and any(task["results_per_s"] > 0 for task in view["tasks"]):
                break
            assert time.monotonic() < deadline, text
        assert view["way_in"]["ack"]["p99"] > 0 and view["broker"]["appended_per_s"] > 0
        assert [task["partition"] for task in view["tasks"] if task["stage"] == "reactions"] == ["0", "1", "2", "3"]
        assert {task["state"] for task in view["tasks"]} == {"running"}
        code, text = processes.outcome("top", "--once", own_embedded.http)
        assert code == 0, text
        for title in ("Processes", "Way in", "Broker and chain", "Engine", "Way out", "Topics"):
            assert re.search(rf"^{title}$", text, re.MULTILINE), text
        assert "emoji-events" in text and "\x1b" not in text
    finally:
        reactor.stop()


def test_top_goes_on_without_a_process_and_not_without_all(own_embedded):
    nobody = "http://127.0.0.1:1"
    code, text = processes.outcome("top", "--once", own_embedded.http, nobody)
    assert code == 0 and re.search(r"127\.0\.0\.1:1/metrics.*failed to read", text), text
    code, text = processes.outcome("top", "--once", nobody)
    assert code == 1 and text.startswith(f"ovation: failed to read {nobody}/metrics"), text
    code, text = processes.outcome("top", "--once", "https://example.org")
    assert code == 2 and "plain http" in text, text


@pytest.mark.parametrize("end", [b"q", b"\x03", signal.SIGTERM], ids=["q", "ctrl-c", "sigterm"])
def test_top_draws_on_a_terminal_and_gives_it_back(own_embedded, end):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 12, 44, 0, 0))
    before = termios.tcgetattr(theirs)
    command = [processes.BINARY, "top", own_embedded.http]
    top = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm-256color"})
    drawn, deadline = b"", time.monotonic() + PATIENCE_S
    try:
        while b"Processes" not in drawn:
            assert time.monotonic() < deadline, drawn
            drawn += os.read(ours, 65_536)
        assert b"\x1b[?1049h" in drawn and termios.tcgetattr(theirs) != before
        if isinstance(end, bytes):
            os.write(ours, end)
        else:
            top.send_signal(end)
        # The screen from before, and the cursor.
        while not all(given in drawn for given in (b"\x1b[?1049l", b"\x1b[?25h")):
            assert time.monotonic() < deadline, drawn
            drawn += os.read(ours, 65_536)
        assert top.wait(PATIENCE_S) == 0
        assert termios.tcgetattr(theirs) == before
    finally:
        top.kill()
        top.wait()
        os.close(ours)
        os.close(theirs)
