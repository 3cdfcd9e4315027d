"""A run from its start to its end."""

import asyncio
import json
import pathlib
import shutil
import sys
import tempfile
import time

from . import checks, plan, tool
from .books import Books
from .events import Events
from .faults import Faults, Spu
from .ledger import Ledger
from .load import Load
from .pulse import Pulse
from .session import Session
from .system import Setup, System
from .topics import Log
from .topology import PARTITIONS, WINDOWS_OF_ONE, Topology, unique_prefix
from .watcher import Watcher

START_SECONDS = 120
# Bound of the whole run: a fault takes a few seconds, a measured one some more.
SECONDS_PER_FAULT = 20
# For the last windows to close once the faults have stopped.
FINAL_SECONDS = 120
FINAL_LOOK_SECONDS = 1.0
# The books are closed when the topics have stood still for so long.
STILL_SECONDS = 4.0
AUDIT_SECONDS = 120
ROOMS_PER_PARTITION = 2
ROOMS_TRIED_MAX = 200
PROGRESS_SECONDS = 15
# All of them are in a file in the run's folder.
FINDINGS_SHOWN_MAX = 20
# Without results for longer than this: listed in the summary, to be held against the faults of that time.
LONG_STANDSTILL_SECONDS = 3.0


class Failed(Exception):
    """The run cannot go on, or what it found is wrong; carries every finding."""

    def __init__(self, findings):
        super().__init__("\n".join(findings))
        self.findings = findings


class Run:
    def __init__(self, options, say):
        self.options = options
        self.say = say
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ovation-chaos-", dir=options.folder))
        self.topology = Topology(self.folder, unique_prefix() if options.cluster else "emoji")
        self.books = Books()
        self.pulse = Pulse()
        self.ledger = Ledger()
        self.watchers = []
        self.system = System(self.folder, self.topology, Setup(options.cluster, options.spu_proxy))
        self.summary = {"seed": options.seed, "faults": 0}
        self.faults = None

    async def run(self):
        """Everything. Raises Failed with what is wrong."""
        started = time.monotonic()
        spu = Spu(self.options.spu_pidfile, self.options.spu_restart) if self.options.spu_pidfile else None
        faults = plan.make(self.options.seed, self.options.faults, not self.options.cluster, spu is not None, self.options.only)
        try:
            async with asyncio.timeout(START_SECONDS + FINAL_SECONDS + SECONDS_PER_FAULT * len(faults) + 2 * AUDIT_SECONDS):
                await self.system.start(START_SECONDS)
                rooms = await self._rooms()
                self.say(f"{time.monotonic() - started:7.1f} s  everything is up; {self.options.rate}/s in {len(rooms)} rooms")
                await self._break(faults, rooms, spu, started)
                self.say(f"{time.monotonic() - started:7.1f} s  faults and load have stopped; waiting for the last windows")
                findings = await self._settle()
                findings += await self._check()
        finally:
            ended = await self.system.end()
            self._sum_up(started)
        findings += [f"{name} ended with code {code}" for name, code in ended.items() if code != 0]
        findings += self.system.own_ends() + self.system.panics()
        if findings:
            raise Failed(findings)

    async def _rooms(self):
        """Rooms for the load, in every partition the same number; found by reacting in them."""
        rooms = {partition: [] for partition in range(PARTITIONS)}
        session = Session(*self.system.addresses[0])
        for number in range(ROOMS_TRIED_MAX):
            room, identity = f"room-{self.options.seed}-{number}", f"{self.options.seed}-first-{number}"
            self.books.send(identity, room, "🔥", 1)
            status, answer = await session.ask(
                "POST", f"/v1/rooms/{room}/reactions", json.dumps({"emoji": "🔥", "id": identity}).encode(), 10
            )
            if status != 200:
                raise Failed([f"the first reactions were answered {status}: {answer}"])
            self.books.acknowledge(identity)
            found = rooms[answer["partition"]]
            if len(found) < ROOMS_PER_PARTITION:
                found.append(room)
            if all(len(one) == ROOMS_PER_PARTITION for one in rooms.values()):
                break
        session.close()
        return [room for found in rooms.values() for room in found]

    async def _break(self, faults, rooms, spu, started):
        addresses = [f"{host}:{port}" for host, port in self.system.addresses]
        self.watchers = [Watcher(room, addresses, self.pulse) for room in rooms]
        load = Load(self.options.seed, self.options.rate, rooms, self.system.addresses, self.books, self.pulse)
        events = Events(self.options.seed, self.system.cluster, self.topology.events, self.books)
        self.faults = Faults(self.system, events, self.pulse, PARTITIONS, self.options.burst_rooms, spu, self.say)
        for watcher in self.watchers:
            watcher.begin()
        load.begin()
        progress = asyncio.create_task(self._progress(started))
        try:
            await self.system.until_healthy(self.pulse, PARTITIONS, START_SECONDS)
            await self.faults.carry_out(faults, started)
            await self.system.until_healthy(self.pulse, PARTITIONS, START_SECONDS)
            await load.end()
        finally:
            progress.cancel()
            for watcher in self.watchers:
                watcher.is_quiet = True

    async def _progress(self, started):
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            self.say(
                f"{time.monotonic() - started:7.1f} s  {len(self.books.acknowledged)} reactions acknowledged, "
                f"{self.books.retries} retries, {sum(map(len, self.pulse.results.values()))} results seen"
            )

    async def _settle(self):
        """Reads the topics until every window is final and nothing more comes. What is still wrong then is for the checks."""
        results = Log(self.system.cluster, self.topology.aggregates, PARTITIONS)
        letters = Log(self.system.cluster, self.topology.rejects, PARTITIONS)
        deadline, still_since = time.monotonic() + FINAL_SECONDS, time.monotonic()
        while True:
            come = await results.read_on() + await letters.read_on()
            for record in results.take():
                self.ledger.result(*record)
            for record in letters.take():
                self.ledger.letter(*record)
            now = time.monotonic()
            if come:
                still_since = now
            if now - still_since > STILL_SECONDS and not self.ledger.open_windows():
                break
            if now > deadline:
                break
            await asyncio.sleep(FINAL_LOOK_SECONDS)
        for watcher in self.watchers:
            await watcher.end()
        self.say(f"            read {len(self.ledger.places)} rooms, {sum(map(len, self.ledger.seqs.values()))} results, "
                 f"{len(self.ledger.letters)} dead letters")
        return list(self.faults.failures)

    async def _check(self):
        findings = await self._audit()
        for what, errors in [
            ("numbers of results", checks.numbering(self.ledger, inversions_allowed=bool(self.options.cluster))),
            ("windows", checks.windows(self.ledger)),
            ("acknowledged and counted", checks.counts(self.ledger, self.books, WINDOWS_OF_ONE)),
            ("refusals", checks.refusals(self.ledger, self.books)),
            ("watchers", checks.watching(self.ledger, self.watchers)),
            ("answers", self.books.surprises),
            ("takeover", self._slow_takeovers()),
        ]:
            self.say(f"check       {what}: {'good' if not errors else f'{len(errors)} wrong'}")
            findings += [f"{what}: {error}" for error in errors]
        return findings

    def _slow_takeovers(self):
        bound = self.options.takeover_seconds
        return [
            f"results stood still for {max(one['while_acknowledged_s'])} s while reactions were acknowledged, after fault "
            f"{one['fault']} ({one['what']}); the bound is {bound} s"
            for one in self.faults.takeovers if max(one["while_acknowledged_s"]) > bound
        ]

    async def _audit(self):
        code, out, errors = await self.system.ovation(
            "audit", "--cluster", self.system.cluster, "--topology", self.topology.file, seconds=AUDIT_SECONDS
        )
        (self.folder / "audit.txt").write_text(out + errors)
        self.say(f"check       audit: {'good' if code == 0 else f'exit code {code}'}")
        return [] if code == 0 else [f"audit: exit code {code}\n{out}{errors}"]

    def _sum_up(self, started):
        takeovers = self.faults.takeovers if self.faults else []
        late = {identity for name in WINDOWS_OF_ONE for identity in self.ledger.late(name)}
        self.summary = {
            "seed": self.options.seed,
            "faults": self.faults.done if self.faults else 0,
            "seconds": round(time.monotonic() - started, 1),
            **self.books.summary(),
            "results": sum(map(len, self.ledger.seqs.values())),
            "late_reactions": len(late),
            "retracted_windows": sum(self.ledger.is_retracted(*key) for key in self.ledger.windows),
            "dead_letters": len(self.ledger.letters),
            "starts": {name: process.starts for name, process in self.system.processes.items()},
            "watchers": {
                "connections": sum(one.connections for one in self.watchers),
                "snapshots": sum(one.snapshots for one in self.watchers),
                "snapshots_older_than_seen": sum(one.rewinds for one in self.watchers),
                "skipped": sum(one.skipped for one in self.watchers),
            },
            "standstill_s": quantiles([max(one["standstill_s"]) for one in takeovers]),
            "takeover_s": quantiles([max(one["while_acknowledged_s"]) for one in takeovers]),
            "standstills": self._standstills(started),
            "takeovers": takeovers,
        }

    def _standstills(self, started):
        """The long ones, whatever they came from."""
        return [
            {"at_s": round(at - started, 1), "partition": partition, "seconds": round(gap, 2), "acknowledged_s": round(served, 2)}
            for partition in range(PARTITIONS) for at, gap, served in self.pulse.standstills(partition)
            if gap > LONG_STANDSTILL_SECONDS
        ]

    async def clean(self, keep):
        if self.options.cluster:
            await tool.run(*tool.module("cleaner"), self.options.cluster, *self.topology.topics, seconds=30)
        if not keep:
            shutil.rmtree(self.folder)


def quantiles(values):
    values = sorted(values)
    return {
        name: values[min(len(values) - 1, int(share * len(values)))]
        for name, share in [("p50", 0.5), ("p90", 0.9), ("max", 1.0)] if values
    }


async def main(options):
    """Runs, and says how it went. The exit code."""
    def say(line):
        print(line, flush=True)

    run = Run(options, say)
    say(f"seed {options.seed}, {options.faults} faults, logs and data in {run.folder}")
    findings = []
    try:
        await run.run()
    except Failed as failed:
        findings = failed.findings
    except (TimeoutError, RuntimeError, OSError, ValueError) as error:
        findings = [f"the run could not go on: {error or type(error).__name__}"]
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(run.summary | {"findings": findings}, indent=1, ensure_ascii=False))
    for key, value in run.summary.items():
        if key not in ("takeovers", "standstills"):
            say(f"{key:26} {value}")
    await run.clean(keep=options.keep or bool(findings))
    if not findings:
        say("nothing is lost, nothing counts twice")
        return 0
    (run.folder / "findings.txt").write_text("\n".join(findings) + "\n")
    for finding in findings[:FINDINGS_SHOWN_MAX]:
        say(f"WRONG  {finding}")
    again = " ".join(sys.argv[1:]) if "--seed" in sys.argv else " ".join([*sys.argv[1:], f"--seed {options.seed}"])
    say(f'{len(findings)} findings; seed {options.seed}; kept: {run.folder}; again: make chaos ARGS="{again}"')
    return 1
