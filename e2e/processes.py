"""Processes of the system under test: started on free ports, waited for by their own words, ended by their id."""

import os
import pathlib
import re
import signal
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = pathlib.Path(os.environ.get("OVATION_BINARY", ROOT / "target/debug/ovation"))
# A real cluster may take a minute for a topic (docs/fluvio.md 33).
READY_SECONDS = 120
STOP_SECONDS = 20
FREE = "127.0.0.1:0"


class Ended(Exception):
    """The process ended before it was ready; carries its exit code and everything it said."""

    def __init__(self, code, text):
        super().__init__(f"exit code {code}\n{text}")
        self.code = code
        self.text = text


class Process:
    """One `ovation` process. Its output is read all the time, so that it never waits for a reader."""

    def __init__(self, *args, cwd=None):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("OVATION_")}
        environment["OVATION_LOG"] = os.environ.get("OVATION_LOG", "warn")
        self.lines = []
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            [BINARY, *map(str, args)],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._process.wait()
            self._changed.notify_all()

    @property
    def text(self):
        return "\n".join(self.lines)

    def wait_ready(self):
        deadline = time.monotonic() + READY_SECONDS
        with self._changed:
            while not any(line.startswith("ready") for line in self.lines):
                if self._process.poll() is not None:
                    self._changed.release()
                    self._reader.join(5)
                    self._changed.acquire()
                    raise Ended(self._process.returncode, self.text)
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    self.kill()
                    raise TimeoutError(f"not ready after {READY_SECONDS} s:\n{self.text}")
        return self

    def _said(self, pattern):
        found = re.search(pattern, self.text, re.MULTILINE)
        return found.group(1) if found else None

    @property
    def http(self):
        return self._said(r"^page +(http://\S+?)/$")

    @property
    def admin(self):
        return self._said(r"^admin +(http://\S+?)/$")

    @property
    def control(self):
        return self._said(r"^(?:broker|cluster) +(\S+)")

    @property
    def spu(self):
        return self._said(r"records on (\S+)\)")

    @property
    def pid(self):
        return self._process.pid

    @property
    def resident_kb(self):
        with open(f"/proc/{self.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

    def running(self):
        return self._process.poll() is None

    def signal(self, number):
        if self.running():
            self._process.send_signal(number)

    def wait(self, seconds=STOP_SECONDS):
        code = self._process.wait(seconds)
        self._reader.join(5)
        return code

    def terminate(self):
        """SIGTERM, and the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self):
        """SIGKILL: no farewell."""
        self.signal(signal.SIGKILL)
        self._process.wait(STOP_SECONDS)

    def end(self):
        """For clean-up: whatever works."""
        if self.running():
            self.signal(signal.SIGTERM)
            try:
                self.wait()
            except subprocess.TimeoutExpired:
                self.kill()


def outcome(*args, seconds=30, cwd=None):
    """Runs to the end: exit code and everything said."""
    process = Process(*args, cwd=cwd)
    try:
        return process.wait(seconds), process.text
    finally:
        process.end()


def broker(data, control=FREE, spu=FREE):
    process = Process("broker", "--data", data, "--broker", control, "--broker-spu", spu)
    return process.wait_ready()
