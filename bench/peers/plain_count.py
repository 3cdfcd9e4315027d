"""The floor: plain Python, a dictionary, and nothing that a stream processor is for."""

import collections
import json

import data
import turn


def main():
    given = turn.options()

    def count(folder):
        counts, seen, order = {}, {}, collections.deque()
        with open(folder / "all.ndjson", encoding="utf-8") as lines:
            for line in lines:
                event = json.loads(line)
                ts = event["ts"]
                if given.dedup:
                    if event["id"] in seen:
                        continue
                    seen[event["id"]] = ts
                    order.append((ts, event["id"]))
                    while order[0][0] < ts - data.HORIZON_MS:
                        del seen[order.popleft()[1]]
                place = event["room"], event["emoji"], ts // data.WINDOW_MS * data.WINDOW_MS
                counts[place] = counts.get(place, 0) + 1
        return counts

    turn.run(count, given)


if __name__ == "__main__":
    main()
