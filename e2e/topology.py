"""The shipped topology, with windows short enough for a test and topic names of its own."""

import secrets

from processes import FREE, ROOT, Process

WINDOW_MS = 2_000
GRACE_MS = 500


class Topology:
    def __init__(self, folder, prefix="emoji", changes=None):
        text = (ROOT / "topology.yaml").read_text()
        for one, other in (changes or {"size: 10s": f"size: {WINDOW_MS}ms", "grace: 2s": f"grace: {GRACE_MS}ms"}).items():
            assert text.count(one) == 1, "the shipped topology has another shape"
            text = text.replace(one, other)
        text = text.replace("emoji-", f"{prefix}-")
        self.file = folder / "topology.yaml"
        self.file.write_text(text)
        self.events = f"{prefix}-events"
        self.aggregates = f"{prefix}-aggregates"
        self.rejects = f"{prefix}-rejects"
        self.checkpoints = f"{prefix}-checkpoints"
        self.moments = f"{prefix}-moments"
        self.moment_rejects = f"{prefix}-moment-rejects"
        # One partition, whatever the others have; no stage reads or writes it.
        self.rooms = f"{prefix}-rooms"
        self.partitions = 4

    @property
    def topics(self):
        """Those of the stages."""
        return [*self.counting, self.moments, self.moment_rejects]

    @property
    def counting(self):
        """Those of the stage that counts reactions."""
        return [self.events, self.aggregates, self.rejects, self.checkpoints]

    @property
    def all_topics(self):
        return [*self.topics, self.rooms]


def started(folder, *args, http=FREE):
    """`ovation run` with the shipped topology and everything of its own, ready."""
    places = ["--http", http, "--broker", FREE, "--broker-spu", FREE, "--data", folder / "data"]
    return Process("run", "--topology", Topology(folder).file, *places, *args).wait_ready()


def unique_prefix():
    return f"ovt-{secrets.token_hex(4)}"
