"""Events that are written to the source topic past the gateways: bursts, and strays that must not count."""

import base64
import json
import time

from . import tool
from .load import ACKNOWLEDGED_WITHIN_SECONDS, EMOJI

ATTEMPT_SECONDS = 12
TICK_KEY = b"\x01tick"
FAR_MS = 3_600_000
LATE_ONES = 3
ROOM_BYTES_MAX = 64
# Long names make large results.
ROOM_NAME = "burst-{seed}-{number:04}-with-a-name-as-long-as-they-come-x"


class Events:
    """Writes to the source topic. What is not acknowledged in time is written again under the same ids."""

    def __init__(self, seed, cluster, topic, books):
        self.seed, self.cluster, self.topic, self.books = seed, cluster, topic, books
        self._writes = 0

    async def burst(self, rooms):
        """One reaction in each of so many rooms, at once."""
        self._writes += 1
        identities = [f"{self.seed}-burst-{self._writes}-{number}" for number in range(rooms)]
        pairs = []
        for number, identity in enumerate(identities):
            room = ROOM_NAME.format(seed=self.seed, number=number)[:ROOM_BYTES_MAX]
            pairs.append(self._reaction(room, identity, number))
        return await self._write(pairs, identities)

    async def strays(self):
        """Late ones, that are counted late; and ones that are refused: from the future, bad, under a wrong key, a forged tick."""
        self._writes += 1
        mark = f"{self.seed}-stray-{self._writes}"
        room, now = f"strays-{self.seed}", int(time.time() * 1000)
        late = [f"{mark}-late-{number}" for number in range(LATE_ONES)]
        pairs = [self._reaction(room, identity, number, ts=now - FAR_MS) for number, identity in enumerate(late)]
        good = {"room": room, "emoji": "🔥", "ts": now}
        for reason, key, event in [
            ("future", room, good | {"ts": now + FAR_MS}),
            ("unknown_emoji", room, good | {"emoji": "fire"}),
            ("bad_count", room, good | {"count": 0}),
            ("bad_time", room, good | {"ts": -1}),
            ("key_mismatch", "elsewhere", good),
        ]:
            identity = f"{mark}-{reason}"
            self.books.refused[identity] = reason
            pairs.append((key.encode(), json.dumps(event | {"id": identity}).encode()))
        self.books.refused[f"{mark}-half"] = "malformed"
        pairs.append((room.encode(), b'{"id":"%s-half' % mark.encode()))
        self.books.refused[f"{mark}-tick"] = "future"
        pairs.append((TICK_KEY, json.dumps({"tick": now + FAR_MS, "mark": f"{mark}-tick"}).encode()))
        return await self._write(pairs, late)

    def _reaction(self, room, identity, number, **more):
        emoji, taps = EMOJI[number % len(EMOJI)], 1 + number % 3
        self.books.send(identity, room, emoji, taps)
        event = {"id": identity, "room": room, "emoji": emoji, "count": taps} | more
        return room.encode(), json.dumps(event).encode()

    async def _write(self, pairs, identities):
        """Writes until all of it is acknowledged; whether it was."""
        lines = "\n".join(json.dumps({"key": text(key), "value": text(value)}) for key, value in pairs)
        deadline = time.monotonic() + ACKNOWLEDGED_WITHIN_SECONDS - ATTEMPT_SECONDS
        while time.monotonic() < deadline:
            self.books.attempts += 1
            try:
                code, _, _ = await tool.run(
                    *tool.module("producer"), self.cluster, self.topic, stdin=lines.encode(), seconds=ATTEMPT_SECONDS
                )
            except TimeoutError:
                code = None
            if code == 0:
                for identity in identities:
                    self.books.acknowledge(identity)
                return True
            self.books.retries += 1
        return False


def text(part):
    return base64.b64encode(part).decode()
