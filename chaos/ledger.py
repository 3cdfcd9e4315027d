"""The ledger: what the system's topics say was counted, read without the system's help."""

import collections
import json


class Ledger:
    """Results and dead letters, as they stand in their topics."""

    def __init__(self):
        # (partition, epoch) -> seqs in the order of the log.
        self.seqs = collections.defaultdict(list)
        # (room, window name, start) -> newest revision's record; and the finals of each, by seq.
        self.windows = {}
        self.finals = collections.defaultdict(list)
        # room -> {place of a result: its window, by name and start}
        self.places = collections.defaultdict(dict)
        self.letters = []
        self.letter_seqs = collections.defaultdict(list)
        self.oddities = []

    def result(self, partition, offset, record):
        place = record["epoch"], record["seq"]
        if record["source"]["partition"] != partition:
            self.oddities.append(f"partition {partition} offset {offset}: a result of another source partition")
        self.seqs[partition, record["epoch"]].append(record["seq"])
        room, window = record["room"], record["window"]
        if place in self.places[room]:
            # Counted as a repeat among the seqs; it changes nothing else.
            return
        self.places[room][place] = window["name"], window["start"]
        key = room, window["name"], window["start"]
        if record["final"]:
            self.finals[key].append(place)
        known = self.windows.get(key)
        if known is None or (record["epoch"], record["revision"]) > (known["epoch"], known["revision"]):
            self.windows[key] = record
        elif record["epoch"] == known["epoch"] and record["revision"] == known["revision"]:
            self.oddities.append(f"{key}: revision {record['revision']} stands twice, as seq {known['seq']} and {record['seq']}")

    def letter(self, partition, offset, record):
        seqs = self.letter_seqs[partition, record["epoch"]]
        if record["seq"] not in seqs[-1:]:
            self.letters.append(record)
        seqs.append(record["seq"])

    def open_windows(self):
        return [key for key, record in self.windows.items() if not record["final"]]

    def is_retracted(self, room, name, start):
        return self.windows[room, name, start].get("retracted", False)

    def counted(self, name):
        """{(room, emoji): taps} over the finals of one definition."""
        total = collections.Counter()
        for (room, window, _), record in self.windows.items():
            if window == name and record["final"]:
                for emoji, taps in record["counts"].items():
                    total[room, emoji] += taps
        return total

    def late(self, name):
        """{id: (room, emoji, taps, windows missed)} of what was late for one definition."""
        found = {}
        for letter in self.letters:
            if letter["reason"] == "late" and letter["window"] == name:
                event = json.loads(letter["event"])
                what = event["room"], event["emoji"], event["count"], letter["windows_missed"]
                if found.setdefault(event["id"], what) is not what:
                    self.oddities.append(f"{event['id']} is late twice for {name}")
        return found
