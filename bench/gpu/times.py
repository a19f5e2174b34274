"""Stage times: each job of an autoencoder by our kernels, beside torch's ops and peers."""

from collections.abc import Callable
from functools import partial
from typing import Any

from ...kernels.topk import ScanStats
from ..measurement import PRODUCT
from ..problem import Problem
from .gate import CHECKS, OURS, PEERS
from .records import Record
from .setting import Setting
from .steps import SECONDS, Steps
from .timing import timed
from .ways import TORCH, Way, fail, ways_of

MIB = 1 << 20


def run(setting: Setting, steps: Steps) -> None:
    """Run the stage."""
    time_ways(setting, steps, lambda ways: ways)


def time_ways(
    setting: Setting,
    steps: Steps,
    chosen: Callable[[list[Way]], list[Way]],
    seconds: float = SECONDS,
) -> None:
    """Time the ways of all jobs that are chosen; each is a step, such as "D 768 encode: twinsae".

    If the inputs cannot be made, say for want of memory, the error is the result of a step.
    """
    for shape in setting.shapes:
        problem: Problem | None = None
        for job in TORCH:
            try:
                problem = problem or setting.problem(shape)
                ways = chosen(ways_of(job, problem, setting.backend))
            except Exception as error:
                steps.run(f"D {shape.d_in} {job}: inputs", partial(fail, error))
                continue
            for way in ways:
                call = partial(time_way, setting, job, problem, way)
                steps.run(f"D {shape.d_in} {job}: {way.name}", call, seconds, ours=way.ours)


def time_way(setting: Setting, job: str, problem: Problem, way: Way) -> Record:
    """Check the result of a way, then time it, and the memory that it takes beyond its inputs."""
    found = way.run()
    if way.name != PRODUCT:
        CHECKS[job](problem, found, OURS if way.ours else PEERS)
    facts = redone(found)
    del found
    facts["MiB"] = round(setting.clock.peak(way.run).total / MIB)
    return facts | timed(setting, way.run)


def redone(found: Any) -> Record:
    """Return how many rows a scan did not prove and scored again, if it tells."""
    stats = getattr(found, "stats", None)
    return {"redone": int(stats.rows_redone)} if isinstance(stats, ScanStats) else {}
