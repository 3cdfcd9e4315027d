#!/usr/bin/env python3
"""Restart cost: from the start of an engine to the moment it is live again, with many reactions after its last checkpoint.

Starts a broker and an engine of its own on free ports, lets the engine count a little and write a checkpoint, kills it with -9,
stores the reactions while nobody counts, and measures from the start of a new engine until it says that it is ready: connected,
chains compiled, state restored, everything counted and stored. The finals are then compared with what was sent.

The baseline in the same run is a restart with nothing to catch up with: what is over it is the price of the reactions.

usage: restart_cost.py [--binary FILE] [--reactions N] [--runs N] [--json FILE]"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "e2e"))

ROOMS = 100
EMOJI = ["🔥", "❤️", "👏", "😂", "🎉", "😮", "👍", "💯"]
CHUNK = 20_000
FINALS_WAIT_SECONDS = 60


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "target/release/ovation"), help="the program (default: release build)")
    parser.add_argument("--reactions", type=int, default=1_000_000, help="stored while no engine runs (default 1,000,000)")
    parser.add_argument("--runs", type=int, default=3, help="restarts to measure (default 3; the median counts)")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures here")
    return parser.parse_args()


def produce(producer, first, count):
    """Reactions as gateways write them, with ids and users: 100 rooms, 8 emoji."""
    for start in range(first, first + count, CHUNK):
        chunk = []
        for number in range(start, min(start + CHUNK, first + count)):
            room = f"room-{number % ROOMS}"
            ts = time.time_ns() // 1_000_000
            event = (
                f'{{"id":"r{number}","room":"{room}","emoji":"{EMOJI[number % 8]}","count":1,'
                f'"user":"u{number % 5000}","ts":{ts}}}'
            )
            chunk.append((room.encode(), event.encode()))
        producer.send_all(chunk)
    producer.flush()


def median_of(values):
    return round(statistics.median(values), 3)


def main():
    given = options()
    os.environ["OVATION_BINARY"] = given.binary
    import processes
    import readers
    from topology import Topology

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        topology = Topology(folder)
        broker = processes.broker(folder / "data")
        engine = None

        def start():
            began = time.perf_counter()
            process = processes.Process("engine", "--topology", topology.file, "--cluster", broker.control)
            process.wait_ready()
            took = time.perf_counter() - began
            if any(line.startswith("waiting") for line in process.lines):
                raise SystemExit(f"the engine was not live within its wait:\n{process.text}")
            return process, took

        try:
            engine, first = start()
            print(f"first start, everything new: {first:.2f} s", flush=True)
            producer = readers.connect(broker.control).topic_producer(topology.events)
            produce(producer, 0, ROOMS * 10)
            sent = ROOMS * 10
            idle, behind = [], []
            for run in range(given.runs):
                engine.kill()
                engine, took = start()
                idle.append(took)
                engine.kill()
                produce(producer, sent, given.reactions)
                sent += given.reactions
                engine, took = start()
                behind.append(took)
                print(
                    f"run {run + 1}: {idle[-1]:.2f} s with nothing to do, {took:.2f} s with {given.reactions:,} reactions"
                    f" ({given.reactions / max(took - idle[-1], 1e-9):,.0f} reactions/s over it)",
                    flush=True,
                )
            rooms = [f"room-{number}" for number in range(ROOMS)]
            deadline = time.monotonic() + FINALS_WAIT_SECONDS
            while True:
                updates = [value for _, value in readers.stored(broker.control, topology.aggregates, topology.partitions)]
                counted = readers.taps({room: counts for room, counts in readers.finals(updates).items() if room in rooms})
                if counted >= sent or time.monotonic() > deadline:
                    break
                time.sleep(0.5)
            verdict = "exact" if counted == sent else f"WRONG: {counted} counted, {sent} sent"
            print(f"median: {median_of(idle)} s idle, {median_of(behind)} s with {given.reactions:,} reactions; finals {verdict}")
            if given.json:
                figures = {
                    "what": "restart cost, seconds from the engine's start to ready",
                    "reactions": given.reactions,
                    "idle_s": [round(value, 3) for value in idle],
                    "behind_s": [round(value, 3) for value in behind],
                    "idle_median_s": median_of(idle),
                    "behind_median_s": median_of(behind),
                    "finals": verdict,
                    "machine": f"{platform.machine()}, {os.cpu_count()} cores",
                }
                given.json.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
            return 0 if counted == sent else 1
        finally:
            if engine:
                engine.end()
            broker.end()


if __name__ == "__main__":
    sys.exit(main())
