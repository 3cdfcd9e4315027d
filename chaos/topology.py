"""The shipped topology, with windows short enough for the run and topic names of its own."""

import re
import secrets

from .process import ROOT

PARTITIONS = 4
GRACE_MS = 500


class Topology:
    def __init__(self, folder, prefix="emoji"):
        text = (ROOT / "topology.yaml").read_text()
        text, sizes = re.subn(r"size: 10s", "size: 2s", text)
        text, graces = re.subn(r"grace: 2s", f"grace: {GRACE_MS}ms", text)
        assert (sizes, graces) == (1, 1), "the shipped topology has another shape"
        self.file = folder / "topology.yaml"
        self.file.write_text(text.replace("emoji-", f"{prefix}-"))
        self.events = f"{prefix}-events"
        self.aggregates = f"{prefix}-aggregates"
        self.rejects = f"{prefix}-rejects"
        self.checkpoints = f"{prefix}-checkpoints"

    @property
    def topics(self):
        return [self.events, self.aggregates, self.rejects, self.checkpoints]


def unique_prefix():
    return f"chaos-{secrets.token_hex(4)}"
