"""The pulse: when results came and when reactions were acknowledged, partition by partition."""

import bisect
import collections
import itertools
import time

# Between two acknowledgements in one partition, which gets several tens a second: for longer than this the broker itself stood
# still, and nothing can be asked of an engine.
ACKNOWLEDGED_STEP_SECONDS = 0.5


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
        """Gaps between results after `since`: (when, how long, for how much of that reactions were acknowledged), in seconds."""
        results, acknowledged = self.results[partition], self.acknowledged[partition]
        first = max(0, bisect.bisect_right(results, since) - 1)
        found = []
        for before, after in zip(results[first:], results[first + 1:]):
            start = max(before, since)
            taken = acknowledged[bisect.bisect(acknowledged, start):bisect.bisect(acknowledged, after)]
            steps = [late - early for early, late in itertools.pairwise([start, *taken, after])]
            served = sum(step for step in steps if step < ACKNOWLEDGED_STEP_SECONDS) if taken else 0.0
            found.append((start, after - start, served))
        return found

    def longest(self, partition, since):
        """The longest of them, and the longest that reactions were acknowledged in."""
        found = self.standstills(partition, since)
        return max((gap for _, gap, _ in found), default=0.0), max((served for _, _, served in found), default=0.0)
