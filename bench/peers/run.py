#!/usr/bin/env python3
"""What a user would pick instead, beside Ovation: the same reactions counted by room, emoji and window, each system in processes of
its own, in turns. A system whose counts are not exactly those of plain adding up has no figure. Method and fairness: README.md.

usage: run.py [--records N] [--repeats N] [--only NAME,NAME] [--json FILE]"""

import argparse
import dataclasses
import datetime
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile

import data
import watch

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TOOLS = ROOT / ".tools/peers"
BINARY = os.environ.get("OVATION_BINARY", str(ROOT / "target/release/ovation"))
# With fewer, what a start of ours varies by is more than what the reactions take.
RECORDS_MIN = 200_000
# A turn that takes longer has no figure. Plain Python takes about 6 s for two million.
TURN_SECONDS_MAX = 400


@dataclasses.dataclass(frozen=True)
class Entry:
    """A row of the table: a system, and how it is run."""

    name: str
    title: str
    # Of what its environment holds; none where it has no environment.
    package: str | None
    dedup: str
    # Of Ovation: how many ids a partition remembers.
    ids: int = 0

    @property
    def key(self):
        return f"{self.name}, {self.dedup}"


ALL = "60 s"
ENTRIES = [
    Entry("ovation", "Ovation, no ids remembered", "fluvio", "no"),
    Entry("ovation", "Ovation, all ids of 60 s", "fluvio", ALL, 4_000_000),
    Entry("ovation", "Ovation as shipped", "fluvio", "60 s, 100,000 ids a partition", 100_000),
    Entry("spark", "Spark Structured Streaming", "pyspark", "no"),
    Entry("spark", "Spark Structured Streaming", "pyspark", ALL),
    Entry("pathway", "Pathway", "pathway", "no"),
    Entry("pathway", "Pathway", "pathway", ALL),
    Entry("bytewax", "Bytewax", "bytewax", "no"),
    Entry("bytewax", "Bytewax", "bytewax", ALL),
    Entry("plain", "plain Python, a dictionary", None, "no"),
    Entry("plain", "plain Python, a dictionary", None, ALL),
]
NAMES = list(dict.fromkeys(entry.name for entry in ENTRIES))


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=2_000_000, help="reactions to count (default 2,000,000)")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each system (default 3; the median counts)")
    parser.add_argument("--only", type=lambda text: text.split(","), default=NAMES, help=f"some of {','.join(NAMES)}; ovation always runs")
    parser.add_argument("--json", type=pathlib.Path, help="write everything here")
    given = parser.parse_args()
    if unknown := set(given.only) - set(NAMES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    if given.records < RECORDS_MIN or given.repeats < 1:
        parser.error(f"--records takes {RECORDS_MIN:,} or more, --repeats 1 or more")
    return given


def python_of(name):
    """The interpreter of a system's own environment, made if it is not there or was made for other pins."""
    pins = HERE / "pinned" / f"{name}.txt"
    if not pins.exists():
        return sys.executable
    folder = TOOLS / name
    made_for = folder / "pins.txt"
    if not made_for.exists() or made_for.read_bytes() != pins.read_bytes():
        print(f"installing {name} into {folder.relative_to(ROOT)}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([folder / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "-r", pins], check=True)
        shutil.copyfile(pins, made_for)
    return str(folder / "bin/python")


def version_of(entry, python):
    if entry.name == "ovation":
        return subprocess.run([BINARY, "--version"], check=True, capture_output=True, text=True).stdout.split()[-1]
    if entry.package is None:
        return platform.python_version()
    ask = f"import importlib.metadata as m; print(m.version('{entry.package}'))"
    return subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True).stdout.strip()


def check(expected, found, what):
    if wrong := data.difference(expected, found):
        raise watch.Failed(f"{what}: {wrong}")


def counts_of(rows):
    return {tuple(row[:3]): row[3] for row in rows}


def peer_turn(entry, python, folder, expected):
    """One turn of a peer: its figures."""
    dedup = entry.dedup != "no"
    with tempfile.TemporaryDirectory() as scratch:
        command = [python, HERE / f"{entry.name}_count.py", "--warm", folder / "warm", "--main", folder / "main", "--scratch", scratch]
        runner = watch.Runner([*command, *(["--dedup"] if dedup else [])], folder / "log", TURN_SECONDS_MAX)
        try:
            warmed, start_cpu_s, start_s, _ = runner.hear("ready")
            check(expected["warm", dedup], warmed, "warm-up")
            runner.go()
            counts, cpu_s, wall_s, peak_mb = runner.hear("done")
            check(expected["main"], counts, "result")
        finally:
            runner.end()
    return {"cpu_s": cpu_s - start_cpu_s, "wall_s": wall_s - start_s, "start_s": start_s, "start_cpu_s": start_cpu_s, "peak_mb": peak_mb}


def own_turn(entry, python, folder, expected, records):
    """One turn of ours: its figures, those of storing the reactions among them."""
    command = [python, HERE / "ovation_count.py", "--records", str(records), "--dedup-ids", str(entry.ids)]
    said = json.loads(watch.output(command, os.environ | {"OVATION_BINARY": BINARY}, folder / "log", TURN_SECONDS_MAX))
    check(expected["warm", entry.ids > 0], counts_of(said["warm"]), "warm-up")
    check(expected["main"], counts_of(said["counts"]), "result")
    took = said["figures"]
    return {
        "cpu_s": took["count_cpu_s"] - took["idle_cpu_s"],
        "wall_s": took["count_s"] - took["idle_s"],
        "start_s": took["start_s"],
        "start_cpu_s": took["start_cpu_s"],
        "restart_s": took["idle_s"],
        "restart_cpu_s": took["idle_cpu_s"],
        "store_cpu_s": took["store_cpu_s"],
        "peak_mb": took["peak_mb"],
    }


def machine():
    def first(file, word):
        with open(file) as lines:
            return next((line.partition(":")[2].strip() for line in lines if line.startswith(word)), "unknown")

    def said(*command):
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.stdout.strip()

    return {
        "cpu": first("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "memory_gb": round(int(first("/proc/meminfo", "MemTotal").split()[0]) / 2**20, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "java": said("java", "-version").splitlines()[0] if shutil.which("java") else None,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": said("git", "rev-parse", "HEAD"),
    }


def middle(turns, name):
    return statistics.median(turn[name] for turn in turns)


def row_of(entry, version, turns, problem, records, reference):
    """A row: medians, and of the ratio to ours the median of the rounds' own."""
    row = {"system": entry.title, "version": version, "dedup": entry.dedup, "verified": problem is None, "problem": problem}
    if problem is None:
        row |= {name: round(middle(turns, name), 2) for name in turns[0]}
        row["reactions_per_core_second"] = round(records / middle(turns, "cpu_s"))
        if reference:
            row["ours_over_this"] = round(statistics.median(turn["cpu_s"] / ours["cpu_s"] for turn, ours in zip(turns, reference)), 2)
        row["turns"] = [{name: round(value, 2) for name, value in turn.items()} for turn in turns]
    return row


def markdown(rows):
    lines = [
        "| System | Version | Dedup | Verified | Processor s | Reactions/s a core | Ours is | Wall s | Start s (processor s) | Peak MB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        head = f"| {row['system']} | {row['version']} | {row['dedup']} |"
        if not row["verified"]:
            lines.append(f"{head} no: {row['problem']} | | | | | | |")
            continue
        ratio = f"{row['ours_over_this']:.2f} ×" if "ours_over_this" in row else ""
        lines.append(
            f"{head} yes | {row['cpu_s']:.1f} | {row['reactions_per_core_second']:,} | {ratio} | {row['wall_s']:.1f}"
            f" | {row['start_s']:.1f} ({row['start_cpu_s']:.1f}) | {row['peak_mb']:,.0f} |"
        )
    return "\n".join(lines)


def main():
    given = options()
    entries = [entry for entry in ENTRIES if entry.name == "ovation" or entry.name in given.only]
    pythons = {name: python_of(name) for name in dict.fromkeys(entry.name for entry in entries)}
    turns, problems = {entry: [] for entry in entries}, {}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        data.write(folder / "warm", data.warm_set())
        data.write(folder / "main", data.main_set(given.records))
        expected = {("warm", dedup): data.expected(data.warm_set(), dedup) for dedup in (False, True)}
        expected["main"] = data.expected(data.main_set(given.records), False)
        for number in range(given.repeats):
            for entry in entries:
                if entry in problems:
                    continue
                python = pythons[entry.name]
                try:
                    if entry.name == "ovation":
                        turn = own_turn(entry, python, folder, expected, given.records)
                    else:
                        turn = peer_turn(entry, python, folder, expected)
                    turns[entry].append(turn)
                    word = f"{turn['cpu_s']:.1f} processor s"
                except watch.Failed as failed:
                    problems[entry] = word = str(failed)
                print(f"round {number + 1}, {entry.key}: {word}", file=sys.stderr, flush=True)
    ours = {entry.dedup: turns[entry] for entry in entries if entry.name == "ovation" and entry not in problems}
    rows = [
        row_of(entry, version_of(entry, pythons[entry.name]), turns[entry], problems.get(entry), given.records, ours.get(entry.dedup))
        for entry in entries
    ]
    print(markdown(rows))
    if given.json:
        result = {"what": __doc__.splitlines()[0], "records": given.records, "repeats": given.repeats, "machine": machine(), "rows": rows}
        given.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
