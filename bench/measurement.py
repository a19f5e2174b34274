"""Holds what was measured: a `Measurement` for each way of doing a `Task`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median

from ..kernels.topk import ScanStats
from .clock import Call, CpuClock

OURS = "twinsae"
PRODUCT = "product alone"


@dataclass(frozen=True)
class Task:
    """A job on one problem; the ways of doing it are compared with one another."""

    job: str
    """The name of the job, such as "encode"."""
    sizes: Mapping[str, int]
    """The sizes by the letters of the field: N, D, L, k."""
    source: str
    """Where the inputs are from, such as "random"."""
    operations: int
    """Floating-point operations of the whole product of inputs and weights."""


@dataclass(frozen=True)
class Measurement:
    """The time and the memory of one way of doing a task."""

    task: Task
    way: str
    """`OURS` is ours, `PRODUCT` the bare product of the same sizes by torch."""
    seconds: float
    """The median of all rounds."""
    peak_bytes: int
    """By how much memory grew at most in one call, beyond the inputs."""
    notes: Sequence[str] = ()
    """Remarks for the table."""


def summary(task: Task, way: str, seconds: Sequence[float], peak_bytes: int) -> Measurement:
    """Return the measurement of a way, given the seconds of its calls."""
    return Measurement(task, way, median(seconds), peak_bytes)


def measure(task: Task, ways: Mapping[str, Call], rounds: int) -> list[Measurement]:
    """Time ways of doing a task on the CPU, one of which is `OURS`.

    Returns:
        One measurement for each way. Its memory is beyond inputs and results.
    """
    clock = CpuClock()
    peaks = {way: clock.peak(call).above_result for way, call in ways.items()}
    taken = clock.samples(ways, rounds)
    return [summary(task, way, taken[way], peaks[way]) for way in ways]


def by_task(measured: Sequence[Measurement]) -> Iterator[tuple[Task, dict[str, Measurement]]]:
    """Yield each task and its measurements by way, in the order in which they were made."""
    for task, group in groupby(measured, key=lambda one: one.task):
        yield task, {one.way: one for one in group}


def scan_note(stats: ScanStats, rows: int) -> str:
    """Say what a scan of ``rows`` rows scored again in float32."""
    survivors, redone = int(stats.survivors), int(stats.rows_redone)
    if not survivors and not redone:
        return "all scored in float32"
    return f"{survivors / rows:,.1f} survivors re-scored per row; {redone:,} rows redone"
