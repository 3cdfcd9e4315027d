"""What a peer's process says to whoever measures it: `ready` when everything is warm, `done` when all counts are there. It goes
on when it is answered, so that its processor time can be read in between, and ends when its input does."""

import argparse
import json
import os
import pathlib
import sys


def options():
    """What every runner is given: folders with the data (see data.write), and whether to drop ids that it has seen."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--warm", type=pathlib.Path, required=True)
    parser.add_argument("--main", type=pathlib.Path, required=True)
    parser.add_argument("--dedup", action="store_true")
    parser.add_argument("--scratch", type=pathlib.Path, required=True, help="a folder of its own, empty")
    return parser.parse_args()


def run(count, given, warm_ups=1):
    """Counts the warm-up, then, when told so, the reactions that are measured. `count(folder)` answers {(room, emoji, start): n}."""
    for _ in range(warm_ups - 1):
        count(given.warm)
    # Libraries print what they like: only this talks on the real output.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(word, counts):
        rows = [[*place, number] for place, number in counts.items()]
        print(json.dumps({"say": word, "counts": rows}), file=out, flush=True)
        return sys.stdin.readline()

    if say("ready", count(given.warm)):
        say("done", count(given.main))
    os._exit(0)
