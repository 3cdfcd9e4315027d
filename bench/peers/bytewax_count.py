"""Bytewax: its file source, its event clock and its window operator, one worker, without recovery."""

import datetime

import bytewax.operators as op
import orjson
from bytewax.connectors.files import FileSource
from bytewax.dataflow import Dataflow
from bytewax.operators.windowing import EventClock, TumblingWindower, count_window
from bytewax.testing import TestingSink, run_main

import data
import turn

UTC = datetime.timezone.utc
EPOCH = datetime.datetime.fromtimestamp(0, UTC)
BATCH_LINES = 10_000


def forget_repeats(state, event):
    """Ids that the key has seen, with their times: a dictionary keeps them in order."""
    seen = {} if state is None else state
    if event["id"] in seen:
        return seen, []
    while seen:
        oldest = next(iter(seen))
        if seen[oldest] >= event["ts"] - data.HORIZON_MS:
            break
        del seen[oldest]
    seen[event["id"]] = event["ts"]
    return seen, [event]


def main():
    given = turn.options()
    # By default an event clock runs on with the machine's, so that old data counts as late as soon as it is read slower than it came.
    now = datetime.datetime.now(UTC)
    clock = EventClock(
        lambda event: datetime.datetime.fromtimestamp(event["ts"] / 1000, UTC),
        wait_for_system_duration=datetime.timedelta(milliseconds=data.GRACE_MS),
        now_getter=lambda: now,
    )
    windower = TumblingWindower(datetime.timedelta(milliseconds=data.WINDOW_MS), EPOCH)

    def count(folder):
        flow = Dataflow("count")
        events = op.map("parse", op.input("read", flow, FileSource(folder / "all.ndjson", BATCH_LINES)), orjson.loads)
        if given.dedup:
            rooms = op.key_on("room", events, lambda event: event["room"])
            events = op.key_rm("event", op.stateful_flat_map("dedup", rooms, forget_repeats))
        windows = count_window("count", events, clock, windower, lambda event: f"{event['room']} {event['emoji']}")
        found = []
        op.output("collect", windows.down, TestingSink(found))
        run_main(flow)
        return {(*key.split(" "), window * data.WINDOW_MS): number for key, (window, number) in found}

    turn.run(count, given)


if __name__ == "__main__":
    main()
