"""Checks the result of a way, on the problem on which it is then timed."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .. import oracle
from ..oracle import OWN_ROUNDINGS, PEER_ROUNDINGS
from ..problem import Problem
from ..refuse import WrongResultError
from .torch_ways import squared_length
from .ways import Way

Gate = Callable[[Way, Sequence[Tensor]], None]
"""Raises WrongResultError if the result of a way is wrong."""

LOSS = {torch.float32: 1e-4}
HALF_LOSS = 0.02  # relative; rounded scores choose other latents where scores are nearly equal
_AT_ONCE = 256  # rows that are decoded at a time


def _roundings(way: Way) -> float:
    return OWN_ROUNDINGS if way.kernels else PEER_ROUNDINGS


def encode_gate(problem: Problem) -> Gate:
    """Return a comparison of some rows with the float64 reference."""
    rows = oracle.some(len(problem.x), oracle.ROWS, problem.x.device)
    x, weight, bias = problem.x[rows], problem.W_enc, problem.b_enc
    expected, _ = oracle.expected_topk(x, weight, bias, problem.k)

    def check(way: Way, found: Sequence[Tensor]) -> None:
        own = found[0][rows].sort(dim=1, descending=True)  # peers give them in any order
        indices = found[1][rows].long().gather(1, own.indices)
        oracle.check_topk(
            (own.values, indices), x, weight, bias, expected, _roundings(way)
        )  # fmt: skip

    return check


def decode_gate(problem: Problem) -> Gate:
    """Return a comparison of some rows with the float64 reference."""
    rows = oracle.some(len(problem.x), oracle.ROWS, problem.x.device)

    def check(way: Way, found: Sequence[Tensor]) -> None:
        oracle.check_decode(found[0][rows], problem, rows, roundings=_roundings(way))

    return check


def autoencode_gate(problem: Problem) -> Gate:
    """Return the comparisons of encode and of decode, for the latents that were found."""
    encoded = encode_gate(problem)
    rows = oracle.some(len(problem.x), oracle.ROWS, problem.x.device)

    def check(way: Way, found: Sequence[Tensor]) -> None:
        recon, values, indices = found[:3]
        encoded(way, (values, indices))
        own = problem.encoded(values, indices)
        oracle.check_decode(recon[rows], own, rows, roundings=_roundings(way))

    return check


def grads_gate(problem: Problem) -> Gate:
    """Return a comparison of some latents with the float64 reference."""

    def check(way: Way, found: Sequence[Tensor]) -> None:
        oracle.check_grads(tuple(found), problem, roundings=_roundings(way))

    return check


def step_gate(problem: Problem) -> Gate:
    """Return a comparison of the squared error, for a problem that is `encoded`.

    The gradients depend on the choice of latents, which rounding changes. `grads_gate` and the
    checks of the kernels compare gradients where all use the same latents.
    """
    error, size = _squared_error(problem), float(squared_length(problem.x))
    allowed = LOSS.get(problem.x.dtype, HALF_LOSS)

    def check(way: Way, found: Sequence[Tensor]) -> None:
        any_scale = (size, 1, len(problem.x), problem.x.numel())  # a sum, or a mean over N or N D
        scales = any_scale if way.of_unknown_scale else (size,)
        loss = float(found[0])
        off = min(abs(loss * scale / error - 1) for scale in scales)
        if not off <= allowed:
            raise WrongResultError(
                f"the squared error is off by {off:.2%}, more than {allowed:.2%}"
            )
        for gradient in found[1:]:
            if gradient.shape != problem.W_dec.shape or not gradient.isfinite().all():
                raise WrongResultError("a gradient is not finite, or of another shape")

    return check


GATES: dict[str, Callable[[Problem], Gate]] = {
    "encode": encode_gate,
    "decode": decode_gate,
    "autoencode": autoencode_gate,
    "grads": grads_gate,
    "step": step_gate,
}


def _squared_error(problem: Problem) -> float:
    """Return the squared error of the reconstruction from the latents of the problem."""
    total = 0.0
    for start in range(0, len(problem.x), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        decoded = torch.einsum(
            "nk,nkd->nd", problem.values[rows].float(), problem.W_dec[problem.indices[rows]].float()
        )
        error = decoded + problem.b_dec.float() - problem.x[rows].float()
        total += float(error.double().square().sum())
    return total
