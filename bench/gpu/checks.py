"""Lists the checks of all kernels, and runs one so that its outcome never ends the others."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..clock import CpuClock
from ..problem import Shape, dtype_name
from ..refuse import WrongResultError
from . import cases, pair_cases
from .cuda_clock import LostDeviceError
from .results import Check
from .setting import Case, Setting

ODD_SHAPE = Shape(257, 771, 9_001, 33)  # no size is a multiple of a tile
REAL_SHAPES = (Shape(512, 768, 32_768, 64), Shape(256, 4_096, 16_384, 32))
BIG, BIG_D = 2**31, 4096  # how many numbers one tensor exceeds, and its width
BIG_BYTES = 48 << 30  # free memory that a check of so many numbers needs in a half dtype


@dataclass(frozen=True)
class Job:
    """One case of one kernel at one shape."""

    kernel: str
    case: str
    shape: Shape
    run: Case


def usual_jobs(odd: Shape = ODD_SHAPE, real: Sequence[Shape] = REAL_SHAPES) -> Iterator[Job]:
    """Yield the checks of all kernels: whole numbers at ``odd``, real numbers at ``real``."""
    for kernel, run in (cases.WHOLE | pair_cases.WHOLE).items():
        yield Job(kernel, "whole numbers", odd, run)
    for case, run in cases.ENCODE.items():
        yield Job("linear_topk", case, odd, run)
    for case, run in pair_cases.PAIRS.items():
        yield Job("pairs_above", case, odd, run)
    for shape in real:
        for kernel, run in (cases.REAL | pair_cases.REAL).items():
            yield Job(kernel, f"real numbers, D = {shape.d_in:,}", shape, run)


def big_jobs(count: int = BIG, d_in: int = BIG_D) -> Iterator[Job]:
    """Yield checks in which offsets into one tensor pass ``count``: by the rows, or the latents."""
    many = count // d_in + 1_000
    for what, shape in (("N", Shape(many, d_in, 300, 8)), ("L", Shape(64, d_in, many, 32))):
        for kernel, run in (cases.WHOLE | pair_cases.WHOLE).items():
            yield Job(kernel, f"{what} D beyond {count:,}", shape, run)


def run_check(job: Job, setting: Setting, clock: CpuClock) -> Check:
    """Run one check.

    Raises:
        LostDeviceError: an error was raised, and the device does not work any more.
    """
    started = time.monotonic()
    try:
        job.run(setting, job.shape)
        clock.synchronize()
        problem = ""
    except WrongResultError as wrong:
        problem = str(wrong)
    except Exception as error:  # a compiler or a driver may raise any: that kernel is not timed
        problem = said(error)
        if not clock.answers():
            raise LostDeviceError(f"{job.kernel}, {job.case}: {problem}") from error
    clock.release()
    took = time.monotonic() - started
    return Check(job.kernel, job.case, dtype_name(setting.dtype), problem, took)


def said(error: BaseException) -> str:
    """Return the type of an error and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
