"""A watcher: one room's feed over any gateway, resumed with its cursor whenever it breaks."""

import asyncio
import json

import websockets
from websockets.asyncio.client import connect

# The load keeps every room busy: a feed that is silent for so long is dead or stalled, and another one is tried.
SILENCE_SECONDS = 4.0
OPEN_SECONDS = 3.0
RECONNECT_SECONDS = 0.2
MESSAGE_BYTES_MAX = 2**23


class Line:
    """An unbroken row of updates: what came after one snapshot, over however many connections."""

    def __init__(self, floor):
        # Place of the newest result in the snapshot; none where it was empty.
        self.floor = floor
        self.places = []
        # How many results the gateway says that it left out, because others had superseded them.
        self.skipped = 0
        # Whether it went on over another connection: then superseded results may be left out untold (docs/feed.md, "To resume").
        self.resumed = False


def place_of(update):
    return update["epoch"], update["seq"]


def window_of(update):
    return update["window"]["name"], update["window"]["start"]


class Watcher:
    def __init__(self, room, addresses, pulse):
        self.room = room
        self.addresses = addresses
        self.pulse = pulse
        self.lines = []
        # Windows whose final was seen, and how often outside of snapshots.
        self.finals = {}
        self.repeats = []
        # A snapshot of a gateway that is behind gives what was seen before, and its updates again.
        self.rewinds = 0
        self.connections = 0
        self.snapshots = 0
        self.skipped = 0
        # Nobody reacts any more: silence is right.
        self.is_quiet = False
        self._cursor = None
        self._task = None

    def begin(self):
        self._task = asyncio.create_task(self._follow())

    async def end(self):
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled() and self._task.exception():
            raise self._task.exception()

    async def _follow(self):
        turn = hash(self.room)
        while True:
            turn += 1
            address = self.addresses[turn % len(self.addresses)]
            after = f"?after={self._cursor}" if self._cursor else ""
            try:
                async with connect(
                    f"ws://{address}/v1/rooms/{self.room}/feed{after}", proxy=None, open_timeout=OPEN_SECONDS,
                    close_timeout=0.1, max_size=MESSAGE_BYTES_MAX, ping_interval=None, compression=None,
                ) as socket:
                    self.connections += 1
                    if self.lines:
                        self.lines[-1].resumed = True
                    await self._listen(socket)
            except (OSError, TimeoutError, EOFError, websockets.WebSocketException):
                pass
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self, socket):
        while True:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    text = await socket.recv()
            except TimeoutError:
                if self.is_quiet:
                    continue
                return
            self._take(json.loads(text))

    def _take(self, message):
        kind = message["type"]
        if kind == "snapshot":
            self.snapshots += 1
            windows = message["windows"]
            floor = max(map(place_of, windows), default=None)
            if self.lines and self.lines[-1].places and (floor or (0, 0)) < self.lines[-1].places[-1]:
                self.rewinds += 1
            self.lines.append(Line(floor))
            for window in windows:
                if window["final"]:
                    self.finals.setdefault(window_of(window), 0)
        elif kind == "update":
            self._update(message["update"])
        elif kind == "skipped":
            self.skipped += message["count"]
            self.lines[-1].skipped += message["count"]
            return
        elif kind != "moment":
            raise AssertionError(f"the feed of {self.room} said {message}")
        self._cursor = message["cursor"]

    def _update(self, update):
        place, line = place_of(update), self.lines[-1]
        self.pulse.result(update["source"]["partition"], place)
        last = line.places[-1] if line.places else line.floor
        if last is not None and place <= last:
            self.repeats.append(f"{self.room}: {place} came after {last}")
            return
        line.places.append(place)
        if update["final"]:
            window = window_of(update)
            self.finals[window] = self.finals.get(window, 0) + 1
