"""`ovation topology …`: what it says, what it does, and how it ends."""

import json
import re
import shutil
import subprocess
import time
import xml.etree.ElementTree as ElementTree

import jsonschema
import pytest
import yaml

import processes
import readers
from conftest import BROKERS, CLUSTER
from processes import ROOT, outcome
from reactor import Reactor
from topology import Topology, unique_prefix

SHIPPED = ROOT / "topology.yaml"
EXAMPLES = sorted(ROOT.glob("examples/*/topology.yaml"))
EXAMPLE = ROOT / "examples/running-total/topology.yaml"


def name_of(file):
    return str(file.relative_to(ROOT))


def topology(command, *args, seconds=60):
    return outcome("topology", command, *args, seconds=seconds)


def changed(file, *replacements):
    """The file's text with each (old, new) in it, which has to be there."""
    text = file.read_text()
    for old, new in replacements:
        assert old in text, f"{file} has another shape: no {old!r}"
        text = text.replace(old, new)
    return text


@pytest.fixture
def copied(tmp_path):
    """Writes a changed copy of the shipped topology."""

    def copy(*replacements, to="topology.yaml"):
        file = tmp_path / to
        file.write_text(changed(SHIPPED, *replacements))
        return file

    return copy


@pytest.fixture(params=BROKERS)
def place(request, tmp_path):
    """A broker without this test's topics, and a topology for it."""
    if request.param == "embedded":
        process = processes.broker(tmp_path / "broker")
        file = Topology(tmp_path)
        file.control = process.control
        yield file
        process.end()
    else:
        if not CLUSTER:
            pytest.skip("OVATION_TEST_CLUSTER is not set")
        file = Topology(tmp_path, unique_prefix())
        file.control = CLUSTER
        yield file
        readers.delete_topics(CLUSTER, file.all_topics)


@pytest.mark.parametrize("file", [SHIPPED, *EXAMPLES], ids=name_of)
def test_what_ships_is_without_mistakes(file):
    code, text = topology("validate", "--strict", file)
    assert code == 0, text
    said = yaml.safe_load(file.read_text())
    counts = [len(said[part]) for part in ["topics", "smartmodules", "stages", "tests"]]
    assert [int(count) for count in re.findall(r"(\d+) (?:topic|SmartModule|stage|test)s?\b", text)] == counts
    assert text.endswith("no mistakes")


def test_every_mistake_is_shown_with_its_place(copied):
    file = copied(("sink: emoji-aggregates", "sink: emoji-agregates"), ("grace: 2s", "grace: 2x"))
    code, text = topology("validate", file)
    assert code == 2, text
    lines = file.read_text().splitlines()
    for mistake in ["sink: emoji-agregates", "grace: 2x"]:
        [line] = [number for number, line in enumerate(lines, 1) if mistake in line]
        assert f"{file}:{line}:" in text.replace("\n", ""), text
    assert "emoji-aggregates" in text, "what was meant"
    for command in ["plan", "apply", "describe", "test"]:
        # Nobody is asked, and nothing is run, with a file like that.
        where = ["--cluster", "127.0.0.1:1"] if command in ["plan", "apply"] else []
        assert topology(command, file, *where) == (2, text), command


def test_what_only_a_module_knows_is_a_mistake_of_the_file_too(copied, tmp_path):
    code, text = topology("validate", copied(("skin-tones: keep", "skin-tones: purple")))
    assert code == 2 and "expected keep or fold" in text, text
    # What numbers its results says so in the file: without it its state would be in no checkpoint.
    text = changed(EXAMPLE, ("../../target", f"{ROOT}/target"), (", stateful: true", ""))
    file = tmp_path / "unsaid.yaml"
    file.write_text(text)
    code, text = topology("validate", file)
    [line] = [number for number, line in enumerate(file.read_text().splitlines(), 1) if "uses: running-total" in line]
    assert code == 2 and "stateful: true" in text and f"{file}:{line}:" in text.replace("\n", ""), text


def test_a_warning_is_an_error_where_that_is_wanted(copied):
    file = copied(("  emoji-rejects:\n", "  nobodys: { partitions: 1 }\n  emoji-rejects:\n"))
    code, text = topology("validate", file)
    assert code == 0 and "nobodys" in text and "no mistakes" in text, text
    code, text = topology("validate", "--strict", file)
    assert code == 2 and "nobodys" in text, text


def planned(place, file, command="plan"):
    """Exit code, and what becomes of each topic."""
    code, text = topology(command, "--json", "--cluster", place.control, file, seconds=120)
    # Warnings go to the other output.
    [said] = re.findall(r"^\[$.*?^\]$", text, re.MULTILINE | re.DOTALL)
    changes = json.loads(said)
    assert all(set(change) >= {"kind", "name", "action", "detail"} for change in changes), changes
    return code, {change["name"]: change["action"] for change in changes if change["kind"] == "topic"}


def test_a_plan_says_what_apply_does(place):
    where = ["--cluster", place.control, place.file]
    code, text = topology("plan", *where)
    assert code == 0, text
    for topic in place.topics:
        assert re.search(rf"^\+ create +topic +{topic} +4 partitions, kept 7d", text, re.MULTILINE), text
    assert re.search(r"^\d+ to create", text, re.MULTILINE), text
    assert planned(place, place.file) == (0, dict.fromkeys(place.all_topics, "create"))
    assert not readers.partition_counts(place.control).keys() & set(place.all_topics), "a plan changes nothing"

    code, text = topology("apply", *where, seconds=120)
    assert code == 0 and re.search(r"^\d+ created", text, re.MULTILINE), text
    counts = readers.partition_counts(place.control)
    assert {topic: counts.get(topic) for topic in place.topics} == dict.fromkeys(place.topics, 4)
    assert counts[place.rooms] == 1

    assert planned(place, place.file) == (0, dict.fromkeys(place.all_topics, "keep"))
    code, text = topology("plan", *where)
    # Somebody else may use a cluster with another version of a module.
    assert code == 0 and re.search(r"^\d+ to keep$", text, re.MULTILINE), text
    assert planned(place, place.file, "apply") == (0, dict.fromkeys(place.all_topics, "keep"))
    code, text = topology("validate", *where)
    assert code == 0 and text.endswith(f"no mistakes, and fits {place.control}"), text


def test_partitions_are_added_and_never_taken_away(place, tmp_path):
    assert planned(place, place.file, "apply")[0] == 0
    fewer = tmp_path / "fewer.yaml"
    one_more = f"{place.rejects}-more"
    fewer.write_text(
        changed(place.file, ("partitions: 4", "partitions: 2")).replace(
            "\nsmartmodules:\n", f"\n  {one_more}: {{ partitions: 1 }}\n\nsmartmodules:\n"
        )
    )
    code, topics = planned(place, fewer)
    assert code == 2 and topics == dict.fromkeys(place.topics, "refuse") | {place.rooms: "keep", one_more: "create"}
    for command in ["plan", "apply", "validate"]:
        code, text = topology(command, "--cluster", place.control, fewer)
        assert code == 2 and "it has 4 partitions, the topology says 2" in text, text
    counts = readers.partition_counts(place.control)
    assert one_more not in counts and {counts[topic] for topic in place.topics} == {4}, "nothing was changed"

    more = tmp_path / "more.yaml"
    more.write_text(changed(place.file, ("partitions: 4", "partitions: 6")))
    assert planned(place, more) == (0, dict.fromkeys(place.topics, "change") | {place.rooms: "keep"})
    code, text = topology("plan", "--cluster", place.control, more)
    assert code == 0 and "2 partitions more, 6 instead of 4" in text and f"\n{len(place.topics)} to change" in text, text
    assert planned(place, more, "apply") == (0, dict.fromkeys(place.topics, "change") | {place.rooms: "keep"})
    counts = readers.partition_counts(place.control)
    assert {counts[topic] for topic in place.topics} == {6}
    assert planned(place, more) == (0, dict.fromkeys(place.all_topics, "keep"))
    assert planned(place, place.file)[0] == 2


def test_a_broker_that_is_not_there_is_named(copied):
    for command in ["plan", "apply"]:
        code, text = topology(command, copied(), "--cluster", "127.0.0.1:1")
        assert code == 1 and text.startswith("ovation: failed to ") and "127.0.0.1:1" in text, text


def described(file, form, *args):
    code, text = topology("describe", "--format", form, *args, file)
    assert code == 0, text
    return text


@pytest.mark.parametrize("file", [SHIPPED, *EXAMPLES], ids=name_of)
def test_a_topology_is_described_for_people_and_programs(file):
    said = yaml.safe_load(file.read_text())
    description = json.loads(described(file, "json"))
    assert [topic["name"] for topic in description["topics"]] == list(said["topics"])
    assert {topic["name"]: topic["partitions"] for topic in description["topics"]} == {
        name: topic["partitions"] for name, topic in said["topics"].items()
    }
    assert description["tests"] == list(said["tests"])
    for module in description["smartmodules"]:
        assert module["bytes"] > 10_000 and re.fullmatch(r"[0-9a-f]{64}", module["sha256"]), module
    for stage in description["stages"]:
        given = said["stages"][stage["name"]]
        assert stage["source"] == given["source"] and stage["sink"] == given["sink"]
        assert [step["uses"] for step in stage["transforms"]] == [step["uses"] for step in given["transforms"]]
        assert "live" not in stage
    text = described(file, "text")
    for name in [*said["topics"], *said["smartmodules"], *said["stages"], *said["tests"]]:
        assert re.search(rf"\b{re.escape(name)}\b", text), text


def edges_of(file):
    """What a picture has to show: (from, to), stages in brackets."""
    edges = set()
    for name, stage in yaml.safe_load(file.read_text())["stages"].items():
        edges.add((stage["source"], f"[{name}]"))
        edges |= {(f"[{name}]", stage[to]) for to in ["sink", "dead-letter", "checkpoints"] if to in stage}
    return edges


@pytest.mark.parametrize("file", [SHIPPED, *EXAMPLES], ids=name_of)
def test_pictures_show_every_way_of_a_record(file):
    mermaid = described(file, "mermaid")
    assert mermaid.startswith("flowchart LR\n")
    nodes = dict(re.findall(r'^  (t\d+)\[\("(.*)"\)\]$', mermaid, re.MULTILINE))
    nodes |= {node: f"[{label.split('<br/>')[0]}]" for node, label in re.findall(r'^  (s\d+)\["(.*)"\]$', mermaid, re.MULTILINE)}
    edges = re.findall(r"^  (\w+) (?:-->|-\. [a-z ]+ \.->) (\w+)$", mermaid, re.MULTILINE)
    assert 1 + len(nodes) + len(edges) == len(mermaid.splitlines()), "nothing else is in it"
    assert {(nodes[one], nodes[other]) for one, other in edges} == edges_of(file)

    dot = described(file, "dot")
    nodes = dict(re.findall(r'^  (t\d+) \[label="(.*)", shape=cylinder\];$', dot, re.MULTILINE))
    stages = re.findall(r'^  (s\d+) \[label="(.*)"\];$', dot, re.MULTILINE)
    nodes |= {node: f"[{label.split(chr(92) + 'n')[0]}]" for node, label in stages}
    edges = re.findall(r'^  (\w+) -> (\w+)(?: \[label="[a-z ]+", style=dotted\])?;$', dot, re.MULTILINE)
    assert {(nodes[one], nodes[other]) for one, other in edges} == edges_of(file)
    lines = dot.splitlines()
    assert re.fullmatch(r'digraph "[\w-]+" \{', lines[0]) and lines[-1] == "}" and dot.count('"') % 2 == 0
    if shutil.which("dot"):
        drawn = subprocess.run(["dot", "-Tsvg"], input=dot, text=True, capture_output=True, timeout=30)
        assert drawn.returncode == 0 and "<svg" in drawn.stdout, drawn.stderr


def test_live_numbers_are_those_of_what_runs(ovation, room):
    where = ["--live", "--status", ovation.http]
    reactor = Reactor(ovation.http, room)
    try:
        time.sleep(2)
        before, since = reactor.acknowledged, time.monotonic()
        description = json.loads(described(ovation.topology.file, "json", *where))
        sent = (reactor.acknowledged - before) / (time.monotonic() - since)
        text = described(ovation.topology.file, "text", *where)
        dot = described(ovation.topology.file, "dot", *where)
    finally:
        reactor.stop()
    [stage, _] = description["stages"]
    live = {counter["name"]: counter["value"] for counter in stage["live"]}
    assert live["state"] == "running" and live["restarts"] == 0, live
    # Ticks are source records, too.
    assert sent / 3 < live["source_records_per_second"] < 3 * sent + 60, (sent, live)
    # One update each 100 ms at most, and finals.
    assert 1 <= live["results_per_second"] <= 40, live
    assert 50 < live["result_bytes_per_second"] / live["results_per_second"] < 2_000, live
    assert 0 <= live["lag_records"] < 200 and live["open_windows"] >= 1, live
    assert 0 <= live["watermark_lag_seconds"] < 20, live
    assert "running, active, 4 of 4 tasks ready" in text and "state: running" in dot
    # Another file's stage is not in that process.
    [other] = json.loads(described(EXAMPLE, "json", *where))["stages"]
    assert other["live"] == [{"name": "state", "value": "absent"}]


def test_live_numbers_of_nobody_are_an_error():
    code, text = topology("describe", "--live", "--status", "127.0.0.1:1", SHIPPED)
    assert code == 1 and text.startswith("ovation: failed to read http://127.0.0.1:1/metrics"), text


def test_tests_pass_fail_and_are_updated(copied, tmp_path):
    file, report = copied(), tmp_path / "junit.xml"
    names = list(yaml.safe_load(file.read_text())["tests"])

    def suite():
        [suite] = ElementTree.parse(report).getroot().iter("testsuite")
        assert [case.get("name") for case in suite.iter("testcase")] == names
        return suite

    code, text = topology("test", file, "--junit", report)
    assert code == 0 and re.search(rf"^{len(names)} passed, 0 failed", text, re.MULTILINE), text
    assert (suite().get("tests"), suite().get("failures")) == (str(len(names)), "0")
    assert not list(suite().iter("failure"))

    good = file.read_text()
    file.write_text(changed(file, ("total: 23", "total: 24")))
    code, text = topology("test", file, "--junit", report)
    assert code == 1 and "FAILED  updates-are-at-least-100ms" in text, text
    assert "total: 24" in text and "total: 23" in text, "what was expected and what came"
    [failure] = suite().iter("failure")
    assert suite().get("failures") == "1" and "total: 23" in failure.text
    assert topology("test", file, "--filter", "rooms-do-not-mix")[0] == 0
    code, text = topology("test", file, "--filter", "nobody")
    assert code == 2 and "none of the" in text, text
    code, text = topology("test", file, "--list")
    assert code == 0 and [line.split()[0] for line in text.splitlines()] == names

    code, text = topology("test", file, "--update")
    assert code == 0 and "1 updated, 0 failed" in text, text
    assert yaml.safe_load(file.read_text()) == yaml.safe_load(good), "only that number was wrong"
    code, text = topology("test", file)
    assert code == 0 and f"{len(names)} passed, 0 failed" in text, text


BROKEN = [
    ("no name", ("name: reactions", "named: reactions")),
    ("a key that there is not", ("fence: true", "fenced: true")),
    ("text for a number", ("partitions: 4", "partitions: four")),
    ("a stage without a sink", ("    sink: emoji-aggregates\n", "")),
    ("two origins", ("{ builtin: ovation-validate }", "{ builtin: ovation-validate, pfad: x.wasm }")),
    ("another shape of window", ("tumbling: { size: 10s }", "tumbling: 10s")),
    ("a list for transforms", ("    dead-letter: emoji-rejects", "    dead-letter: [emoji-rejects]")),
    ("a test without inputs", ("    inputs:\n      - { at: 9s", "    input:\n      - { at: 9s")),
]


def schema():
    code, text = topology("schema")
    assert code == 0, text
    schema = json.loads(text)
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    return validator(schema)


def test_the_schema_takes_what_ships_and_is_what_ships():
    validator = schema()
    for file in [SHIPPED, *EXAMPLES]:
        errors = list(validator.iter_errors(yaml.safe_load(file.read_text())))
        assert not errors, f"{file}: {errors[0].message}"
    assert validator.schema == json.loads((ROOT / "docs/topology.schema.json").read_text())


@pytest.mark.parametrize(("what", "replacement"), BROKEN, ids=lambda value: value if isinstance(value, str) else "")
def test_the_schema_refuses_what_the_engine_refuses(copied, what, replacement):
    file = copied(replacement)
    assert list(schema().iter_errors(yaml.safe_load(file.read_text()))), what
    assert topology("validate", file)[0] == 2, what
