#!/usr/bin/env python3
"""All measurements, one after the other: minutes. Writes a result file and a table of it.

What counts is the ratio: each figure stands beside a baseline that was measured in the same run, turn by turn, because machines differ
and are noisy. Absolute figures are there to reckon with. Two result files are compared by --against: a ratio that differs by
more than 15 % is told, and the exit code is 1.

usage: run.py [--only PART,...] [--json FILE] [--markdown FILE] [--against FILE]"""

import argparse
import contextlib
import datetime
import functools
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
RELEASE = ROOT / "target/release"
sys.path.insert(0, str(ROOT / "e2e"))

PARTS = {}
SPREAD = 0.15
LOADS = [1_000, 5_000, 20_000]
TIMES = [1, 4, 16]
CLIENTS = 250
DELIVERIES_S_MAX = 32_000
# What grows: an option of chain_cost, its value, and its name.
GROWING = [("--rooms", 100, "rooms"), ("--emoji", 8, "emoji"), ("--window-ms", 10_000, "ms windows")]
ROUNDS = 7
GROWTH_ROUNDS = 8
STREAM_ROUNDS = 7
INGEST_ROUNDS = 7
CHAIN_RECORDS = 400_000
GROWTH_RECORDS = 400_000
CALLGRIND_RECORDS = 20_000
CALLGRIND_GROWTH_RECORDS = 60_000
IDLE_CLIENTS = 5_000


class Figures:
    """What was measured: rows of a part, a name, a value, a unit, and whether it is a ratio within one run."""

    def __init__(self):
        self.rows = []

    def add(self, part, name, value, unit, how):
        ratio = unit == "ratio"
        self.rows.append({"part": part, "name": name, "value": value, "unit": unit, "ratio": ratio, "how": how})
        print(f"  {name:70} {shown(value)} {unit}", flush=True)


def part(name):
    def register(measure):
        PARTS[name] = measure
        return measure

    return register


def shown(value):
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def run(*command, **options):
    """Runs to the end; says what it said if it failed."""
    done = subprocess.run([str(word) for word in command], cwd=ROOT, capture_output=True, text=True, **options)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def measured(*command):
    """The JSON that a measurement writes with --json."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        run(*command, "--json", file.name)
        return json.loads(pathlib.Path(file.name).read_text())


def bench(name, *args):
    return measured("cargo", "bench", "--locked", "-q", "--workspace", "--bench", name, "--", *args)


def example(name, *args):
    return measured(RELEASE / "examples" / name, *args)


@contextlib.contextmanager
def system():
    """`ovation run` with the shipped topology, on free ports and data of its own."""
    import processes

    with tempfile.TemporaryDirectory() as folder:
        free = [word for flag in ["--http", "--broker", "--broker-spu"] for word in (flag, processes.FREE)]
        topology = ["--topology", ROOT / "topology.yaml"]
        process = processes.Process("run", *topology, *free, "--data", pathlib.Path(folder) / "data").wait_ready()
        try:
            yield process
        finally:
            process.end()


def crowd(process, *args):
    return measured(RELEASE / "ovation", "load", "--target", process.http, "--pid", process.pid, *args)


def chain_cost(*args):
    """Nanoseconds a record by form and row, of each round."""
    found = example("chain_cost", *args)
    return {(row["form"], row["what"]): row["rounds_ns"] for row in found["rows"]}


def in_turns(rounds, *measures):
    """What each of these measures, a list for each: they take turns, since the machine is faster at one time than at another."""
    return zip(*([measure() for measure in measures] for _ in range(rounds)))


def ratio(figures, of):
    """The median of the ratios of each round."""
    return statistics.median(figure / base for figure, base in zip(figures, of))


def grown(times, base, what):
    return f"{times} × {base:,} {what}, of that at {base:,}"


@part("chain")
def chain(figures):
    how = "cargo run --release --example chain_cost -p ovation-wasm"
    hand, native, engine = "by hand in Rust: JSON, ids, counts", "natively: validate ▸ window", "engine: validate ▸ window"
    found = chain_cost("--records", CHAIN_RECORDS, "--rounds", 10, "--only", "|".join([hand, native, engine]))
    for form in ["short", "canonical"]:
        costs = found[form, engine]
        what = f"{form} events, in the engine"
        figures.add("chain", f"{what}, of the same task by hand in Rust (cost)", ratio(costs, found[form, hand]), "ratio", how)
        figures.add("chain", f"{what}, of the same code natively (cost)", ratio(costs, found[form, native]), "ratio", how)
        figures.add("chain", what, 1e9 / min(costs), "reactions/s a core", how)
    import processes

    with tempfile.TemporaryDirectory() as folder:
        broker = processes.broker(pathlib.Path(folder) / "data")
        try:
            by_hand = ["--records", CHAIN_RECORDS, "--rounds", 2, "--form", "short", "--only", hand]
            bases, costs = in_turns(
                STREAM_ROUNDS,
                lambda: min(chain_cost(*by_hand)["short", hand]),
                lambda: example("stage_stream", "--cluster", broker.control, "--pid", broker.pid)["cpu_ns_per_record"],
            )
        finally:
            broker.end()
    how = "cargo run --release --example stage_stream -p ovation-topology"
    what = "short events, through a stage's stream of the embedded broker"
    figures.add("chain", f"{what}, of the same task by hand in Rust (cost)", ratio(costs, bases), "ratio", how)
    figures.add("chain", f"{what}, opening taken off", 1e9 / statistics.median(costs), "reactions/s a core", how)


@part("growth")
def growth(figures):
    row = "engine: validate ▸ window, no checkpoints"

    def cost(flag, value):
        args = ["--records", GROWTH_RECORDS, "--rounds", 1, "--only", row, "--form", "canonical"]
        return min(chain_cost(*args, flag, value)["canonical", row])

    for flag, base, what in GROWING:
        once, *more = in_turns(GROWTH_ROUNDS, *(functools.partial(cost, flag, times * base) for times in TIMES))
        for times, costs in zip(TIMES[1:], more):
            how = f"chain_cost --records {GROWTH_RECORDS} {flag} {times * base}"
            # No ratio to compare: most of it is waiting for memory that other machines on the same processor use as well.
            figures.add("growth", f"time of a record at {grown(times, base, what)}", ratio(costs, once), "×", how)


@part("instructions")
def instructions(figures):
    if not shutil.which("valgrind"):
        print("  valgrind is not here: apt-get install --no-install-recommends valgrind")
        return

    def count(row, function, *args):
        grind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", f"--toggle-collect={function}"]
        command = [*grind, RELEASE / "examples/chain_cost", "--rounds", 1, "--only", row, *args]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
        return int(re.search(r"Collected : (\d+)", done.stderr).group(1))

    def natively(*args):
        return count("natively", "*Native*take*", *args)

    how = f"valgrind --tool=callgrind chain_cost --records {CALLGRIND_RECORDS}"
    records = ["--records", CALLGRIND_RECORDS]
    cost = natively(*records)
    # Both forms of events, one after the other.
    figures.add("instructions", "validate ▸ window natively", cost / (2 * CALLGRIND_RECORDS), "instructions a record", how)
    by_hand = count("by hand", "*ByHand*take*", *records)
    figures.add("instructions", "the same, of the same task by hand", cost / by_hand, "ratio", how)
    records = ["--records", CALLGRIND_GROWTH_RECORDS, "--form", "canonical"]
    once = natively(*records)
    for flag, base, what in GROWING:
        for times in TIMES[1:]:
            how = f"valgrind --tool=callgrind chain_cost --records {CALLGRIND_GROWTH_RECORDS} --form canonical {flag} {times * base}"
            more = natively(*records, flag, times * base)
            figures.add("instructions", f"those of a record at {grown(times, base, what)}", more / once, "ratio", how)


@part("ingest")
def ingest(figures):
    how = "cargo bench -p ovation-gateway --bench ingest"
    # A process keeps for its life a ratio that is up to 15 % from another's: several are asked.
    runs = [bench("ingest", "--rounds", INGEST_ROUNDS, "--seconds", 0.3) for _ in range(ROUNDS)]
    found = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    figures.add("ingest", "one reaction a request, of a bare handler that answers at once", found["single_ratio"], "ratio", how)
    figures.add("ingest", "the same by processor time", found["single_cpu_ratio"], "ratio", how)
    figures.add("ingest", "batches of 100, of the bare producer", found["batch_ratio"], "ratio", how)
    figures.add("ingest", "one a request, load and broker beside it", found["single_per_s"], "reactions/s", how)
    figures.add("ingest", "batches of 100, load and broker beside it", found["batch_per_s"], "reactions/s", how)
    figures.add("ingest", "the bare producer, broker beside it", found["produce_per_s"], "reactions/s", how)


@part("fan-out")
def fan_out(figures):
    how = "cargo bench -p ovation-gateway --bench feed"
    nchan = ["--nchan"] if pathlib.Path("/usr/lib/nginx/modules/ngx_nchan_module.so").exists() else []
    found = bench("feed", "--rounds", ROUNDS, "--seconds", 2, *nchan)
    figures.add("fan-out", "deliveries a core-second, of the raw writer", found["ratio_to_raw"], "ratio", how)
    if nchan:
        figures.add("fan-out", "deliveries a core-second, of nchan", found["ratio_to_nchan"], "ratio", how + " -- --nchan")
    figures.add("fan-out", "deliveries, 1,000 clients of a room", found["gateway_per_core_second"], "a core-second", how)

    def turn(clients):
        # No more than all can read: beyond that it is how they drop that is compared.
        rate = min(30, DELIVERIES_S_MAX // clients)
        return bench("feed", "--rounds", 1, "--seconds", 2, "--clients", clients, "--rate", rate)

    turns = list(in_turns(ROUNDS, *(functools.partial(turn, times * CLIENTS) for times in TIMES)))
    how += " -- --clients --rate"
    for times, of_one in zip(TIMES, turns):
        name = f"deliveries a core-second to {times * CLIENTS:,} clients, of the raw writer"
        figures.add("fan-out", name, statistics.median(one["ratio_to_raw"] for one in of_one), "ratio", how)
    once, *more = ([one["gateway_per_core_second"] for one in of_one] for of_one in turns)
    for times, speeds in zip(TIMES[1:], more):
        # No ratio to compare: few clients leave the processor idle between updates, many keep it busy.
        figures.add("fan-out", f"cost of a delivery at {grown(times, CLIENTS, 'clients')}", ratio(once, speeds), "×", how)


@part("memory")
def memory(figures):
    found = bench("feed", "--idle", IDLE_CLIENTS)
    how = f"cargo bench -p ovation-gateway --bench feed -- --idle {IDLE_CLIENTS}"
    figures.add("memory", f"gateway's memory for an idle WebSocket, of {IDLE_CLIENTS:,}", found["bytes_a_client"], "bytes", how)


@part("screen")
def screen(figures):
    with system() as process:
        # The first crowd meets an engine that has not compiled everything yet.
        crowd(process, "--rate", 500, "--watchers", 20, "--duration", "2s")
        for rate in LOADS:
            report = crowd(process, "--rate", rate, "--watchers", 200, "--duration", "15s")
            how = f"ovation load --rate {rate} --watchers 200 --duration 15s"
            for name, kind, at in [
                ("tap → acknowledged, WebSocket, p50", "socket", "p50_ms"),
                ("tap → acknowledged, WebSocket, p99", "socket", "p99_ms"),
                ("tap → on screen, p50", "screen", "p50_ms"),
                ("tap → on screen, p99", "screen", "p99_ms"),
            ]:
                figures.add("screen", f"{rate:,} taps/s: {name}", report["times"][kind][at], "ms", how)
            used = sum(point["processor"] or 0 for point in report["series"][:15])
            each = used / report["counts"]["acked_reactions"] * 1e6
            figures.add("screen", f"{rate:,} taps/s: processor time of everything but the crowd", each, "µs a reaction", how)


@part("restart")
def restart(figures):
    found = measured(sys.executable, ROOT / "bench/restart_cost.py", "--runs", 3)
    how = "make recovery"
    idle, behind = found["idle_median_s"], found["behind_median_s"]
    figures.add("restart", "an engine is live again, nothing to catch up with", idle, "s", how)
    figures.add("restart", f"the same with {found['reactions']:,} reactions to catch up with", behind, "s", how)


def machine():
    def first(path, key):
        with contextlib.suppress(OSError):
            for line in pathlib.Path(path).read_text().splitlines():
                if line.startswith(key):
                    return line.split(":", 1)[1].strip()
        return "unknown"

    return {
        "processor": first("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "memory": first("/proc/meminfo", "MemTotal"),
        "system": f"{platform.system()} {platform.release()}",
        "rustc": run("rustc", "--version").strip(),
        "load_average_before": round(os.getloadavg()[0], 2),
    }


def table(result):
    parts = {}
    for name, when in result["measured"].items():
        parts.setdefault(f"{when['date']}, commit {when['commit']}", []).append(name)
    title = "; ".join(when if len(parts) == 1 else f"{', '.join(names)}: {when}" for when, names in parts.items())
    lines = [
        f"# Measured {title}",
        "",
        "`make bench` on {processor}, {cores} cores, {memory}, {system}, {rustc}; load average before: {load_average_before}.".format(
            **result["machine"]
        ),
        "Ratios are of two things in one run, and hold elsewhere; the other figures are this machine's.",
        "",
        "| Part | What | Figure | By |",
        "|---|---|---|---|",
    ]
    for row in result["figures"]:
        unit = "" if row["ratio"] else f" {row['unit']}"
        lines.append(f"| {row['part']} | {row['name']} | {shown(row['value'])}{unit} | `{row['how']}` |")
    return "\n".join(lines) + "\n"


def compare(rows, then):
    """Ratios that differ; true if none does."""
    before = {(row["part"], row["name"]): row["value"] for row in then["figures"] if row["ratio"]}
    good = True
    for row in rows:
        old = before.get((row["part"], row["name"]))
        if not row["ratio"] or not old:
            continue
        off = row["value"] / old - 1
        verdict = "" if abs(off) <= SPREAD else "   <- differs"
        good = good and not verdict
        print(f"  {row['part']}: {row['name']}: {shown(old)} then, {shown(row['value'])} now ({off:+.0%}){verdict}")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="PART,...", help=f"of {', '.join(PARTS)}; the others stay in the result file")
    parser.add_argument("--json", type=pathlib.Path, default=ROOT / "bench/results/bench.json", help="the result file")
    parser.add_argument("--markdown", type=pathlib.Path, help="its table (default: beside it)")
    parser.add_argument("--against", type=pathlib.Path, help="an earlier result file to compare ratios with")
    given = parser.parse_args()
    chosen = given.only.split(",") if given.only else list(PARTS)
    if unknown := [name for name in chosen if name not in PARTS]:
        parser.error(f"no part is called {', '.join(unknown)}; there are {', '.join(PARTS)}")
    os.environ["OVATION_BINARY"] = str(RELEASE / "ovation")
    # Of the whole workspace, here and where benches run: one set of features, so nothing heavy is compiled twice.
    print("building (the first time takes a quarter of an hour)", flush=True)
    run("cargo", "build", "--release", "--locked", "--workspace", "--bins", "--examples")
    run("cargo", "bench", "--locked", "--workspace", "--bench", "feed", "--bench", "ingest", "--no-run")
    figures = Figures()
    when = {
        "date": datetime.date.today().isoformat(),
        "commit": run("git", "rev-parse", "--short", "HEAD").strip() if shutil.which("git") else "unknown",
    }
    earlier = json.loads(given.json.read_text()) if given.only and given.json.exists() else {"measured": {}, "figures": []}
    result = {"machine": machine(), "measured": {}, "figures": []}
    for name in chosen:
        print(name, flush=True)
        PARTS[name](figures)
    # What was not measured now stays as it was.
    for name in PARTS:
        if name in chosen or name in earlier["measured"]:
            result["measured"][name] = when if name in chosen else earlier["measured"][name]
            result["figures"] += [row for row in (figures.rows if name in chosen else earlier["figures"]) if row["part"] == name]
    given.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    markdown = given.markdown or given.json.with_suffix(".md")
    markdown.write_text(table(result))
    print(f"written to {given.json} and {markdown}")
    if given.against:
        print(f"ratios beside those of {given.against}")
        return 0 if compare(figures.rows, json.loads(given.against.read_text())) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
