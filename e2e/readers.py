"""Readers that nobody here wrote: the PyPI Fluvio client and the PyPI WebSocket client."""

import asyncio
import itertools
import json
import threading
import time

import fluvio
import websockets


def connect(control):
    return fluvio.Fluvio.connect_with_config(fluvio.FluvioConfig.new(control))


def admin(control):
    return fluvio.FluvioAdmin.connect_with_config(fluvio.FluvioConfig.new(control))


def delete_topics(control, topics):
    there = admin(control)
    for topic in topics:
        there.delete_topic(topic)


def filtered(control, topic, partitions, smartmodule, counts=None, **params):
    """What a SmartModule of the broker's lets through of what is stored now, as (key, value), in the order of the partitions.

    A Fluvio SPU does not tell a client where the log ends while the filter passes nothing (docs/fluvio.md 9): there `counts` says how
    many records to wait for in each partition, and others are not asked."""
    client = connect(control)
    config = fluvio.ConsumerConfig()
    config.disable_continuous()
    config.smartmodule(name=smartmodule, kind=fluvio.SmartModuleKind.Filter, params=params)
    found = []
    for partition in range(partitions):
        count = None if counts is None else counts.get(partition, 0)
        if count == 0:
            continue
        stream = client.partition_consumer(topic, partition).stream_with_config(fluvio.Offset.beginning(), config)
        records = itertools.islice(stream, count)
        found.extend((record.key_string(), json.loads(record.value_string())) for record in records)
    return found


def partition_counts(control):
    """How many partitions each topic has."""
    counts = {}
    for partition in admin(control).list_partitions([]):
        # NAME-N is partition N of NAME.
        topic = partition.name().rpartition("-")[0]
        counts[topic] = counts.get(topic, 0) + 1
    return counts


def records(control, topic, partitions):
    """Every record of a topic that is stored now, as (partition, record)."""
    client = connect(control)
    found = []
    for partition in range(partitions):
        config = fluvio.ConsumerConfigExtBuilder(topic)
        config.partition(partition)
        config.offset_start(fluvio.Offset.beginning())
        config.disable_continuous(True)
        found.extend((partition, record) for record in client.consumer_with_config(config.build()))
    return found


def stored(control, topic, partitions):
    """The same with JSON values, as (partition, value)."""
    return [(partition, json.loads(record.value_string())) for partition, record in records(control, topic, partitions)]


def finals(updates):
    """Counts of final windows: {room: {emoji: taps}}. A number that was seen is dropped, as the contract asks of readers."""
    seen = set()
    rooms = {}
    for update in updates:
        place = (update["stage"], update["epoch"], update["source"]["partition"], update["seq"])
        if not update["final"] or place in seen:
            continue
        seen.add(place)
        counts = rooms.setdefault(update["room"], {})
        for emoji, taps in update["counts"].items():
            counts[emoji] = counts.get(emoji, 0) + taps
    return rooms


def wait_finals(control, topology, rooms, expected, seconds=60):
    """Reads the aggregate topic until the finals of these rooms hold what is expected, or time is up; then the last state."""
    deadline = time.monotonic() + seconds
    while True:
        updates = [value for _, value in stored(control, topology.aggregates, topology.partitions)]
        found = {room: counts for room, counts in finals(updates).items() if room in rooms}
        if taps(found) >= taps(expected) or time.monotonic() > deadline:
            return found
        time.sleep(0.3)


def taps(rooms):
    return sum(sum(counts.values()) for counts in rooms.values())


class Feed:
    """Follows one room's WebSocket feed in a thread of its own, and keeps every message."""

    def __init__(self, http, room):
        self.messages = []
        self._changed = threading.Condition()
        self._url = http.replace("http://", "ws://") + f"/v1/rooms/{room}/feed"
        self._loop = asyncio.new_event_loop()
        self._socket = None
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._follow(),), daemon=True)
        self._thread.start()
        self.wait(lambda messages: bool(messages))

    async def _follow(self):
        try:
            async with websockets.connect(self._url) as socket:
                self._socket = socket
                async for text in socket:
                    with self._changed:
                        self.messages.append(json.loads(text))
                        self._changed.notify_all()
        except websockets.ConnectionClosedError:
            # The server was killed under it: what was read stays.
            pass

    def updates(self):
        return [message["update"] for message in self.messages if message["type"] == "update"]

    def wait(self, enough, seconds=60):
        """Until `enough(messages)` is true; whether it came true."""
        with self._changed:
            return self._changed.wait_for(lambda: enough(self.messages), seconds)

    def close(self):
        asyncio.run_coroutine_threadsafe(self._socket.close(), self._loop)
        self._thread.join(10)
