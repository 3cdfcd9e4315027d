"""A topology that changes under a running system: stages that it does not touch go on, a mistake keeps the last good
one, and nothing is lost or counted twice on the way."""

import os
import re
import time

import httpx
import pytest

import processes
from processes import FREE, ROOT
from reactor import Reactor
from readers import finals, stored, wait_finals
from topology import Topology

WASM = ROOT / "target/smartmodules/wasm32-unknown-unknown/wasm"
SECOND_STAGE = """
  again:
    source: emoji-events
    transforms:
      - uses: validate
      - uses: window
        window: { tumbling: { size: 3s }, grace: 500ms }
    sink: again-aggregates
    dead-letter: again-rejects
    checkpoints: emoji-checkpoints
"""


def write_module(file, version):
    """The window module. Versions differ in their bytes alone: by a section that WebAssembly ignores."""
    wasm = (WASM / "ovation_window.wasm").read_bytes()
    write(file, wasm + bytes([0, 9, 7]) + b"version" + bytes([version]))


def write(file, content):
    """As most editors do it: a new file in the place of the old one."""
    draft = file.with_suffix(".draft")
    draft.write_bytes(content if isinstance(content, bytes) else content.encode())
    os.replace(draft, file)


def wait_said(process, pattern, after=0, seconds=30):
    """Waits for a line from number `after` on that matches; answers the number of the line behind it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for number, line in enumerate(process.lines[after:], after):
            if re.search(pattern, line):
                return number + 1
        time.sleep(0.05)
    raise AssertionError(f"no line {pattern!r} after line {after} of:\n{process.text}")


def wait_ready(http, seconds=30):
    deadline = time.monotonic() + seconds
    while (answer := httpx.get(f"{http}/readyz")).status_code != 200:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)


@pytest.fixture
def system(tmp_path):
    """A system whose window module is a file."""
    topology = Topology(tmp_path)
    write_module(tmp_path / "window.wasm", 1)
    text = topology.file.read_text()
    builtin = "window: { builtin: ovation-window }"
    assert builtin in text, "the shipped topology has another shape"
    # Tests that name no stage are of the first one, which is another one here.
    text, _, tests = text.partition("\ntests:\n")
    assert tests, "the shipped topology has another shape"
    topology.file.write_text(text.replace(builtin, "window: { path: window.wasm }") + "\n")
    process = processes.Process(
        "run", "--topology", topology.file, "--data", tmp_path / "data",
        "--http", FREE, "--broker", FREE, "--broker-spu", FREE,
    ).wait_ready()
    process.topology = topology
    yield process
    process.end()


def test_a_changed_module_restarts_its_stage_and_every_reaction_counts_once(system, tmp_path, room):
    reactor = Reactor(system.http, room)
    time.sleep(1)
    write_module(tmp_path / "window.wasm", 2)
    said = wait_said(system, r"^topology  reloaded: stage reactions restarted, stage moments kept$")
    wait_ready(system.http)
    # Another stage beside it: the first one goes on untouched.
    text = system.topology.file.read_text()
    topics = "".join(
        f"  again-{name}: {{ partitions: 4, fence: true }}\n" for name in ["aggregates", "rejects"]
    )
    both = text.replace("\nsmartmodules:\n", f"{topics}\nsmartmodules:\n")
    write(system.topology.file, both.replace("\nstages:\n", f"\nstages:{SECOND_STAGE}"))
    said = wait_said(system, r"^topology  reloaded: stage again started, stage reactions kept, stage moments kept$", said)
    wait_ready(system.http)
    time.sleep(1)
    expected = {room: {"🔥": reactor.stop()}}
    assert expected[room]["🔥"] > 20
    assert wait_finals(system.control, system.topology, [room], expected) == expected
    deadline = time.monotonic() + 30
    while (found := finals(value for _, value in stored(system.control, "again-aggregates", 4))) != expected:
        assert time.monotonic() < deadline, f"{found} is not {expected}"
        time.sleep(0.3)
    write(system.topology.file, text)
    wait_said(system, r"^topology  reloaded: stage again stopped, stage reactions kept, stage moments kept$", said)
    assert system.terminate() == 0, system.text


def test_a_broken_file_keeps_the_last_good_topology_and_says_why(system, room):
    reactor = Reactor(system.http, room)
    file = system.topology.file
    text = file.read_text()
    write(file, text.replace("sink: emoji-aggregates", "sink: emoji-agregates"))
    said = wait_said(system, r"^ovation: keeping the last good topology$")
    line = 1 + text.split("sink: emoji-aggregates")[0].count("\n")
    assert f"{file}:{line}:" in system.text.replace("\n", ""), system.text
    assert "emoji-aggregates" in system.text, "what was meant"
    before = reactor.acknowledged
    time.sleep(2)
    assert reactor.acknowledged > before
    wait_ready(system.http)
    assert len(system.lines) == said, f"it is said once:\n{system.text}"

    # What the cluster cannot take is refused as well.
    write(file, text.replace("emoji-aggregates:\n    partitions: 4", "emoji-aggregates:\n    partitions: 4 # as it is"))
    said = wait_said(system, r"^topology  reloaded: stage reactions kept, stage moments kept$", said)
    assert text.count("partitions: 4") == len(system.topology.topics)
    write(file, text.replace("partitions: 4", "partitions: 5"))
    said = wait_said(system, r"^ovation: failed to use topic .* it has 4 partitions, the topology says 5", said)
    said = wait_said(system, r"^ovation: keeping the last good topology$", said)
    # Longer than until the cluster is asked again.
    time.sleep(7)
    assert len(system.lines) == said, f"it is said once:\n{system.text}"

    write(file, text)
    wait_said(system, r"^topology  reloaded: stage reactions kept, stage moments kept$", said)
    expected = {room: {"🔥": reactor.stop()}}
    assert wait_finals(system.control, system.topology, [room], expected) == expected
    assert system.terminate() == 0, system.text


def test_other_windows_stop_the_stage_until_somebody_decides(system, room):
    reactor = Reactor(system.http, room)
    file = system.topology.file
    text = file.read_text()
    assert "size: 2000ms" in text
    write(file, text.replace("size: 2000ms", "size: 3s"))
    said = wait_said(system, r"^topology  reloaded: stage reactions restarted, stage moments kept$")
    wait_said(system, r"another configuration.*ovation topology reset", said)
    assert httpx.get(f"{system.http}/readyz").status_code == 503
    write(file, text)
    said = wait_said(system, r"^topology  reloaded: stage reactions restarted, stage moments kept$", said)
    wait_ready(system.http)
    expected = {room: {"🔥": reactor.stop()}}
    assert wait_finals(system.control, system.topology, [room], expected) == expected

    # The page's topics are the gateway's for as long as it runs.
    moved = text.replace("sink: emoji-aggregates", "sink: other-aggregates").replace(
        "  emoji-rejects:\n", "  other-aggregates: { partitions: 4, fence: true }\n  emoji-rejects:\n"
    )
    write(file, moved)
    wait_said(system, r"^gateway   still serves emoji-events and emoji-aggregates: start ovation again", said)


def test_a_change_is_left_alone_where_that_is_wanted(tmp_path):
    topology = Topology(tmp_path)
    process = processes.Process(
        "run", "--topology", topology.file, "--data", tmp_path / "data",
        "--http", FREE, "--broker", FREE, "--broker-spu", FREE, "--no-reload",
    ).wait_ready()
    try:
        said = len(process.lines)
        write(topology.file, "name: [")
        time.sleep(3)
        assert len(process.lines) == said, process.text
    finally:
        process.end()
