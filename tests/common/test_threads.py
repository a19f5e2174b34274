"""How many threads a process starts, in real processes with the variables that schedulers set."""

import os
import subprocess
import sys

import pytest
from twinsae.common import threads
from twinsae.common.threads import limit_threads, usable_threads

CHILD = """
import os, sys
os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:int(sys.argv[1])]))
from twinsae.common.threads import limit_threads, usable_threads
before = usable_threads()
limit_threads()
import torch
print(before, usable_threads(), torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS"))
"""
NAMES = (
    "OMP_NUM_THREADS",
    "SLURM_CPUS_PER_TASK",
    "SLURM_CPUS_ON_NODE",
    "TORCHELASTIC_RUN_ID",
    "LOCAL_WORLD_SIZE",
)
CPUS = len(os.sched_getaffinity(0))


@pytest.mark.skipif(CPUS < 2, reason="there is one CPU")
@pytest.mark.parametrize(
    ("variables", "cpus", "count", "omp"),
    [
        ({}, 1, 1, None),
        ({"SLURM_CPUS_PER_TASK": "1", "SLURM_CPUS_ON_NODE": "8"}, 2, 1, "1"),
        ({"SLURM_CPUS_ON_NODE": "1", "OMP_NUM_THREADS": "2,1"}, 1, 2, "2,1"),
    ],
)
def test_torch_starts_what_was_given(variables, cpus, count, omp):
    own = {name: value for name, value in os.environ.items() if name not in NAMES}
    command = [sys.executable, "-c", CHILD, str(cpus)]
    done = subprocess.run(
        command, env=own | variables, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == [*[str(count)] * 3, str(omp)]


@pytest.fixture
def given(monkeypatch):
    """Say what the process has: CPUs that it may run on, a quota, and variables."""

    def call(cpus, quota=None, **variables):
        for name in NAMES:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cpus)))
        monkeypatch.setattr(threads, "cpu_quota", lambda: quota)

    return call


@pytest.mark.parametrize(
    ("facts", "count"),
    [
        ({"cpus": 64, "quota": 4.0}, 4),
        ({"cpus": 64, "quota": 0.5}, 1),
        ({"cpus": 2, "quota": 4.0}, 2),
        ({"cpus": 64, "SLURM_CPUS_ON_NODE": "16"}, 16),
        ({"cpus": 64, "SLURM_CPUS_ON_NODE": "64", "SLURM_CPUS_PER_TASK": "8"}, 8),
        ({"cpus": 64, "quota": 6.0, "SLURM_CPUS_PER_TASK": "8"}, 6),
        ({"cpus": 64, "SLURM_CPUS_PER_TASK": "many", "OMP_NUM_THREADS": "0"}, 64),
        ({"cpus": 64, "OMP_NUM_THREADS": ""}, 64),
    ],
)
def test_the_smallest_limit_counts(given, facts, count):
    given(**facts)
    assert usable_threads() == count
    limit_threads()
    left_to_torch = count == facts["cpus"]
    known = os.environ.get("OMP_NUM_THREADS")
    assert known == (facts.get("OMP_NUM_THREADS") if left_to_torch else str(count))
    assert usable_threads() == count


@pytest.mark.parametrize(
    ("omp", "cpus", "processes", "count"), [("1", 16, 2, 8), ("1", 2, 4, 1), ("3", 16, 2, 3)]
)
def test_processes_of_torchrun_share_the_cpus(given, omp, cpus, processes, count):
    torchrun = {"TORCHELASTIC_RUN_ID": "none", "LOCAL_WORLD_SIZE": str(processes)}
    given(cpus=cpus, OMP_NUM_THREADS=omp, **torchrun)
    assert usable_threads() == count
    limit_threads()
    assert (os.environ["OMP_NUM_THREADS"], usable_threads()) == (str(count), count)


def test_what_the_user_sets_counts(given):
    given(cpus=4, quota=1.0, OMP_NUM_THREADS="12")
    limit_threads()
    assert (usable_threads(), os.environ["OMP_NUM_THREADS"]) == (12, "12")
