"""The command line."""

import argparse
import asyncio
import pathlib
import random
import sys

from . import run
from .ports import split

ABOUT = """\
Breaks a running Ovation on purpose, and checks that no number is wrong.

Starts a broker, two engines and two gateways as processes of their own, with TCP proxies between them. Clients react at a
steady rate, and retry under the same id until they are acknowledged. Meanwhile faults come, by a plan that the seed fixes:
processes are killed with -9 or paused, connections are cut, stalled and refused, and bursts over thousands of rooms are
written at once. At the end everything is brought up, the last windows become final, and then:

  - `ovation audit` finds no difference between the raw log and the results;
  - every acknowledged reaction is counted once, by books that the system never saw;
  - results are numbered 1, 2, 3, … with no hole and no repeat;
  - watchers that resumed their feeds again and again saw every final.

It also measures how long results stood still when an engine was lost while the other one was well."""

MORE = """\
examples:
  make chaos                                        a hundred faults, a few minutes
  make chaos ARGS="--seed 7 --faults 20"            the same twenty each time
  make chaos ARGS="--cluster 127.0.0.1:9003"        engines and gateways on a Fluvio cluster that runs already
  make chaos ARGS="--cluster 127.0.0.1:9003 --spu-pidfile spu.pid --spu-restart ./start-spu.sh"
                                                    the same, and its SPU is killed with -9 and started again

OVATION_BINARY names another binary than target/debug/ovation. Exit codes: 0 all is right, 1 something is wrong: the folder
with logs and data is kept, and its path, the seed and the command to repeat the run are printed."""


def options():
    parser = argparse.ArgumentParser(
        prog="chaos", description=ABOUT, epilog=MORE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--seed", type=int, default=random.randrange(1_000_000), help="fixes the plan of faults; a random one otherwise")
    add("--faults", type=int, default=100, help="how many (100)")
    add("--only", default="", metavar="TEXT", help='only faults whose name contains this, e.g. "pause broker", to look into one kind')
    add("--rate", type=float, default=200, help="reactions a second (200)")
    add("--burst-rooms", type=int, default=2000, help="rooms that one burst reacts in (2000)")
    add("--takeover-seconds", type=float, default=10, help="longest standstill that is not an error (10); the promise is 2")
    add("--cluster", metavar="HOST:PORT", help="a Fluvio cluster instead of an embedded broker")
    add("--spu-pidfile", type=pathlib.Path, metavar="FILE", help="process id of the cluster's SPU, which is then killed, too")
    add("--spu-restart", metavar="COMMAND", help="starts that SPU again, and writes the file anew")
    add("--spu-proxy", type=spu_proxy, metavar="PORT=HOST:PORT",
        help="listen at PORT, where the cluster has its SPU registered, and pass on to its real address; without it only "
             "connections to the SC go through a proxy")
    add("--folder", type=pathlib.Path, help="where to make the folder for logs and data (the system's temporary one)")
    add("--keep", action="store_true", help="keep that folder even if all is right")
    add("--json", metavar="FILE", help="write a summary")
    given = parser.parse_args()
    if bool(given.spu_pidfile) != bool(given.spu_restart):
        parser.error("--spu-pidfile and --spu-restart go together")
    if given.spu_pidfile and not given.cluster:
        parser.error("--spu-pidfile is for a cluster: name it with --cluster")
    return given


def spu_proxy(text):
    port, _, target = text.partition("=")
    return int(port), split(target)


if __name__ == "__main__":
    sys.exit(asyncio.run(run.main(options())))
