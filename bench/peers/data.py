"""The bench data: reactions as a function of their number, the files that peers read, and the counts that have to come out.

usage: data.py [--records N] FOLDER (writes the files, prints how many counts have to come out)"""

import argparse
import collections
import dataclasses
import json
import pathlib

EMOJI = ["🔥", "❤️", "👏", "😂", "🎉", "😮", "👍", "💯"]
ROOMS = 100
USERS = 5_000
# Start of a window.
FIRST_MS = 1_795_426_840_000
RECORDS_PER_MS = 100
WINDOW_MS = 10_000
GRACE_MS = 2_000
HORIZON_MS = 60_000
RECORDS_PER_FILE = 100_000
# Later than any grace or horizon reaches: what closes the last window where only records move time.
END_ROOM = "end"
END_AFTER_MS = 2 * (HORIZON_MS + WINDOW_MS)

WARM_RECORDS = 200_000
# Of the warm-up, every so many records come twice, the second time so much later.
WARM_REPEAT_EVERY = 10
WARM_REPEAT_AFTER = 20_000


@dataclasses.dataclass
class Reaction:
    number: int
    room: str
    emoji: str
    user: str
    ts: int

    def value(self):
        """As it stands in a topic, and on a line of a file."""
        return f'{{"id":"r{self.number}","room":"{self.room}","emoji":"{self.emoji}","user":"{self.user}","ts":{self.ts}}}'

    def place(self):
        return self.room, self.emoji, self.ts // WINDOW_MS * WINDOW_MS


def reaction(number):
    mixed = number * 2_654_435_761 % 2**32
    return Reaction(
        number,
        f"room-{(mixed >> 8) % ROOMS}",
        EMOJI[(mixed >> 20) % len(EMOJI)],
        f"u{(mixed >> 12) % USERS}",
        FIRST_MS + number // RECORDS_PER_MS,
    )


def main_set(records):
    """The reactions that are measured: no id comes twice."""
    return map(reaction, range(records))


def warm_set():
    """A few reactions to warm up with, some of them twice: they show whether a system drops ids that it has seen."""
    for number in range(WARM_RECORDS):
        yield reaction(number)
        again = number - WARM_REPEAT_AFTER
        if again >= 0 and again % WARM_REPEAT_EVERY == 0:
            yield reaction(again)


def expected(reactions, dedup):
    """What has to come out, by plain adding up: {(room, emoji, start of the window): reactions}."""
    counts, seen = collections.Counter(), set()
    for one in reactions:
        if dedup:
            if one.number in seen:
                continue
            seen.add(one.number)
        counts[one.place()] += 1
    return dict(counts)


def write(folder, reactions):
    """Writes the reactions as `all.ndjson`, and again in `parts`, with the one behind them that closes the last window."""
    parts = folder / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    number, part, last = 0, None, None
    with open(folder / "all.ndjson", "w", encoding="utf-8") as whole:
        for last in reactions:
            if number % RECORDS_PER_FILE == 0:
                if part:
                    part.close()
                part = open(parts / f"{number // RECORDS_PER_FILE:04}.ndjson", "w", encoding="utf-8")
            line = last.value() + "\n"
            whole.write(line)
            part.write(line)
            number += 1
        part.close()
    end = dataclasses.replace(last, number=-1, room=END_ROOM, ts=last.ts + END_AFTER_MS)
    (parts / f"{number // RECORDS_PER_FILE + 1:04}-end.ndjson").write_text(end.value() + "\n", encoding="utf-8")
    return number


def save_counts(file, counts):
    file.write_text(json.dumps([[*place, count] for place, count in sorted(counts.items())], ensure_ascii=False), encoding="utf-8")


def difference(expected, found):
    """What is wrong with `found`, in words; none if nothing is."""
    found = {place: count for place, count in found.items() if place[0] != END_ROOM}
    if found == expected:
        return None
    wrong = [place for place in expected.keys() | found.keys() if expected.get(place, 0) != found.get(place, 0)]
    place = min(wrong)
    return f"{len(wrong)} wrong counts, such as {place}: {found.get(place, 0)} for {expected.get(place, 0)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=2_000_000)
    parser.add_argument("folder", type=pathlib.Path)
    given = parser.parse_args()
    written = write(given.folder, main_set(given.records))
    print(f"{written:,} reactions, {len(expected(main_set(given.records), False)):,} counts")


if __name__ == "__main__":
    main()
