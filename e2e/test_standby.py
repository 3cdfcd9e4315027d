"""Two engines as processes of their own: whichever is paused, woken or killed, every result is there once."""

import re
import signal
import time

import httpx
import pytest

import processes
from conftest import CLUSTER
from processes import FREE, Process
from readers import Feed, delete_topics, stored, wait_finals
from test_system import acknowledged, fresh_rooms, sender
from topology import Topology, unique_prefix

# Two seconds are promised on a machine that has nothing else to do.
TAKEOVER_SECONDS = 10
# Of the shipped topology.
STAGES = 2


class Engine:
    def __init__(self, control, topology):
        self.process = Process(
            "engine", "--cluster", control, "--topology", topology.file, "--status", FREE
        ).wait_ready()
        self.status = re.search(r"^status +(http://\S+?)/readyz$", self.process.text, re.MULTILINE).group(1)

    def roles(self):
        return [part["detail"] for part in httpx.get(f"{self.status}/readyz").json()["parts"]]


@pytest.fixture(params=["embedded", "cluster"])
def parts(request, tmp_path):
    """A broker, two engines and a gateway."""
    started = []
    if request.param == "cluster":
        if not CLUSTER:
            pytest.skip("OVATION_TEST_CLUSTER is not set")
        control, topology = CLUSTER, Topology(tmp_path, unique_prefix())
    else:
        broker = processes.broker(tmp_path / "data")
        started.append(broker)
        control, topology = broker.control, Topology(tmp_path)
    try:
        engines = [Engine(control, topology) for _ in range(2)]
        started += [engine.process for engine in engines]
        gateway = Process("gateway", "--cluster", control, "--topology", topology.file, "--http", FREE).wait_ready()
        started.append(gateway)
        yield control, topology, engines, gateway
    finally:
        for process in reversed(started):
            process.signal(signal.SIGCONT)
            process.end()
        if request.param == "cluster":
            delete_topics(control, topology.all_topics)


def takeover(feeds, what):
    """Waits until every room has new updates."""
    since = time.monotonic()
    before = [len(feed.updates()) for feed in feeds]
    for feed, count in zip(feeds, before):
        # One may still be on its way when an engine is stopped.
        assert feed.wait(lambda _, feed=feed, count=count: len(feed.updates()) >= count + 3, TAKEOVER_SECONDS), what
    print(f"{what}: updates again after {time.monotonic() - since:.2f} s")


def test_an_engine_paused_and_one_killed_leave_no_trace_in_the_results(parts):
    control, topology, (first, second), gateway = parts
    rooms = fresh_rooms()
    feeds = [Feed(gateway.http, room) for room in rooms]
    senders = [sender(gateway, 900, 60, rooms) for _ in range(2)]
    takeover(feeds, "at the start")
    first.process.signal(signal.SIGSTOP)
    takeover(feeds, "one engine paused")
    first.process.signal(signal.SIGCONT)
    takeover(feeds, "one engine woken")
    second.process.kill()
    takeover(feeds, "the other engine killed")
    assert any("active" in role for role in first.roles()), first.roles()
    sent = acknowledged(senders)
    assert wait_finals(control, topology, rooms, sent) == sent
    by_place = {}
    for partition, update in stored(control, topology.aggregates, topology.partitions):
        by_place.setdefault((partition, update["epoch"]), []).append(update["seq"])
    for seqs in by_place.values():
        assert sorted(seqs) == list(range(1, len(seqs) + 1)), "no number is missing, none is there twice"
    for feed in feeds:
        feed.close()


def test_an_engine_tells_of_itself(parts):
    _, topology, (first, _), gateway = parts
    assert httpx.get(f"{first.status}/healthz").status_code == 200
    ready = httpx.get(f"{first.status}/readyz")
    assert ready.status_code == 200 and len(ready.json()["parts"]) == STAGES * topology.partitions
    text = httpx.get(f"{first.status}/metrics").text
    assert re.search(r'^ovation_task_ready\{stage="reactions",partition="3"\} 1$', text, re.MULTILINE), text
    assert text.endswith("# EOF\n")
    assert "ovation_build_info" in httpx.get(f"{gateway.http}/metrics").text


@pytest.mark.parametrize("partitions, said", [("0-9", "partition 4"), ("3-1", "3 is more than 1"), ("x", "not a number")])
def test_partitions_that_make_no_sense_are_refused(broker, tmp_path, partitions, said):
    topology = Topology(tmp_path)
    code, text = processes.outcome(
        "engine", "--cluster", broker.control, "--topology", topology.file, "--partitions", partitions
    )
    assert code == 2, text
    assert said in text


def test_a_reset_says_what_it_would_do_and_does_it_when_told(broker, tmp_path):
    topology = Topology(tmp_path)
    where = ["--cluster", broker.control, "--topology", topology.file]
    code, text = processes.outcome("topology", "apply", *where)
    assert code == 0, text
    code, text = processes.outcome("topology", "reset", *where)
    assert code == 0 and "epoch 2 begins at offset 0" in text and "nothing was changed" in text, text
    code, text = processes.outcome("topology", "reset", *where, "--stage", "reactions", "--yes")
    assert code == 0 and "done" in text, text
    code, text = processes.outcome("topology", "reset", *where)
    assert "epoch 3 begins" in text, text
    code, text = processes.outcome("topology", "reset", *where, "--stage", "nowhere")
    assert code == 2 and "nowhere" in text and "reactions" in text, text
