"""The public kernels under pytest-benchmark: `pytest bench --benchmark-only`.

Every result is compared with the float64 reference before it is timed. The suite is no part of the
installed package, which works without pytest.
"""

from functools import cache
from typing import Any

import pytest
import torch
from twinsae.bench.gpu.gate import CHECKS, OURS
from twinsae.bench.gpu.ours import JOBS, encode
from twinsae.bench.problem import Numbers, Problem, Shape, timing_problem
from twinsae.kernels.backends import DEVICE_OF, Backend

SMALL, LARGE = Shape(512, 512, 8192, 32), Shape(1024, 576, 20736, 32)
RUNS: tuple[tuple[Backend, Shape], ...] = (
    ("reference", SMALL),  # the reference takes too long at the large shape
    ("native", SMALL),
    ("native", LARGE),
    ("triton", SMALL),
    ("triton", LARGE),
)
KERNELS = [job for job in JOBS if job != "step"]  # a step calls three of the others
SPARSE = ("decode", "dot", "error", "grads", "compressed")
"""These kernels do not multiply all pairs of rows."""


@cache
def problem_of(shape: Shape, device: str) -> Problem:
    """Return a float32 problem whose active latents are those of its encoder."""
    problem = timing_problem(shape, Numbers(torch.float32, torch.device(device)))
    return problem.encoded(*encode(problem, "auto")[:2])


def in_short(value: object) -> str:
    """Return the name of a parameter of a test."""
    return "x".join(map(str, value)) if isinstance(value, Shape) else str(value)


@pytest.mark.parametrize(("backend", "shape"), RUNS, ids=in_short)
@pytest.mark.parametrize("kernel", KERNELS)
@torch.no_grad()
def test_speed(benchmark: Any, kernel: str, backend: Backend, shape: Shape) -> None:
    """Time a kernel; `extra_info` holds the sizes, the threads and the throughput."""
    device = DEVICE_OF.get(backend, "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("triton needs a GPU")
    problem = problem_of(shape, device)

    def call() -> Any:
        result = JOBS[kernel](problem, backend)
        if device == "cuda":
            torch.cuda.synchronize()
        return result

    CHECKS[kernel](problem, call(), OURS)
    benchmark.group = f"{kernel}, {shape}"
    benchmark.extra_info |= {**shape.sizes, "threads": torch.get_num_threads(), "device": device}
    benchmark(call)
    if benchmark.stats is None:  # --benchmark-disable
        return
    median = benchmark.stats.stats.median
    benchmark.extra_info["tokens_per_second"] = shape.num_tokens / median
    if kernel not in SPARSE:
        product = 2 * shape.num_tokens * shape.d_in * shape.num_latents
        benchmark.extra_info["gflops"] = product / median / 1e9
