"""The books: what was sent and what was acknowledged, kept apart from the system."""

import collections


class Books:
    def __init__(self):
        # id -> (room, emoji, taps), acknowledged at least once.
        self.acknowledged = {}
        # The same, sent, but not acknowledged yet.
        self.open = {}
        # Marks of events that have to be refused, with the reason.
        self.refused = {}
        # Answers that no reaction should get.
        self.surprises = []
        self.attempts = 0
        self.retries = 0
        self.repeats = 0
        self.garbage = 0
        self.slowest_seconds = 0.0

    def send(self, identity, room, emoji, taps):
        self.open[identity] = (room, emoji, taps)

    def acknowledge(self, identity):
        if identity in self.open:
            self.acknowledged[identity] = self.open.pop(identity)

    def taps(self):
        """{(room, emoji): taps} of what was acknowledged, each reaction once."""
        total = collections.Counter()
        for room, emoji, taps in self.acknowledged.values():
            total[room, emoji] += taps
        return total

    def summary(self):
        return {
            "reactions_acknowledged": len(self.acknowledged),
            "taps_acknowledged": sum(self.taps().values()),
            "never_acknowledged": len(self.open),
            "attempts": self.attempts,
            "retries": self.retries,
            "sent_twice_on_purpose": self.repeats,
            "garbage_refused": self.garbage,
            "refused_in_the_broker": len(self.refused),
            "slowest_acknowledgement_s": round(self.slowest_seconds, 2),
        }
