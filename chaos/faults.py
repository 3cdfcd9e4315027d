"""Faults, as they are done to the system."""

import asyncio
import os
import shlex
import signal
import time

from . import tool
from .plan import BROKER, ENGINES, EVERYBODY, GATEWAYS

# For the system to be whole again before a fault that is measured.
SETTLE_SECONDS = 60
# How long all has to be well before that.
CALM_SECONDS = 2.0
# More than the longest fault takes, a burst's retries included.
FREE_SECONDS = 60
# What is measured goes on for so long after the fault, so that results flow again.
LOOK_SECONDS = 0.2
AFTER_SECONDS = 2.0
FLOWING_SECONDS = 0.5
RECOVER_SECONDS = 30
RESTART_COMMAND_SECONDS = 60


NETWORK = ("cut", "stall", "refuse")


def place_of(fault):
    """What one fault at a time may hold: a process, or a party's connections; both at once may be in trouble."""
    return fault.target, fault.kind in NETWORK


class Spu:
    """A real SPU that the operator lets us kill: the file with its process id, and the command that starts it."""

    def __init__(self, pidfile, command):
        self.pidfile, self.command = pidfile, command

    async def kill_for(self, seconds):
        killed = self._pid()
        os.kill(killed, signal.SIGKILL)
        await asyncio.sleep(seconds)
        code, _, errors = await tool.run(*shlex.split(self.command), seconds=RESTART_COMMAND_SECONDS)
        if code:
            raise RuntimeError(f"{self.command} ended with code {code}: {errors}")
        if self._pid() == killed:
            raise RuntimeError(f"{self.command} did not start the SPU: {self.pidfile} still names the one that was killed")

    def _pid(self):
        return int(self.pidfile.read_text().strip())


class Faults:
    def __init__(self, system, events, pulse, partitions, burst_rooms, spu=None, say=print):
        self.system = system
        self.events = events
        self.pulse = pulse
        self.partitions = partitions
        self.burst_rooms = burst_rooms
        self.spu = spu
        self.say = say
        self.done = 0
        # What each fault that was measured did, partition by partition.
        self.takeovers = []
        self.failures = []
        self._busy = {}

    async def carry_out(self, plan, started):
        """Every fault of the plan, one after another; those that last go on while the next begins."""
        for fault in plan:
            await asyncio.sleep(fault.gap)
            if fault.alone:
                await self._finish()
                await self._calm()
            else:
                await self._until_free(place_of(fault))
            self.say(
                f"{time.monotonic() - started:7.1f} s  seed {self.events.seed}  fault {fault.number:3}/{len(plan)}  {fault.text}"
            )
            if fault.alone:
                await self._measure(fault)
            else:
                self._busy[place_of(fault)] = asyncio.create_task(self._do(fault))
            self.done += 1
        await self._finish()

    async def _until_free(self, place):
        if task := self._busy.pop(place, None):
            async with asyncio.timeout(FREE_SECONDS + RESTART_COMMAND_SECONDS):
                await task

    async def _finish(self):
        for place in list(self._busy):
            await self._until_free(place)

    async def _calm(self):
        """Returns when all has been well for a while."""
        deadline = time.monotonic() + SETTLE_SECONDS
        well_since = None
        while well_since is None or time.monotonic() - well_since < CALM_SECONDS:
            if complaints := await self.system.complaints(self.pulse, self.partitions):
                well_since = None
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not well again after {SETTLE_SECONDS} s: {'; '.join(complaints)}")
            elif well_since is None:
                well_since = time.monotonic()
            await asyncio.sleep(LOOK_SECONDS)

    async def _do(self, fault):
        process = self.system.processes.get(fault.target)
        match fault.kind:
            case "kill":
                await process.kill_for(fault.seconds)
            case "pause":
                await process.pause_for(fault.seconds)
            case kind if kind in NETWORK:
                await self._trouble(fault)
            case "burst":
                if not await self.events.burst(self.burst_rooms):
                    self.failures.append(f"fault {fault.number}: the burst was not acknowledged in time")
            case "strays":
                if not await self.events.strays():
                    self.failures.append(f"fault {fault.number}: the strays were not acknowledged in time")
            case "spu":
                await self.spu.kill_for(fault.seconds)

    async def _trouble(self, fault):
        """Bad weather on the connections of one party, or of all that talk to the broker."""
        parties = (*ENGINES, *GATEWAYS) if fault.target == EVERYBODY else (fault.target,)
        weathers = [self.system.weather[party] for party in parties]
        for weather in weathers:
            match fault.kind:
                case "cut":
                    weather.cut()
                case "stall":
                    weather.clear.clear()
                case "refuse":
                    weather.refused = True
                    weather.cut()
        await asyncio.sleep(fault.seconds)
        for weather in weathers:
            weather.clear.set()
            weather.refused = False

    async def _measure(self, fault):
        since = time.monotonic()
        await self._do(fault)
        await asyncio.sleep(AFTER_SECONDS)
        await self.system.until(
            lambda: not self.pulse.still(self.partitions, FLOWING_SECONDS),
            RECOVER_SECONDS, f"results flow again after fault {fault.number}",
        )
        found = [self.pulse.longest(partition, since) for partition in range(self.partitions)]
        self.takeovers.append({
            "fault": fault.number,
            "what": fault.text,
            "standstill_s": [round(gap, 3) for gap, _ in found],
            "while_acknowledged_s": [round(served, 3) for _, served in found],
        })
        gap, served = map(max, zip(*found))
        self.say(f"           results stood still for {gap:.2f} s, {served:.2f} s of it with reactions acknowledged ({fault.text})")
