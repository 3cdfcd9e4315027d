"""Somebody who keeps reacting while a test does something else."""

import threading

import httpx


class Reactor:
    """Sends one reaction after the other and keeps count of what was acknowledged."""

    def __init__(self, http, room):
        self.acknowledged = 0
        self._url = f"{http}/v1/rooms/{room}/reactions"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._react, daemon=True)
        self._thread.start()

    def _react(self):
        with httpx.Client(timeout=20) as client:
            while not self._over.wait(0.02):
                if client.post(self._url, json={"emoji": "🔥"}).status_code == 200:
                    self.acknowledged += 1

    def stop(self):
        self._over.set()
        self._thread.join(20)
        return self.acknowledged
