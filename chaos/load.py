"""The load: clients that react, retry under the same id until they are acknowledged, and keep books."""

import asyncio
import itertools
import json
import random
import time

from .session import Session

CLIENTS = 16
EMOJI = ["🔥", "❤️", "👏", "😂", "🎉", "👍🏽"]
ATTEMPT_SECONDS = 2.5
# Between attempts; doubled up to the longest.
RETRY_SECONDS = (0.05, 1.0)
# The dedup horizon is a minute: a retry after it would count again, so a reaction has to be acknowledged before.
ACKNOWLEDGED_WITHIN_SECONDS = 50
TWICE_SHARE = 0.05
STAMPED_SHARE = 0.1
GARBAGE_SHARE = 0.02
# Well within what a gateway takes.
STAMP_BACK_MS = 1_000

# (body, status): what is answered at once and never stored.
GARBAGE = [
    (b"{", 400),
    (b"[]", 422),
    (b'{"emoji":"fire"}', 422),
    ('{"emoji":"🔥","count":0}'.encode(), 422),
    ('{"emoji":"🔥","count":101}'.encode(), 422),
    ('{"emoji":"🔥","ts":1}'.encode(), 422),
    ('{"emoji":"🔥","ts":99999999999999}'.encode(), 422),
]


class Load:
    def __init__(self, seed, rate, rooms, addresses, books, pulse):
        self.rate = rate
        self.rooms = rooms
        self.addresses = addresses
        self.books = books
        self.pulse = pulse
        self.seed = seed
        self._number = itertools.count(1)
        self._stop = asyncio.Event()
        self._tasks = []

    def begin(self):
        self._tasks = [asyncio.create_task(self._client(number)) for number in range(CLIENTS)]

    async def end(self):
        """No new reactions; returns when each is acknowledged, or has failed to be."""
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def _client(self, number):
        chance = random.Random(f"{self.seed}/{number}")
        sessions = [Session(*address) for address in self.addresses]
        chance.shuffle(sessions)
        due = time.monotonic() + number / self.rate
        while not self._stop.is_set():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due = max(due, time.monotonic()) + CLIENTS / self.rate
            if chance.random() < GARBAGE_SHARE:
                await self._garbage(chance, sessions)
            else:
                await self._react(chance, sessions)
        for session in sessions:
            session.close()

    async def _react(self, chance, sessions):
        room, emoji, taps = chance.choice(self.rooms), chance.choice(EMOJI), chance.randint(1, 4)
        identity = f"{self.seed}-{next(self._number)}"
        reaction = {"emoji": emoji, "count": taps, "id": identity}
        stamp = {}
        if chance.random() < STAMPED_SHARE:
            stamp = {"ts": int(time.time() * 1000) - chance.randint(0, STAMP_BACK_MS)}
        self.books.send(identity, room, emoji, taps)
        path = f"/v1/rooms/{room}/reactions"
        started = time.monotonic()
        answer = await self._until_answered(sessions, path, reaction | stamp, reaction)
        if answer is None:
            return
        self.books.acknowledge(identity)
        self.books.slowest_seconds = max(self.books.slowest_seconds, time.monotonic() - started)
        if chance.random() < TWICE_SHARE:
            self.books.repeats += 1
            sessions.reverse()
            await self._until_answered(sessions, path, reaction, reaction)

    async def _until_answered(self, sessions, path, first, later):
        """The answer of 200. Retries leave out the time: it may be too old by then."""
        deadline = time.monotonic() + ACKNOWLEDGED_WITHIN_SECONDS
        pause, body = RETRY_SECONDS[0], first
        while time.monotonic() < deadline:
            self.books.attempts += 1
            try:
                status, answer = await sessions[0].ask("POST", path, json.dumps(body).encode(), ATTEMPT_SECONDS)
            except (OSError, TimeoutError):
                status, answer = None, None
            if status == 200:
                self.pulse.acknowledgement(answer["partition"])
                return answer
            if status not in (None, 408, 503):
                self.books.surprises.append(f"{body} was answered {status}: {answer}")
                return None
            self.books.retries += 1
            body = later
            sessions.reverse()
            await asyncio.sleep(pause)
            pause = min(pause * 2, RETRY_SECONDS[1])
        return None

    async def _garbage(self, chance, sessions):
        body, expected = chance.choice(GARBAGE)
        try:
            status, answer = await sessions[0].ask(
                "POST", f"/v1/rooms/{chance.choice(self.rooms)}/reactions", body, ATTEMPT_SECONDS
            )
        except (OSError, TimeoutError):
            sessions.reverse()
            return
        self.books.garbage += 1
        if status not in (expected, 408, 503):
            self.books.surprises.append(f"{body} was answered {status}: {answer}")
