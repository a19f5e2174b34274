"""The cases in which the kernels of an autoencoder are checked; `pair_cases` is for a match.

float32 computes sums of whole numbers exactly in any order, so these results must be equal. Those
of real numbers may be off by rounding (`oracle`). Every call is made twice and gives equal bits.
"""

from dataclasses import replace

import torch
from torch import Tensor

from ...kernels.autoencode import Autoencoded, topk_autoencode
from ...kernels.decode import decode_error, gather_dot, sparse_decode
from ...kernels.grads import LatentGrads, latent_grads
from ...kernels.topk import TopK, linear_topk
from .. import oracle
from ..problem import Problem, Shape, random_problem, whole_problem
from ..refuse import refuse_unequal
from .setting import Case, Setting, same_twice

MANY = 300  # more than a fused scan keeps


def encode_whole(setting: Setting, shape: Shape) -> None:
    """Find the k best of whole scores, many of which are ties."""
    problem = whole_problem(shape, setting.numbers())
    _whole_topk(setting, problem, problem.k)


def encode_masked(setting: Setting, shape: Shape) -> None:
    """Find them with a mask of half the latents and a floor for each row, some infinite."""
    problem = whole_problem(shape, setting.numbers())
    places = torch.arange(len(problem.W_enc), device=setting.device)
    floor = setting.numbers().whole(len(problem.x), most=9).float()
    floor[::5] = torch.inf
    floor[1::5] = -torch.inf
    _whole_topk(setting, problem, problem.k, floor=floor, mask=places % 2 == 1)


def encode_few(setting: Setting, shape: Shape) -> None:
    """Find the k best where fewer than k scores are above 0."""
    problem = whole_problem(shape, setting.numbers())
    bias = torch.full_like(problem.b_enc, -float(2 * shape.d_in))  # below every score
    bias[:: max(1, len(bias) // (problem.k - 1 or 1) + 1)] = 1.0
    _whole_topk(setting, replace(problem, b_enc=bias), problem.k)


def encode_many(setting: Setting, shape: Shape) -> None:
    """Ask for more latents than a fused scan keeps."""
    problem = whole_problem(shape, setting.numbers())
    _whole_topk(setting, problem, min(MANY, len(problem.W_enc)))


def encode_clustered(setting: Setting, shape: Shape) -> None:
    """Put all of the best side by side, so that the bound proves no row and all are redone."""
    problem = random_problem(shape, setting.numbers())
    problem.x.abs_()
    start = len(problem.W_enc) // 2
    problem.W_enc[start : start + 2 * problem.k].abs_()
    _real_topk(setting, problem)


def encode_stacked(setting: Setting, shape: Shape) -> None:
    """Encode for two seeds at once; the bits must be those of a call for each seed."""
    problem = random_problem(shape, setting.numbers())
    x, k, half = problem.x, min(problem.k, len(problem.W_enc) // 2), len(problem.W_enc) // 2
    weight, bias = problem.W_enc[: 2 * half], problem.b_enc[: 2 * half]
    both = linear_topk(x, weight, bias, k, groups=2, backend=setting.backend)
    for group in range(2):
        part = slice(group * half, (group + 1) * half)
        alone = linear_topk(x, weight[part], bias[part], k, backend=setting.backend)
        refuse_unequal("the best scores of a seed", both.values[:, group], alone.values)
        refuse_unequal("the latents of a seed", both.indices[:, group], alone.indices)


def encode_real(setting: Setting, shape: Shape) -> None:
    """Find the k best of real scores."""
    _real_topk(setting, random_problem(shape, setting.numbers()))


def _whole_topk(setting: Setting, problem: Problem, k: int, **options: Tensor) -> None:
    top: TopK = same_twice(
        lambda: linear_topk(
            problem.x, problem.W_enc, problem.b_enc, k, backend=setting.backend,
            floor=options.get("floor", 0.0), mask=options.get("mask"),
        )
    )  # fmt: skip
    rows = oracle.some(len(problem.x), oracle.ROWS, setting.device)
    floor = options["floor"][rows] if "floor" in options else 0.0
    values, indices = oracle.expected_topk(
        problem.x[rows], problem.W_enc, problem.b_enc, k, floor, options.get("mask")
    )
    refuse_unequal("the latents", top.indices[rows], indices)
    refuse_unequal("the best scores", top.values[rows], values)


def _real_topk(setting: Setting, problem: Problem) -> None:
    x, weight, bias = problem.x, problem.W_enc, problem.b_enc
    top = same_twice(lambda: linear_topk(x, weight, bias, problem.k, backend=setting.backend))
    rows = oracle.some(len(x), oracle.ROWS, setting.device)
    expected = oracle.expected_topk(x[rows], weight, bias, problem.k)
    found = top.values[rows], top.indices[rows]
    oracle.check_topk(found, x[rows], weight, bias, expected[0])


def decode_whole(setting: Setting, shape: Shape) -> None:
    """Decode whole numbers."""
    _decode(setting, whole_problem(shape, setting.numbers()), exact=True)


def decode_real(setting: Setting, shape: Shape) -> None:
    """Decode real numbers."""
    _decode(setting, random_problem(shape, setting.numbers()), exact=False)


def _decode(setting: Setting, problem: Problem, exact: bool) -> None:
    out = same_twice(
        lambda: sparse_decode(
            problem.values, problem.indices, problem.W_dec, problem.b_dec, backend=setting.backend
        )
    )
    rows = oracle.some(len(out), oracle.ROWS, setting.device)
    oracle.check_decode(out[rows], problem, rows, exact)


def dot_whole(setting: Setting, shape: Shape) -> None:
    """Take dot products of whole numbers."""
    _dot(setting, whole_problem(shape, setting.numbers()), exact=True)


def dot_real(setting: Setting, shape: Shape) -> None:
    """Take dot products of real numbers."""
    _dot(setting, random_problem(shape, setting.numbers()), exact=False)


def _dot(setting: Setting, problem: Problem, exact: bool) -> None:
    out = same_twice(
        lambda: gather_dot(problem.g, problem.indices, problem.W_dec, backend=setting.backend)
    )
    rows = oracle.some(len(out), oracle.ROWS, setting.device)
    oracle.check_gather_dot(out[rows], problem, rows, exact)


def error_whole(setting: Setting, shape: Shape) -> None:
    """Compare a decoding of whole numbers with its target."""
    _error(setting, whole_problem(shape, setting.numbers()), 0.25, exact=True)


def error_real(setting: Setting, shape: Shape) -> None:
    """Compare a decoding of real numbers with its target."""
    _error(setting, random_problem(shape, setting.numbers()), 0.7, exact=False)


def _error(setting: Setting, problem: Problem, factor: float, exact: bool) -> None:
    scale = torch.tensor(factor, device=setting.device)
    found = same_twice(
        lambda: decode_error(
            problem.values, problem.indices, problem.W_dec, problem.b_dec, problem.x, scale,
            backend=setting.backend,
        )
    )  # fmt: skip
    rows = oracle.some(len(problem.x), oracle.ROWS, setting.device)
    own = type(found)(*(part[rows] for part in found))
    oracle.check_error(own, problem, scale, rows, exact)


def grads_whole(setting: Setting, shape: Shape) -> None:
    """Sum gradients of whole numbers; one latent is active in nearly every row."""
    _grads(setting, whole_problem(shape, setting.numbers()), exact=True)


def grads_real(setting: Setting, shape: Shape) -> None:
    """Sum gradients of real numbers."""
    _grads(setting, random_problem(shape, setting.numbers()), exact=False)


def _grads(setting: Setting, problem: Problem, exact: bool) -> None:
    def sums() -> LatentGrads:
        return latent_grads(
            problem.values, problem.d_values, problem.indices, problem.x, problem.g,
            len(problem.W_dec), backend=setting.backend,
        )  # fmt: skip

    oracle.check_grads(same_twice(sums), problem, exact)


def autoencode_whole(setting: Setting, shape: Shape) -> None:
    """Encode and decode whole numbers in one call."""
    problem = whole_problem(shape, setting.numbers())
    rows, own, found = _autoencode(setting, problem)
    values, indices = oracle.expected_topk(problem.x[rows], problem.W_enc, problem.b_enc, problem.k)
    refuse_unequal("the latents", own.indices, indices)
    refuse_unequal("the best scores", own.values, values)
    oracle.check_autoencoded(own, problem.encoded(found.values, found.indices), rows, exact=True)


def autoencode_real(setting: Setting, shape: Shape) -> None:
    """Encode and decode real numbers in one call."""
    problem = random_problem(shape, setting.numbers())
    rows, own, found = _autoencode(setting, problem)
    x, weight, bias = problem.x[rows], problem.W_enc, problem.b_enc
    expected, _ = oracle.expected_topk(x, weight, bias, problem.k)
    oracle.check_topk((own.values, own.indices), x, weight, bias, expected)
    oracle.check_autoencoded(own, problem.encoded(found.values, found.indices), rows)


def _autoencode(setting: Setting, problem: Problem) -> tuple[Tensor, Autoencoded, Autoencoded]:
    """Return some rows, the result for them, and the result for all rows."""
    found = same_twice(
        lambda: topk_autoencode(
            problem.x, problem.W_enc, problem.b_enc, problem.W_dec, problem.b_dec, problem.k,
            backend=setting.backend,
        )
    )  # fmt: skip
    rows = oracle.some(len(problem.x), oracle.ROWS, setting.device)
    own = found._replace(
        recon=found.recon[rows],
        values=found.values[rows],
        indices=found.indices[rows],
        squares=found.squares[rows],
        deviations=found.deviations[rows],
    )
    return rows, own, found


WHOLE: dict[str, Case] = {
    "linear_topk": encode_whole,
    "sparse_decode": decode_whole,
    "gather_dot": dot_whole,
    "decode_error": error_whole,
    "latent_grads": grads_whole,
    "topk_autoencode": autoencode_whole,
}
REAL: dict[str, Case] = {
    "linear_topk": encode_real,
    "sparse_decode": decode_real,
    "gather_dot": dot_real,
    "decode_error": error_real,
    "latent_grads": grads_real,
    "topk_autoencode": autoencode_real,
}
ENCODE: dict[str, Case] = {
    "mask and floors": encode_masked,
    "fewer than k": encode_few,
    f"k = {MANY}": encode_many,
    "winners side by side": encode_clustered,
    "two seeds": encode_stacked,
}
"""More cases of linear_topk."""
