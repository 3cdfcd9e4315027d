"""The system under test: broker, two engines and two gateways as processes, and the proxies between them."""

import asyncio
import time

from . import tool
from .owner import owner_of
from .plan import BROKER, ENGINES, GATEWAYS, clients_of
from .ports import HOST, free, split
from .process import BINARY, Process
from .proxy import Proxy, Weather
from .session import Session

LOOK_SECONDS = 0.1
# A result this old means that a partition does not beat: the load gives each several a second.
BEAT_SECONDS = 1.0


class Setup:
    """Where the broker is: embedded, or a cluster that somebody else runs."""

    def __init__(self, cluster=None, spu_proxy=None):
        self.cluster = cluster
        # (port to listen on, target) where the cluster registers its SPU at an address of ours.
        self.spu_proxy = spu_proxy


class System:
    def __init__(self, folder, topology, setup):
        self.folder = folder
        self.topology = topology
        self.setup = setup
        # {name: Process}, the broker first.
        self.processes = {}
        self.weather = {name: Weather() for name in (*ENGINES, *GATEWAYS, *map(clients_of, GATEWAYS))}
        self._calm = Weather()
        self._proxies = []
        # Who has connected to the records so far.
        self._owners = set()
        # {engine or gateway: where it says itself whether it is ready}, past the proxies.
        self._status = {}
        # Where clients reach the gateways, in the order of their names.
        self.addresses = []
        # Where tools reach the broker, past the proxies.
        self.cluster = setup.cluster

    async def start(self, seconds):
        await self._start_broker(seconds)
        parts = [*ENGINES, *GATEWAYS]
        control = {name: (await self._proxy(split(self.cluster), name)).address for name in parts}
        common = ["--topology", self.topology.file]
        ports = free(len(parts))
        self._status = dict(zip(parts, ((HOST, port) for port in ports)))
        for name, port in zip(ENGINES, ports):
            self._process(name, "engine", "--cluster", control[name], *common, "--status", f"{HOST}:{port}")
        for name, port in zip(GATEWAYS, ports[len(ENGINES):]):
            self._process(name, "gateway", "--cluster", control[name], *common, "--http", f"{HOST}:{port}")
            proxy = await self._proxy((HOST, port), clients_of(name))
            self.addresses.append(split(proxy.address))
        # The first engine makes the topics; gateways wait for them.
        await self.until_healthy(None, 0, seconds)
        if not self.setup.cluster and not self._owners.issuperset(parts):
            raise RuntimeError("the kernel does not tell whose connections are whose (sock_diag)")

    async def _start_broker(self, seconds):
        """The embedded broker, unless there is a cluster. Its records are reached at one address by everybody."""
        if self.setup.cluster:
            if self.setup.spu_proxy:
                port, target = self.setup.spu_proxy
                await self._records_proxy(target, port)
            return
        control, spu = free(2)
        proxy = await self._records_proxy((HOST, spu))
        self.cluster = f"{HOST}:{control}"
        broker = self._process(
            BROKER, "broker", "--data", self.folder / "data", "--broker", self.cluster,
            "--broker-spu", f"{HOST}:{spu}", "--broker-advertise", proxy.address,
        )
        await self.until(lambda: broker.ready, seconds, "the broker is ready")

    def _process(self, name, *args):
        process = Process(name, self.folder, *args)
        self.processes[name] = process
        process.begin()
        return process

    async def _proxy(self, target, party):
        return await self._keep(Proxy(target, lambda *_: self.weather[party]))

    async def _records_proxy(self, target, port=0):
        return await self._keep(Proxy(target, self._weather_by_owner), port)

    async def _keep(self, proxy, port=0):
        self._proxies.append(proxy)
        return await proxy.start(port)

    def _weather_by_owner(self, port, own_port):
        parts = {name: self.processes[name] for name in (*ENGINES, *GATEWAYS) if name in self.processes}
        owner = owner_of(port, own_port, {name: one.pid for name, one in parts.items() if one.running})
        self._owners.add(owner)
        return self.weather.get(owner, self._calm)

    async def until(self, holds, seconds, what):
        """Polls a condition; raises TimeoutError with `what` when time is up."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {seconds} s still not: {what}")
            await asyncio.sleep(LOOK_SECONDS)

    async def until_healthy(self, pulse, partitions, seconds):
        """Everything runs and is ready, and results flow in every partition."""
        deadline = time.monotonic() + seconds
        while complaints := await self.complaints(pulse, partitions):
            for process in self.processes.values():
                if process.is_hopeless:
                    raise RuntimeError(f"{process.name} cannot work; it said:\n{process.last_words}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {seconds} s still: {'; '.join(complaints)}")
            await asyncio.sleep(LOOK_SECONDS)

    async def complaints(self, pulse=None, partitions=0):
        """What is not well now, in words."""
        found = [f"{name} is not ready" for name, process in self.processes.items() if not process.ready]
        for name, address in self._status.items():
            if not await answers_ready(address):
                found.append(f"{name} answers that it is not ready")
        if pulse and (still := pulse.still(partitions, BEAT_SECONDS)):
            found.append(f"no results in partitions {still}")
        return found

    async def end(self):
        """Ends everything, engines and gateways before the broker; {name: exit code} of what was running."""
        codes = {}
        for group in ((*GATEWAYS, *ENGINES), (BROKER,)):
            names = [name for name in group if name in self.processes]
            ended = await asyncio.gather(*(self.processes[name].end() for name in names))
            codes |= dict(zip(names, ended))
        for proxy in self._proxies:
            proxy.close()
        return codes

    def own_ends(self):
        return [text for process in self.processes.values() for text in process.own_ends]

    def panics(self):
        """Lines in the logs that no process should write."""
        found = []
        for process in self.processes.values():
            with open(process.log, errors="replace") as log:
                found += [f"{process.name}: {line.strip()}" for line in log if "panicked at" in line]
        return found

    async def ovation(self, *args, seconds):
        return await tool.run(BINARY, *args, seconds=seconds)


async def answers_ready(address):
    session = Session(*address)
    try:
        status, _ = await session.ask("GET", "/readyz", seconds=2)
        return status == 200
    except (OSError, TimeoutError):
        return False
    finally:
        session.close()
