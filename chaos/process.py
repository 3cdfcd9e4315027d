"""One `ovation` process, kept running: killed, paused and started again at the same addresses."""

import asyncio
import ctypes
import os
import pathlib
import signal
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = pathlib.Path(os.environ.get("OVATION_BINARY", ROOT / "target/debug/ovation"))
# Between two starts of a process that could not start: its broker may be away.
RESTART_SECONDS = 0.3
STOP_SECONDS = 20
# The exit code of a process that was given what cannot work: another start would end the same way.
CANNOT_WORK = 2
LAST_WORDS_CHARS = 1_000
PR_SET_PDEATHSIG = 1


def die_with_parent():
    """No process outlives the run, however the run ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A process and who keeps it up. What it says goes to a file; a start that fails for want of a broker is tried again."""

    def __init__(self, name, folder, *args):
        self.name = name
        self.args = [str(arg) for arg in args]
        self.log = folder / f"{name}.log"
        # Ends that nobody asked for, after it had said that it is ready.
        self.own_ends = []
        # Whether it ended for good.
        self.is_hopeless = False
        self.starts = 0
        self._child = None
        self._said_from = 0
        self._wanted = True
        self._may_start = asyncio.Event()
        self._may_start.set()
        self._killed = False
        self._keeper = None

    def begin(self):
        self._keeper = asyncio.create_task(self._keep())

    @property
    def pid(self):
        return self._child.pid if self.running else None

    @property
    def running(self):
        return self._child is not None and self._child.returncode is None

    @property
    def ready(self):
        """Whether it runs and has said that it is ready."""
        return self.running and self._said_ready()

    def _said_ready(self):
        with open(self.log, "rb") as log:
            log.seek(self._said_from)
            return any(line.startswith(b"ready") for line in log)

    @property
    def last_words(self):
        return self.log.read_text(errors="replace")[-LAST_WORDS_CHARS:] if self.log.exists() else ""

    async def _keep(self):
        while self._wanted:
            await self._may_start.wait()
            if not self._wanted:
                return
            self._killed = False
            await self._spawn()
            code = await self._child.wait()
            if self._killed or not self._wanted:
                continue
            if code == CANNOT_WORK:
                self.is_hopeless = True
                return
            if self._said_ready():
                self.own_ends.append(f"{self.name} ended by itself with code {code}")
            await asyncio.sleep(RESTART_SECONDS)

    async def _spawn(self):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("OVATION_")}
        environment["OVATION_LOG"] = os.environ.get("OVATION_LOG", "warn")
        with open(self.log, "ab") as log:
            log.write(f"--- start {self.starts} at {time.time():.3f}\n".encode())
            log.flush()
            self._said_from = log.tell()
            self._child = await asyncio.create_subprocess_exec(
                BINARY, *self.args, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                env=environment, preexec_fn=die_with_parent, start_new_session=True,
            )
        self.starts += 1

    def _signal(self, number):
        if self.running:
            self._child.send_signal(number)

    async def kill_for(self, seconds):
        """kill -9, and back after this long."""
        self._may_start.clear()
        self._killed = True
        self._signal(signal.SIGKILL)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._may_start.set()

    async def pause_for(self, seconds):
        """Stopped in the middle of whatever it does, and woken after this long."""
        self._signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._signal(signal.SIGCONT)

    async def end(self):
        """SIGTERM, then whatever works. The exit code, or None if it did not run or had to be killed."""
        self._wanted = False
        self._may_start.set()
        code = None
        if self.running:
            self._signal(signal.SIGCONT)
            self._signal(signal.SIGTERM)
            try:
                code = await asyncio.wait_for(self._child.wait(), STOP_SECONDS)
            except TimeoutError:
                self._signal(signal.SIGKILL)
        if self._keeper:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        return code
