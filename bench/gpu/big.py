"""Stage big: our kernels on tensors beyond 2^31 numbers, where 32-bit offsets would be wrong."""

from collections.abc import Callable
from functools import cache, partial

from ..problem import Numbers, Problem, Shape, random_problem
from .gate import CHECKS, OURS
from .ours import JOBS
from .records import Record
from .setting import Setting
from .steps import Steps


def run(setting: Setting, steps: Steps) -> None:
    """Run the stage: first many rows, then many latents."""
    free = setting.clock.free_bytes()
    if free < setting.big_bytes:
        needed = f"{setting.big_bytes >> 30} GiB are needed, and {free >> 30} are free"
        steps.run("memory", lambda: {"left_out": needed})
        return
    count, d_in = setting.big
    many = count // d_in + 1_000
    for what, shape in (("N", Shape(many, d_in, 300, 8)), ("L", Shape(64, d_in, many, 32))):
        numbers = Numbers(setting.dtype, setting.device)
        problem = cache(partial(random_problem, shape, numbers))
        for job in JOBS:
            if job != "step":  # it calls only what the others call
                name = f"{job}, {what} D beyond {count}"
                steps.run(name, partial(check, setting, job, problem))


def check(setting: Setting, job: str, problem: Callable[[], Problem]) -> Record:
    """Call a kernel, and compare its result with the reference."""
    CHECKS[job](problem(), JOBS[job](problem(), setting.backend), OURS)
    return {}
