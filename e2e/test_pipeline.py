"""The pipeline as operators see it: real rejects, real stages, and who may ask."""

import json
import secrets
import time

import httpx
import jwt
import pytest

import readers
from processes import FREE, Process
from reactor import Reactor
from topology import started

PATIENCE_S = 60
LETTER_BYTES_MAX = 8 * 1024
SECRET = secrets.token_urlsafe(48)


def pipeline(http, **options):
    answer = httpx.get(f"{http}/v1/pipeline", timeout=10, **options)
    assert answer.status_code == 200, answer.text
    return answer.json()


def wait(http, enough):
    deadline = time.monotonic() + PATIENCE_S
    while not enough(told := pipeline(http)):
        assert time.monotonic() < deadline, told
        time.sleep(0.1)
    return told


def of(told, room):
    """The room's letters among the last ones, the newest first."""
    return [letter for letter in told["rejects"]["last"] if letter.get("room") == room]


def test_what_does_not_count_is_counted_by_reason_and_shown(ovation, room):
    topology = ovation.topology
    before = pipeline(ovation.http)["rejects"]
    producer = readers.connect(ovation.control).topic_producer(topology.events)
    for value in [{"emoji": "fire"}, {"emoji": "🔥", "count": 101}, {"emoji": "water"}]:
        producer.send(room.encode(), json.dumps({"room": room, **value}).encode())
    producer.flush()
    told = wait(ovation.http, lambda told: len(of(told, room)) == 3)
    after = told["rejects"]
    assert after["since"] == before["since"] <= told["time"]
    count = lambda rejects, reason: rejects["by_reason"].get(reason, 0)
    # Other tests of the same system may send what does not count, too.
    assert count(after, "unknown_emoji") >= count(before, "unknown_emoji") + 2
    assert count(after, "bad_count") >= count(before, "bad_count") + 1
    assert after["total"] == sum(after["by_reason"].values())
    assert [letter["reason"] for letter in of(told, room)] == ["unknown_emoji", "bad_count", "unknown_emoji"]
    stored = [value for _, value in readers.stored(ovation.control, topology.rejects, topology.partitions)]
    assert all(letter in stored for letter in of(told, room)), "as they stand"


def test_a_long_letter_is_cut_and_says_so(ovation, room):
    producer = readers.connect(ovation.control).topic_producer(ovation.topology.events)
    event = json.dumps({"room": room, "emoji": "🔥", "user": "u" * 20_000})
    producer.send(room.encode(), event.encode())
    producer.flush()
    mine = lambda told: [letter for letter in told["rejects"]["last"] if letter.get("cut") and room in letter["event"]]
    [letter] = mine(wait(ovation.http, mine))
    assert event.startswith(letter["event"]) and len(letter["event"]) > 1_000
    assert len(json.dumps(letter, ensure_ascii=False).encode()) <= LETTER_BYTES_MAX


def test_what_comes_in_shows_as_a_rate_and_goes_again(own_embedded, room):
    http = own_embedded.http
    assert pipeline(http)["ingest"] == {"reactions_per_s": 0.0, "taps_per_s": 0.0}
    batch = [{"room": room, "emoji": "🔥", "count": 10}] * 100
    assert httpx.post(f"{http}/v1/reactions", json=batch, timeout=10).json()["accepted"] == 100
    ingest = pipeline(http)["ingest"]
    assert 100 / 7 < ingest["reactions_per_s"] <= 100 and ingest["taps_per_s"] == pytest.approx(
        10 * ingest["reactions_per_s"], abs=1
    )
    wait(http, lambda told: told["ingest"] == {"reactions_per_s": 0.0, "taps_per_s": 0.0})


def test_stages_are_those_of_the_engine_in_this_process(own_ovation, room):
    topology = own_ovation.topology
    def task(told):
        [stage] = [stage for stage in told["stages"] if stage["stage"] == "reactions"]
        assert (stage["source"], stage["sink"]) == (topology.events, topology.aggregates)
        assert [task["partition"] for task in stage["partitions"]] == list(range(topology.partitions))
        return max(stage["partitions"], key=lambda task: task["offset"])

    # A task stores its state now and then, while there is something to do.
    reactor = Reactor(own_ovation.http, room)
    wait(own_ovation.http, lambda told: task(told)["checkpoint_at"])
    assert reactor.stop() > 0
    told = wait(own_ovation.http, lambda told: all(task["lag"] == 0 for stage in told["stages"] for task in stage["partitions"]))
    busiest = task(told)
    assert (busiest["state"], busiest["role"], busiest["error"]) == ("running", "active", None)
    assert abs(busiest["watermark"] - told["time"]) < 60_000 and busiest["checkpoint_at"] <= told["time"]
    assert {"reactions", "moments"} <= {stage["stage"] for stage in told["stages"]}
    # A gateway without an engine sees what did not count all the same.
    arguments = ["--cluster", own_ovation.control, "--topology", topology.file, "--http", FREE]
    alone = Process("gateway", *arguments).wait_ready()
    try:
        told = wait(alone.http, lambda told: told["rejects"] is not None)
        assert told["stages"] is None and told["rejects"]["total"] == 0
    finally:
        alone.end()


def bearer(*allow):
    claims = {"exp": time.time() + 600, "rooms": ["*"], "allow": list(allow), "sub": "ann"}
    return {"authorization": f"Bearer {jwt.encode(claims, SECRET, 'HS256')}"}


def test_with_keys_it_takes_an_admin(tmp_path):
    (tmp_path / "keys").write_text(SECRET)
    process = started(tmp_path, "--keys", tmp_path / "keys", "--admin", FREE)
    try:
        for http in [process.http, process.admin]:
            ask = lambda headers: httpx.get(f"{http}/v1/pipeline", headers=headers, timeout=10).status_code
            assert (ask({}), ask(bearer("watch", "react")), ask(bearer("admin"))) == (401, 403, 200), http
    finally:
        process.end()


def test_an_open_gateway_tells_only_operators(tmp_path):
    process = started(tmp_path, "--admin", FREE)
    try:
        answer = httpx.get(f"{process.http}/v1/pipeline", timeout=10)
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:ovation:problem:forbidden")
        assert pipeline(process.admin)["rejects"]["last"] == []
    finally:
        process.end()
