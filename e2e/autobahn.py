#!/usr/bin/env python3
"""Does the WebSocket keep to RFC 6455? Autobahn's test suite, some 300 cases, against an echo server, as a table by category.

The suite is written for Python 2.7. Where that is missing the run is skipped, with the reason, and that is no failure. The suite is
installed once, into the ignored folder .tools.

A feed is no echo server: it greets, and answers in its own words, so the suite calls every case failed. How it ends a
connection that breaks the protocol is judged apart from that, and holds for a feed, too: --closing looks at that alone.

usage: autobahn.py [--server PROGRAM | --url URL [--closing]] [--cases 1.* 7.*] [--report FOLDER] [--strict]

--server   a program that echoes, says `listens on HOST:PORT` and ends with its input (target/debug/examples/echo)
--url      a server that runs already, such as ws://127.0.0.1:8080/v1/rooms/a/feed
--closing  look only at how connections end
--strict   fail also on NON-STRICT: allowed, but not what the suite would like best"""

import argparse
import collections
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
SERVER = ROOT / "target/debug/examples/echo"
SUITE = "autobahntestsuite==25.10.1"
# The last one that can make an environment for Python 2.7.
VIRTUALENV = "virtualenv<20.22"
RUN_SECONDS_MAX = 1800
STOP_SECONDS = 10
# Those that are about echoes alone, and would be waited for in vain.
ECHO_ONLY = ["9.*"]
# With this code the suite gives up a case for want of an echo.
GAVE_UP = 1001
CATEGORIES = {1: "framing", 2: "pings and pongs", 3: "reserved bits", 4: "opcodes", 5: "fragmentation", 6: "UTF-8",
              7: "close handling", 9: "limits, performance", 10: "auto-fragmentation", 12: "compression (1)",
              13: "compression (2)"}
GOOD = ["OK", "NON-STRICT", "INFORMATIONAL"]
BAD = ["WRONG CODE", "UNCLEAN", "FAILED BY CLIENT", "FAILED", "UNIMPLEMENTED"]


class Skipped(Exception):
    """Why the suite cannot run here."""


def python2():
    """A Python 2.7 of this machine."""
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv"))
    found = [shutil.which("python2.7"), *sorted(pyenv.glob("versions/2.7*/bin/python2.7"))]
    for python in filter(None, found):
        if subprocess.run([python, "-c", ""], capture_output=True).returncode == 0:
            return python
    raise Skipped("there is no Python 2.7 on this machine, and Autobahn's suite runs on no other")


def make_virtualenv(python):
    """virtualenv of its own, by a Python that can still run it: before 20.22 it knows no Python after 3.12."""
    maker = TOOLS / "virtualenv"
    if not (maker / "bin/virtualenv").exists():
        subprocess.run([sys.executable, "-m", "venv", maker], check=True)
        install = [maker / "bin/pip", "install", "--quiet", "--disable-pip-version-check", VIRTUALENV]
        subprocess.run(install, check=True)
    subprocess.run([maker / "bin/virtualenv", "--quiet", "-p", python, TOOLS / "autobahn"], check=True)


def wstest():
    """The suite's program: one that is there, or else installed here."""
    if there := shutil.which("wstest"):
        return there
    program = TOOLS / "autobahn/bin/wstest"
    if not program.exists():
        python = python2()
        try:
            make_virtualenv(python)
            install = [TOOLS / "autobahn/bin/pip", "install", "--quiet", "--no-python-version-warning", SUITE]
            subprocess.run(install, check=True)
        except subprocess.CalledProcessError as error:
            raise Skipped(f"the suite could not be installed: {error}") from error
    return program


class Server:
    """The echo server, which ends with its input."""

    def __init__(self, program):
        if not program.exists():
            sys.exit(f"{program} is not there: cargo build -p ovation-gateway --example {program.name}")
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = "ws://" + self._process.stdout.readline().removeprefix("listens on ").strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def run(program, url, cases, without, folder):
    """The suite's own index of results: for each case, how it behaved and how it closed."""
    specification = folder / "fuzzingclient.json"
    specification.write_text(json.dumps({
        "outdir": str(folder), "servers": [{"agent": "ovation", "url": url}],
        "cases": cases, "exclude-cases": without, "exclude-agent-cases": {}}))
    log = folder / "wstest.log"
    with log.open("w") as output:
        subprocess.run([program, "-m", "fuzzingclient", "-s", specification], check=True, cwd=folder,
                       stdout=output, stderr=subprocess.STDOUT, timeout=RUN_SECONDS_MAX)
    index = folder / "index.json"
    if not index.exists():
        sys.exit(f"the suite has left no report:\n{log.read_text()}")
    return json.loads(index.read_text())["ovation"]


def order(case):
    return [int(part) for part in case.split(".")]


def only_closing(results):
    """The results, judged by how the connection ended; without cases that the suite gave up, whose end was its own."""
    for case, result in results.items():
        if result["behaviorClose"] == "OK" or result["remoteCloseCode"] != GAVE_UP:
            yield case, result | {"behavior": result["behaviorClose"]}


def table(results):
    """Lines: for each category, how many cases ended how."""
    counts = collections.defaultdict(collections.Counter)
    for case, result in results.items():
        counts[order(case)[0]][result["behavior"]] += 1
    ends = [end for end in GOOD + BAD if any(count[end] for count in counts.values())]
    lines = ["  ".join([f"{'category':<24}", f"{'cases':>5}", *ends])]
    for category, count in sorted(counts.items()):
        name = f"{category:>2} {CATEGORIES.get(category, '')}"
        cells = [f"{count[end] or '·':>{len(end)}}" for end in ends]
        lines.append("  ".join([f"{name:<24}", f"{sum(count.values()):>5}", *cells]))
    total = sum(counts.values(), collections.Counter())
    cells = [f"{total[end]:>{len(end)}}" for end in ends]
    lines.append("  ".join([f"{'all':<24}", f"{sum(total.values()):>5}", *cells]))
    return lines


def failures(results, is_strict):
    """Cases that did not go well, or did not close well."""
    good = ["OK", "INFORMATIONAL"] + ([] if is_strict else ["NON-STRICT"])
    for case in sorted(results, key=order):
        behaviour, close = results[case]["behavior"], results[case]["behaviorClose"]
        if behaviour not in good or close not in good:
            yield f"{case}: {behaviour}, closing: {close} (code {results[case]['remoteCloseCode']})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--server", type=pathlib.Path, default=SERVER)
    where.add_argument("--url")
    parser.add_argument("--cases", nargs="+", default=["*"])
    parser.add_argument("--closing", action="store_true")
    parser.add_argument("--report", type=pathlib.Path, help="folder for the suite's own report, in HTML")
    parser.add_argument("--strict", action="store_true")
    arguments = parser.parse_args()
    try:
        program = wstest()
    except Skipped as reason:
        print(f"skipped: {reason}")
        return 0
    without = ECHO_ONLY if arguments.closing else []
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.report or pathlib.Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        if arguments.url:
            results = run(program, arguments.url, arguments.cases, without, folder)
        else:
            with Server(arguments.server.resolve()) as server:
                results = run(program, server.url, arguments.cases, without, folder)
    if not results:
        sys.exit("no case has that number")
    if arguments.closing:
        print(f"{len(results)} cases, judged by how the connection ended; without those given up for want of an echo:")
        results = dict(only_closing(results))
    print("\n".join(table(results)))
    failed = list(failures(results, arguments.strict))
    print("\n".join(failed) if failed else "every case passed, and closed as it should")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
