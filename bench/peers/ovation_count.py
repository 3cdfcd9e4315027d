"""Ovation: a broker and an engine of its own, the shipped counting stage (topology.yaml), results by the PyPI Fluvio client.

The reactions are stored first, as the peers' are in their files, and then counted from the log. What a start costs that has nothing
to count is measured beside it and taken off. The client's own time is nobody's.

usage: ovation_count.py --records N --dedup-ids N; prints {"counts": …, "warm": …, "figures": …}"""

import argparse
import itertools
import json
import os
import pathlib
import sys
import tempfile
import time

import fluvio

import data
import watch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "e2e"))
import processes  # noqa: E402

TOPOLOGY = pathlib.Path(__file__).with_name("topology.yaml")
EVENTS, AGGREGATES, PARTITIONS = "emoji-events", "emoji-aggregates", 4
CHUNK = 20_000
BATCH_BYTES = 700_000
LINGER_MS = 50
FINALS_WAIT_SECONDS = 60
FINALS_LOOK_SECONDS = 0.25


class System:
    """A broker, and an engine that can be started again. Processor seconds are those of both."""

    def __init__(self, folder):
        self.broker = processes.broker(folder)
        self.engine = None
        self._client = fluvio.Fluvio.connect_with_config(fluvio.FluvioConfig.new(self.broker.control))
        self._read = [0] * PARTITIONS

    def start(self):
        self.engine = processes.Process("engine", "--topology", TOPOLOGY, "--cluster", self.broker.control, "--no-reload")
        self.engine.wait_ready()
        if any(line.startswith("waiting") for line in self.engine.lines):
            raise SystemExit(f"the engine was not live within its wait:\n{self.engine.text}")

    def stop(self):
        self.engine.terminate()
        self.engine = None

    def pids(self):
        return [self.broker.pid, *([self.engine.pid] if self.engine else [])]

    def spent(self):
        return watch.processor_seconds(self.pids())

    def store(self, reactions):
        config = fluvio.TopicProducerConfigBuilder().batch_size(BATCH_BYTES).linger(LINGER_MS).build()
        producer = self._client.topic_producer_with_config(EVENTS, config)
        records = ((one.room.encode(), one.value().encode()) for one in reactions)
        sent = 0
        while chunk := list(itertools.islice(records, CHUNK)):
            outputs = producer.send_all(chunk)
            producer.flush()
            for output in outputs:
                output.wait()
            sent += len(chunk)
        return sent

    def new_results(self):
        """What was stored among the results since the last time."""
        for partition in range(PARTITIONS):
            config = fluvio.ConsumerConfigExtBuilder(AGGREGATES)
            config.partition(partition)
            config.offset_start(fluvio.Offset.absolute(self._read[partition]))
            config.disable_continuous(True)
            for record in self._client.consumer_with_config(config.build()):
                self._read[partition] = record.offset() + 1
                yield json.loads(record.value_string())

    def finals(self, enough):
        """{(room, emoji, start): taps} of all final windows, once they hold so many taps, or time is up."""
        found, deadline = {}, time.monotonic() + FINALS_WAIT_SECONDS
        while sum(found.values()) < enough and time.monotonic() < deadline:
            time.sleep(FINALS_LOOK_SECONDS)
            for update in self.new_results():
                if update["final"]:
                    for emoji, taps in update["counts"].items():
                        found[update["room"], emoji, update["window"]["start"]] = taps
        return found

    def end(self):
        for process in (self.engine, self.broker):
            if process:
                process.end()


def warm(folder, dedup):
    """Whether repeats are dropped, or counted where that is asked for: what comes of the warm-up."""
    system = System(folder)
    try:
        # The first start makes the topics.
        system.start()
        system.stop()
        system.store(data.warm_set())
        system.start()
        return system.finals(sum(data.expected(data.warm_set(), dedup).values()))
    finally:
        system.end()


def measured(folder, records):
    """Counts, and figures: processor and wall seconds of each part, and the most memory."""
    figures = {}

    def take(part, work):
        spent, began = system.spent(), time.monotonic()
        answer = work()
        figures[f"{part}_cpu_s"], figures[f"{part}_s"] = system.spent() - spent, time.monotonic() - began
        return answer

    def count():
        system.start()
        return system.finals(records)

    system = System(folder)
    try:
        take("start", system.start)
        system.stop()
        take("idle", system.start)
        system.stop()
        take("store", lambda: system.store(data.main_set(records)))
        counts = take("count", count)
        figures["peak_mb"] = watch.peak_mb(system.pids())
        return counts, figures
    finally:
        system.end()


def rows(counts):
    return [[*place, taps] for place, taps in counts.items()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, required=True)
    parser.add_argument("--dedup-ids", type=int, required=True, help="ids that each partition remembers for 60 s; 0: no deduplication")
    given = parser.parse_args()
    os.environ["PEERS_DEDUP_IDS"] = str(given.dedup_ids)
    with tempfile.TemporaryDirectory() as folder:
        warmed = warm(pathlib.Path(folder, "warm"), given.dedup_ids > 0)
        counts, figures = measured(pathlib.Path(folder, "main"), given.records)
    print(json.dumps({"warm": rows(warmed), "counts": rows(counts), "figures": figures}))


if __name__ == "__main__":
    main()
