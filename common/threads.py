"""How many threads a process should start, as schedulers and containers say it.

torch starts as many as ``OMP_NUM_THREADS`` says, else one for each core that the process may run
on, and our C++ code as many as torch. It does not see what Slurm gave to a job that is not bound to
its cores, nor the share of time that a container has.
"""

import os

from .control_groups import cpu_quota
from .system import usable_cpus

_OMP = "OMP_NUM_THREADS"
_SLURM = ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE")
"""https://slurm.schedmd.com/sbatch.html; the first is there only if the job asked for a number."""


def usable_threads() -> int:
    """Return how many threads this process should start.

    ``OMP_NUM_THREADS`` if it is set, by the user or by Ray (a task's CPUs). Else the smallest of:
    the CPUs that the process may run on, those that Slurm gave it (``SLURM_CPUS_PER_TASK``, else
    ``SLURM_CPUS_ON_NODE``), and the time that its control groups allow, in whole CPUs. Processes
    that torchrun started share that number; the 1 that torchrun sets where the user sets nothing
    does not count.
    """
    return _wished() or _given()


def limit_threads() -> None:
    """Let libraries start no more threads than `usable_threads`; to be called before torch loads.

    Processes that this one starts inherit it. Where there is no such limit it is left to torch,
    which starts one thread for each core and not for each of its hardware threads.
    """
    if _wished() is None and (_processes() or _given() < usable_cpus()):
        os.environ[_OMP] = str(_given())


def _wished() -> int | None:
    number = _number(_OMP)
    return None if number == 1 and _processes() else number


def _given() -> int:
    slurm = next((number for name in _SLURM if (number := _number(name))), None)
    limits = [usable_cpus(), slurm, cpu_quota()]
    cpus = min(limit for limit in limits if limit is not None)
    return max(1, int(cpus) // (_processes() or 1))


def _processes() -> int | None:
    """Return how many processes torchrun started on this machine; None: it did not."""
    return _number("LOCAL_WORLD_SIZE") if "TORCHELASTIC_RUN_ID" in os.environ else None


def _number(variable: str) -> int | None:
    """Return a variable's number; OpenMP's may have one more for each level, after commas."""
    first = os.environ.get(variable, "").partition(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) else None
