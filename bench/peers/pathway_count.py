"""Pathway: its JSON lines source in streaming mode, its window and its window behaviour, one worker, without persistence."""

import threading

import pathway as pw
from pathway.internals.parse_graph import G

import data
import turn


class Event(pw.Schema):
    # A column cannot be named `id`.
    reaction: str
    room: str
    emoji: str
    ts: int


def count_table(folder, mode, dedup):
    events = pw.io.jsonlines.read(folder / "parts", schema=Event, mode=mode, json_field_paths={"reaction": "/id"})
    if dedup:
        # What is accepted again takes the place of the old one, whose window then counts one less: exact for repeats within the horizon.
        events = events.deduplicate(
            value=pw.this.ts, instance=pw.this.reaction, acceptor=lambda new, old: new > old + data.HORIZON_MS
        )
    windows = events.windowby(
        pw.this.ts,
        window=pw.temporal.tumbling(duration=data.WINDOW_MS),
        # Running counts while a window is open, as ours; `exactly_once_behavior` gives finals alone, and costs more.
        behavior=pw.temporal.common_behavior(cutoff=data.GRACE_MS),
        instance=pw.make_tuple(pw.this.room, pw.this.emoji),
    )
    return windows.reduce(place=pw.this._pw_instance, start=pw.this._pw_window_start, count=pw.reducers.count())


def main():
    given = turn.options()

    def count(folder):
        """The warm-up is read once; the stream that is measured does not end, and has been counted when every reaction is in some count."""
        mode = "static" if folder == given.warm else "streaming"
        G.clear()
        found, waiting, enough = {}, sum(1 for _ in open(folder / "all.ndjson", "rb")), threading.Event()

        def collect(key, row, time, is_addition):
            # The line that closes the last window is no reaction.
            if is_addition and row["place"][0] != data.END_ROOM:
                found[(*row["place"], row["start"])] = row["count"]
                if sum(found.values()) >= waiting:
                    enough.set()

        pw.io.subscribe(count_table(folder, mode, given.dedup), on_change=collect)
        running = threading.Thread(target=pw.run, kwargs={"monitoring_level": pw.MonitoringLevel.NONE}, daemon=True)
        running.start()
        if mode == "static":
            running.join()
        else:
            enough.wait()
        return found

    turn.run(count, given)


if __name__ == "__main__":
    main()
