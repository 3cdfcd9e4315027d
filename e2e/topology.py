"""The shipped topology, with windows short enough for a test and topic names of its own."""

import re
import secrets

from processes import FREE, ROOT, Process

WINDOW_MS = 2_000
GRACE_MS = 500


class Topology:
    def __init__(self, folder, prefix="emoji"):
        text = (ROOT / "topology.yaml").read_text()
        text, sizes = re.subn(r"size: 10s", f"size: {WINDOW_MS}ms", text)
        text, graces = re.subn(r"grace: 2s", f"grace: {GRACE_MS}ms", text)
        assert (sizes, graces) == (1, 1), "the shipped topology has another shape"
        text = text.replace("emoji-", f"{prefix}-")
        self.file = folder / "topology.yaml"
        self.file.write_text(text)
        self.events = f"{prefix}-events"
        self.aggregates = f"{prefix}-aggregates"
        self.rejects = f"{prefix}-rejects"
        self.checkpoints = f"{prefix}-checkpoints"
        # One partition, whatever the others have; no stage reads or writes it.
        self.rooms = f"{prefix}-rooms"
        self.partitions = 4

    @property
    def topics(self):
        """Those of the stage."""
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
