"""Processes that are measured: processor time and memory of a process and all that it started, from /proc."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import threading
import time

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
END_SECONDS = 20


def fields(pid):
    """What /proc says of a process from its state on: behind the name, which may hold anything."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def family(pid):
    """The process and its descendants, as far as they run."""
    children = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            children.setdefault(int(fields(folder.name)[1]), []).append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    found = [pid]
    # The list grows while it is gone through.
    for one in found:
        found += children.get(one, [])
    return found


def processor_seconds(pids):
    """Time in user and system mode, with that of children that have ended."""
    ticks = 0
    for pid in pids:
        # One that has just ended is in its parent's time.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            ticks += sum(map(int, fields(pid)[11:15]))
    return ticks / TICKS_PER_SECOND


def peak_mb(pids):
    """Most memory that each of them ever had resident, added up."""
    kb = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/status") as status:
            # What has ended and was not waited for yet has none.
            kb += next((int(line.split()[1]) for line in status if line.startswith("VmHWM")), 0)
    return kb / 1024


def kill(pid):
    """Ends a process and all that it started, whatever they do."""
    for one in reversed(family(pid)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def last_words(log):
    return " | ".join(pathlib.Path(log).read_text(errors="replace").strip().splitlines()[-3:])


class Failed(Exception):
    """A turn that came to nothing, with the reason."""


def output(command, environment, log, seconds):
    """Runs to the end, and answers what was printed."""
    with open(log, "w") as errors:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8")
    try:
        printed, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        kill(process.pid)
        process.communicate()
        raise Failed(f"took more than {seconds} s") from None
    if process.returncode != 0:
        raise Failed(f"ended with {process.returncode}: {last_words(log)}")
    return printed


class Runner:
    """One peer's process (see turn.py). Killed with all it started when it takes too long."""

    def __init__(self, command, log, seconds):
        self._log = log
        self._began = time.monotonic()
        with open(log, "w") as errors:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8"
            )
        self._timer = threading.Timer(seconds, kill, [self._process.pid])
        self._timer.start()

    def hear(self, word):
        """What it says next, and processor seconds, wall seconds and megabytes by then."""
        line = self._process.stdout.readline()
        if not line:
            raise Failed(f"ended, or took too long, before it was {word}: {last_words(self._log)}")
        said = json.loads(line)
        assert said["say"] == word, f"{word} expected, not {said['say']}"
        pids = family(self._process.pid)
        counts = {tuple(row[:3]): row[3] for row in said["counts"]}
        return counts, processor_seconds(pids), time.monotonic() - self._began, peak_mb(pids)

    def go(self):
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def end(self):
        self._timer.cancel()
        self._process.stdin.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            kill(self._process.pid)
            self._process.wait()
        self._process.stdout.close()
