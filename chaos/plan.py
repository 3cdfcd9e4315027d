"""The plan: every fault of a run, made from the seed before anything starts."""

import collections
import dataclasses
import random

ENGINES = ("engine-a", "engine-b")
GATEWAYS = ("gateway-a", "gateway-b")
BROKER = "broker"
# Everybody's connections to the broker.
EVERYBODY = "everybody"

DOWN_SECONDS = (0.2, 3.0)
PAUSE_SECONDS = (0.2, 6.0)
# Long enough for the other engine to take over, so that the one that wakes is stale.
STALE_SECONDS = (2.5, 6.0)
STALL_SECONDS = (0.2, 4.0)
REFUSE_SECONDS = (0.2, 3.0)
GAP_SECONDS = (0.2, 2.5)


@dataclasses.dataclass(frozen=True)
class Fault:
    number: int
    # kill, pause, cut, stall, refuse, burst, strays, spu
    kind: str
    # A process; for cut, stall and refuse the party whose connections to the broker they are, or `clients of GATEWAY`.
    target: str
    # How long it lasts.
    seconds: float
    # Since the fault before.
    gap: float
    # Everything else is left in peace meanwhile, so that the takeover can be measured.
    alone: bool = False

    @property
    def text(self):
        lasting = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.kind} {self.target}{lasting}{', alone' if self.alone else ''}"


def clients_of(gateway):
    return f"clients of {gateway}"


def menu(with_broker, with_spu):
    """(weight, kind, target, seconds, alone). Each is in a plan at least once if there is room."""
    lines = []
    for engine in ENGINES:
        lines += [
            (9, "kill", engine, DOWN_SECONDS, True),
            (4, "kill", engine, DOWN_SECONDS, False),
            (7, "pause", engine, STALE_SECONDS, True),
            (4, "pause", engine, PAUSE_SECONDS, False),
            (3, "cut", engine, None, False),
            (3, "stall", engine, STALL_SECONDS, False),
            (2, "refuse", engine, REFUSE_SECONDS, False),
        ]
    for gateway in GATEWAYS:
        lines += [
            (4, "kill", gateway, DOWN_SECONDS, False),
            (3, "pause", gateway, PAUSE_SECONDS, False),
            (2, "cut", gateway, None, False),
            (2, "stall", gateway, STALL_SECONDS, False),
            (1, "refuse", gateway, REFUSE_SECONDS, False),
            (2, "cut", clients_of(gateway), None, False),
            (2, "stall", clients_of(gateway), STALL_SECONDS, False),
            (1, "refuse", clients_of(gateway), REFUSE_SECONDS, False),
        ]
    lines += [
        (3, "cut", EVERYBODY, None, False),
        (3, "stall", EVERYBODY, STALL_SECONDS, False),
        (4, "burst", "rooms", None, False),
        (3, "strays", "rooms", None, False),
    ]
    if with_broker:
        lines += [(8, "kill", BROKER, DOWN_SECONDS, False), (5, "pause", BROKER, PAUSE_SECONDS, False)]
    if with_spu:
        lines += [(8, "spu", "the cluster", DOWN_SECONDS, False)]
    return lines


def sort_of(line):
    """Faults of one sort differ in which of two equals they hit. Network troubles are one sort each, whoever has them."""
    _, kind, target, _, alone = line
    return kind, target.split("-")[0] if kind in ("kill", "pause") else None, alone


def make(seed, count, with_broker=True, with_spu=False, only=""):
    """`count` faults, only of those whose `KIND TARGET` contains `only`. The same seed gives the same plan."""
    chance = random.Random(seed)
    lines = [line for line in menu(with_broker, with_spu) if only in f"{line[1]} {line[2]}"]
    if not lines:
        raise ValueError(f"no fault is called {only!r}")
    # One of each sort comes before a second one, so that a short run has some of everything.
    chance.shuffle(lines)
    turns, seen = [], collections.Counter()
    for line in lines:
        seen[sort_of(line)] += 1
        turns.append((seen[sort_of(line)], line))
    chosen = [line for _, line in sorted(turns, key=lambda turn: turn[0])][:count]
    chosen += chance.choices(lines, [line[0] for line in lines], k=count - len(chosen))
    chance.shuffle(chosen)
    faults = []
    for number, (_, kind, target, seconds, alone) in enumerate(chosen, 1):
        lasting = round(chance.uniform(*seconds), 2) if seconds else 0.0
        faults.append(Fault(number, kind, target, lasting, round(chance.uniform(*GAP_SECONDS), 2), alone))
    return faults
