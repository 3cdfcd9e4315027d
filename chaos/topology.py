"""The shipped topology, with windows short enough for the run and topic names of its own."""

import re
import secrets

from .process import ROOT

PARTITIONS = 4
# One definition of each shape. Finals are rare enough that a room's snapshot, with its 60 finals, reaches back half a minute.
WINDOWS = """\
        windows:
          - { name: steps, tumbling: { size: 2s }, grace: 500ms, emit: { every: 100ms } }
          - { name: hops, hopping: { size: 4s, advance: 2s }, grace: 500ms, emit: close }
          - { name: rush, session: { gap: 250ms }, grace: 500ms, emit: { every: 250ms } }
"""
# {name of a definition: in how many of its windows each reaction is}
WINDOWS_OF_ONE = {"steps": 1, "hops": 2, "rush": 1}


class Topology:
    def __init__(self, folder, prefix="emoji"):
        text = (ROOT / "topology.yaml").read_text()
        text, blocks = re.subn(r" {8}window:\n(?: {10}.*\n)+", WINDOWS, text)
        assert blocks == 1, "the shipped topology has another shape"
        self.file = folder / "topology.yaml"
        self.file.write_text(text.replace("emoji-", f"{prefix}-"))
        self.events = f"{prefix}-events"
        self.aggregates = f"{prefix}-aggregates"
        self.rejects = f"{prefix}-rejects"
        self.checkpoints = f"{prefix}-checkpoints"
        self.rooms = f"{prefix}-rooms"

    @property
    def topics(self):
        return [self.events, self.aggregates, self.rejects, self.checkpoints, self.rooms]


def unique_prefix():
    return f"chaos-{secrets.token_hex(4)}"
