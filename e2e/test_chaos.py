"""The chaos run, short: the promises under kills, pauses, and cut and stalled connections. `make chaos` runs it for minutes."""

import subprocess
import sys

import pytest

from conftest import CLUSTER
from processes import ROOT

SEED = 3
FAULTS = 14
RATE = 100
BURST_ROOMS = 500
DEADLINE_SECONDS = 300


@pytest.mark.parametrize("kind", ["embedded", "cluster"])
def test_short_chaos_loses_nothing_and_counts_nothing_twice(kind, tmp_path):
    if kind == "cluster" and not CLUSTER:
        pytest.skip("OVATION_TEST_CLUSTER is not set")
    where = ["--cluster", CLUSTER] if kind == "cluster" else []
    ended = subprocess.run(
        [
            sys.executable, "-m", "chaos", "--seed", str(SEED), "--faults", str(FAULTS), "--rate", str(RATE),
            "--burst-rooms", str(BURST_ROOMS), "--folder", tmp_path, *where,
        ],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=DEADLINE_SECONDS,
    )
    assert ended.returncode == 0, ended.stdout
