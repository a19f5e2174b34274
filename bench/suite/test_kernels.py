"""The public kernels under pytest-benchmark: `pytest bench --benchmark-only`.

Every result is compared with the float64 reference before it is timed. The suite is no part of the
installed package, which works without pytest.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor
from twinsae.bench import oracle
from twinsae.bench.gpu.gates import GATES
from twinsae.bench.gpu.ways import Way
from twinsae.bench.measurement import OURS
from twinsae.bench.problem import Numbers, Problem, Shape, timing_problem
from twinsae.bench.refuse import WrongResultError, score_rounding
from twinsae.kernels.autoencode import Autoencoded, topk_autoencode
from twinsae.kernels.backends import DEVICE_OF, Backend
from twinsae.kernels.decode import sparse_decode
from twinsae.kernels.grads import LatentGrads, latent_grads
from twinsae.kernels.topk import MutualTopK, Pairs, TopK, linear_topk, mutual_topk, pairs_above

SMALL, LARGE = Shape(512, 512, 8192, 32), Shape(1024, 576, 20736, 32)
RUNS: tuple[tuple[Backend, Shape], ...] = (
    ("reference", SMALL),  # the reference takes too long at the large shape
    ("native", SMALL),
    ("native", LARGE),
    ("triton", SMALL),
    ("triton", LARGE),
)
PRICE, MARGIN = 4.0, 0.5  # where scores have standard deviation 1
CAPACITY = 1 << 17  # pairs


def encode(p: Problem, backend: Backend) -> TopK:
    """Call linear_topk."""
    return linear_topk(p.x, p.W_enc, p.b_enc, p.k, backend=backend)


def mutual(p: Problem, backend: Backend) -> MutualTopK:
    """Call mutual_topk."""
    return mutual_topk(p.x, p.W_enc, p.k, backend=backend)


def pairs(p: Problem, backend: Backend) -> Pairs:
    """Call pairs_above, with a price that few pairs reach."""
    row_price = torch.full((len(p.x),), PRICE, dtype=torch.float64, device=p.x.device)
    col_price = torch.zeros(len(p.W_enc), dtype=torch.float64, device=p.x.device)
    return pairs_above(
        p.x, p.W_enc, row_price, col_price, margin=MARGIN, capacity=CAPACITY, backend=backend
    )


def decode(p: Problem, backend: Backend) -> list[Tensor]:
    """Call sparse_decode."""
    return [sparse_decode(p.values, p.indices, p.W_dec, p.b_dec, backend=backend)]


def grads(p: Problem, backend: Backend) -> LatentGrads:
    """Call latent_grads."""
    return latent_grads(
        p.values, p.d_values, p.indices, p.x, p.g, len(p.W_dec), backend=backend
    )  # fmt: skip


def autoencode(p: Problem, backend: Backend) -> Autoencoded:
    """Call topk_autoencode."""
    return topk_autoencode(p.x, p.W_enc, p.b_enc, p.W_dec, p.b_dec, p.k, backend=backend)


CALLS: dict[str, Callable[[Problem, Backend], Any]] = {
    "linear_topk": encode,
    "mutual_topk": mutual,
    "pairs_above": pairs,
    "sparse_decode": decode,
    "latent_grads": grads,
    "topk_autoencode": autoencode,
}
JOBS = {
    "linear_topk": "encode",
    "sparse_decode": "decode",
    "latent_grads": "grads",
    "topk_autoencode": "autoencode",
}
"""The gates of `bench gpu` that compare these kernels."""
SPARSE = ("sparse_decode", "latent_grads")
"""These kernels do not multiply all pairs of rows."""


@cache
def problem_of(shape: Shape, device: str) -> Problem:
    """Return a float32 problem whose active latents are those of its encoder."""
    problem = timing_problem(shape, Numbers(torch.float32, torch.device(device)))
    return problem.encoded(*encode(problem, "auto")[:2])


def check_mutual(p: Problem, found: MutualTopK) -> None:
    """Raise WrongResultError unless the best partners of some rows of both sides are right."""
    sides = (
        (p.x, p.W_enc, found.row_values, found.row_indices),
        (p.W_enc, p.x, found.col_values, found.col_indices),
    )
    for own, other, values, indices in sides:
        rows = oracle.some(len(own), oracle.ROWS, own.device)
        best, _ = oracle.expected_topk(own[rows], other, None, p.k, -torch.inf)
        oracle.check_topk((values[rows], indices[rows]), own[rows], other, None, best)


def check_pairs(p: Problem, found: Pairs) -> None:
    """Raise WrongResultError unless the pairs of some rows are right."""
    if int(found.overflow):
        raise WrongResultError(f"{int(found.overflow):,} pairs more than {CAPACITY:,}")
    least = torch.full((len(p.W_enc),), PRICE - MARGIN, dtype=torch.float64, device=p.x.device)
    slack = score_rounding(p.x, p.W_enc)
    oracle.check_pairs(p.x, p.W_enc, (found.rows, found.cols), least, slack, None)


def refuse_wrong(kernel: str, p: Problem, found: Any) -> None:
    """Raise WrongResultError if a kernel returned a wrong result."""
    if kernel == "mutual_topk":
        check_mutual(p, found)
    elif kernel == "pairs_above":
        check_pairs(p, found)
    else:
        GATES[JOBS[kernel]](p)(Way(OURS, list, (kernel,)), found)


def in_short(value: object) -> str:
    """Return the name of a parameter of a test."""
    return "x".join(map(str, value)) if isinstance(value, Shape) else str(value)


@pytest.mark.parametrize(("backend", "shape"), RUNS, ids=in_short)
@pytest.mark.parametrize("kernel", CALLS)
@torch.no_grad()
def test_speed(benchmark: Any, kernel: str, backend: Backend, shape: Shape) -> None:
    """Time a kernel; `extra_info` holds the sizes, the threads and the throughput."""
    device = DEVICE_OF.get(backend, "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("triton needs a GPU")
    problem = problem_of(shape, device)

    def call() -> Any:
        result = CALLS[kernel](problem, backend)
        if device == "cuda":
            torch.cuda.synchronize()
        return result

    refuse_wrong(kernel, problem, call())
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
