"""What the system's topics hold, read bit by bit."""

import json

from . import tool

READ_SECONDS = 60


class Log:
    """One topic, read from the beginning on."""

    def __init__(self, cluster, topic, partitions):
        self.cluster, self.topic = cluster, topic
        self._taken = []
        self._next = [0] * partitions

    async def read_on(self):
        """Reads what has come since; how many records that were."""
        code, out, errors = await tool.run(
            *tool.module("reader"), self.cluster, self.topic, *self._next, seconds=READ_SECONDS
        )
        if code:
            raise RuntimeError(f"failed to read topic {self.topic}: {errors}")
        lines = [json.loads(line) for line in out.splitlines()]
        for line in lines:
            self._taken.append((line["partition"], line["offset"], json.loads(line["value"])))
            self._next[line["partition"]] = line["offset"] + 1
        return len(lines)

    def take(self):
        """What was read since the last call, as (partition, offset, value)."""
        taken, self._taken = self._taken, []
        return taken
