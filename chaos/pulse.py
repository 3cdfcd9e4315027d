"""The pulse: when results came and when reactions were acknowledged, partition by partition."""

import bisect
import collections
import time


class Pulse:
    def __init__(self):
        # partition -> times at which a result came that was not known yet; likewise of acknowledgements.
        self.results = collections.defaultdict(list)
        self.acknowledged = collections.defaultdict(list)
        self._newest = {}

    def result(self, partition, place):
        if place > self._newest.get(partition, (0, 0)):
            self._newest[partition] = place
            self.results[partition].append(time.monotonic())

    def acknowledgement(self, partition):
        self.acknowledged[partition].append(time.monotonic())

    def still(self, partitions, within):
        """Partitions without a result lately."""
        since = time.monotonic() - within
        return [p for p in range(partitions) if not self.results[p] or self.results[p][-1] < since]

    def standstills(self, partition, since=0.0):
        """Times without a result after `since` in which reactions were acknowledged: (when, how long), in seconds."""
        results, acknowledged = self.results[partition], self.acknowledged[partition]
        first = max(0, bisect.bisect_right(results, since) - 1)
        found = []
        for before, after in zip(results[first:], results[first + 1:]):
            start = max(before, since)
            if bisect.bisect(acknowledged, after) > bisect.bisect(acknowledged, start):
                found.append((start, after - start))
        return found

    def longest(self, partition, since):
        return max((seconds for _, seconds in self.standstills(partition, since)), default=0.0)
