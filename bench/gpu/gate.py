"""Refuses results that are wrong, before they are timed: some rows against the float64 reference.

tests/kernels is the suite of right results; this is only the gate of what is timed, at its sizes.
A sum of n float32 terms in any order is off by at most n u times the sum of their magnitudes
(Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1; u = 2^-24). For long
dot products this bound would hide the rounding of TF32, so scores get `score_rounding`, which grows
with sqrt(D). Results of a half dtype are rounded once more, at the end.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ...kernels.decode import DecodedError, decode_error, gather_dot, sparse_decode
from ...kernels.topk import MutualTopK, Pairs
from ..problem import Problem
from ..refuse import WrongResultError, refuse, score_rounding
from .ours import PRICE
from .torch_ways import squared_length

U = 2.0**-24
ROWS = 48  # how many rows of a problem are compared
LATENTS = 6  # how many latents' gradients are compared, beside the most and the least active
CHUNK_BYTES = 1 << 29  # of the part of a weight that is converted to float64 at a time
OURS, PEERS = 0.5, 4.0  # roundings, in ulps: peers round partial sums and products too
LOSS, HALF_LOSS = 1e-4, 0.02  # relative; rounded scores choose other latents where they are alike
_AT_ONCE = 256  # rows that are decoded at a time


def check_encode(problem: Problem, found: Sequence[Any], roundings: float = OURS) -> None:
    """Refuse values and indices (N, k) that are not the k best of relu(x W_enc^T + b_enc)."""
    rows = some(len(problem.x), ROWS, problem.x.device)
    values, indices = found[0][rows], found[1][rows].long()
    _check_best(
        values, indices, problem.x[rows], problem.W_enc, problem.b_enc, roundings, floor=0.0
    )


def check_above(problem: Problem, found: Sequence[Any], roundings: float = OURS) -> None:
    """Refuse compressed rows (row_offsets, indices, values) of other scores than those above."""
    offsets, indices, values = found[:3]
    rows = torch.arange(len(problem.x), device=indices.device).repeat_interleave(offsets.diff())
    ulps = roundings * torch.finfo(values.dtype).eps
    own, right, slack = _check_listed(
        (rows, indices), problem.x, problem.W_enc, problem.b_enc, PRICE,
        0.0 if roundings == OURS else ulps * PRICE,
    )  # fmt: skip
    refuse("the scores listed", values[own], right, slack + ulps * right.abs())


def check_decode(problem: Problem, found: Sequence[Tensor], roundings: float = OURS) -> None:
    """Refuse a wrong decoding, the only result in ``found``, (N, D)."""
    rows = some(len(problem.x), ROWS, problem.x.device)
    values, indices, weight = _named(problem, rows)
    bias = problem.b_dec.double()
    right = sparse_decode(values, indices, weight, bias, backend="reference")
    size = sparse_decode(values.abs(), indices, weight.abs(), bias.abs(), backend="reference")
    _refuse_sum("the decoded rows", found[0][rows], right, size, problem.k + 1, roundings)


def check_dot(problem: Problem, found: Sequence[Tensor], roundings: float = OURS) -> None:
    """Refuse wrong dot products of g with the rows of W_dec that are named, (N, k)."""
    rows = some(len(problem.x), ROWS, problem.x.device)
    _, indices, weight = _named(problem, rows)
    g = problem.g[rows].double()
    right = gather_dot(g, indices, weight, backend="reference")
    size = gather_dot(g.abs(), indices, weight.abs(), backend="reference")
    _refuse_sum("the dot products", found[0][rows], right, size, g.shape[1], roundings)


def check_error(problem: Problem, found: DecodedError, roundings: float = OURS) -> None:
    """Refuse a wrong result of `decode_error` for the target x and the scale 1."""
    rows = some(len(problem.x), ROWS, problem.x.device)
    values, indices, weight = _named(problem, rows)
    target, bias = problem.x[rows].double(), problem.b_dec.double()
    one = torch.ones((), dtype=torch.float64, device=target.device)

    def reference(values: Tensor, weight: Tensor, bias: Tensor, target: Tensor) -> DecodedError:
        return decode_error(values, indices, weight, bias, target, one, backend="reference")

    right = reference(values, weight, bias, target)
    size = reference(values.abs(), weight.abs(), bias.abs(), -target.abs())
    terms = 2 * problem.k + target.shape[1] + 4  # of a dot product with a sum
    for name, ours, theirs, most in zip(right._fields, found, right, size, strict=True):
        _refuse_sum(name, ours[rows], theirs, most, terms, roundings)


def check_grads(problem: Problem, found: Sequence[Tensor], roundings: float = OURS) -> None:
    """Refuse wrong sums of gradients: dW_dec and dW_enc, (L, D) each, come first in ``found``."""
    latents = _telling_latents(problem)
    hits = problem.indices[:, :, None] == latents  # (N, k, R)
    rows = hits.any(2).any(1).nonzero().squeeze(1)
    terms = int(hits.sum((0, 1)).max()) + 2
    sides = (
        ("dW_dec", problem.values, problem.g, found[0]),
        ("dW_enc", problem.d_values, problem.x, found[1]),
    )
    for name, values, side, ours in sides:
        factors = (values[rows, :, None] * hits[rows]).double().sum(1).T  # (R, rows)
        own = side[rows].double()
        right, size = factors @ own, factors.abs() @ own.abs()
        _refuse_sum(name, ours[latents], right, size, terms, roundings)


def check_compressed(problem: Problem, found: Sequence[Tensor], roundings: float = OURS) -> None:
    """Refuse wrong sums of compressed rows: a decoding, dot products, dW_dec and dW_enc."""
    check_decode(problem, found[:1], roundings)
    check_dot(problem, found[1:2], roundings)
    check_grads(problem, found[2:], roundings)


def check_autoencode(problem: Problem, found: Sequence[Tensor], roundings: float = OURS) -> None:
    """Refuse a wrong encoding, or a wrong decoding of it; the decoding (N, D) comes first."""
    recon, values, indices = found[:3]
    check_encode(problem, (values, indices), roundings)
    check_decode(problem.encoded(values, indices.long()), [recon], roundings)


def check_step(problem: Problem, found: Sequence[Tensor], roundings: float = OURS) -> None:
    """Refuse a wrong squared error over `squared_length`, the first result, for an encoded problem.

    A peer's may be a sum, or a mean over N or N D. Of the gradients only shapes and finiteness are
    compared, because rounding changes which latents are chosen; `check_grads` compares the kernel.
    """
    error, size = _squared_error(problem), float(squared_length(problem.x))
    scales = (size,) if roundings == OURS else (size, 1, len(problem.x), problem.x.numel())
    allowed = LOSS if problem.x.dtype == torch.float32 else HALF_LOSS
    off = min(abs(float(found[0]) * scale / error - 1) for scale in scales)
    if not off <= allowed:
        raise WrongResultError(f"the squared error is off by {off:.2%}, more than {allowed:.2%}")
    for gradient in found[1:]:
        if gradient.shape != problem.W_dec.shape or not gradient.isfinite().all():
            raise WrongResultError("a gradient is not finite, or of another shape")


CHECKS: dict[str, Callable[[Problem, Any, float], None]] = {
    "encode": check_encode,
    "above": check_above,
    "decode": check_decode,
    "dot": check_dot,
    "error": check_error,
    "grads": check_grads,
    "compressed": check_compressed,
    "autoencode": check_autoencode,
    "step": check_step,
    "mutual": lambda p, found, _: check_mutual(p.x, p.W_enc, found),
    "pairs": lambda p, found, _: check_pairs(p.x, p.W_enc, found, PRICE),
}
"""By the names of the jobs; each raises WrongResultError."""


def check_mutual(a: Tensor, b: Tensor, found: MutualTopK) -> None:
    """Refuse wrong best partners of the rows of a (R, D) and of b (C, D)."""
    for own, other, values, indices in (
        (a, b, found.row_values, found.row_indices),
        (b, a, found.col_values, found.col_indices),
    ):
        rows = some(len(own), ROWS, own.device)
        _check_best(values[rows], indices[rows], own[rows], other, None, OURS, floor=-torch.inf)


def check_pairs(a: Tensor, b: Tensor, found: Pairs, least: float) -> None:
    """Refuse a list that lacks a pair whose score is above ``least``, or has one that is not."""
    if int(found.overflow):
        raise WrongResultError(f"{int(found.overflow):,} pairs did not fit into the list")
    _check_listed((found.rows, found.cols), a, b, None, least)


def some(count: int, most: int, device: torch.device) -> Tensor:
    """Return up to ``most`` of the places 0 to count - 1, evenly, with the first and the last."""
    chosen = min(count, most)
    return torch.linspace(0, max(0, count - 1), chosen, device=device, dtype=torch.float64).long()


def scores(x: Tensor, weight: Tensor) -> Tensor:
    """Return x @ weight.T in float64, (R, L); the weight (L, D) is converted in chunks."""
    step = max(1, CHUNK_BYTES // (8 * max(1, weight.shape[1])))
    parts = torch.split(weight, step)
    return torch.cat([x.double() @ part.double().T for part in parts], dim=1)


def _check_best(
    values: Tensor,
    indices: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    roundings: float,
    floor: float,
) -> None:
    """Refuse values and indices (R, k), in any order, that are not the best up to rounding.

    A score that is off by e moves the j-th best score of its row by at most e. So the values must
    be near the best ones, and near the scores of the latents named, and no latent is repeated.
    """
    every = scores(x, weight) if bias is None else scores(x, weight) + bias.double()  # (R, L)
    best = every.topk(values.shape[1]).values.clamp(min=floor)
    named = every.gather(1, indices.clamp(min=0)).where(indices >= 0, 0.0)
    slack = score_rounding(x.float(), weight, bias)
    slack += roundings * torch.finfo(values.dtype).eps * float(best.abs().max())
    refuse("the best scores", values.sort(descending=True).values, best, slack)
    refuse("the scores of the latents named", values, named, slack)
    ascending = indices.sort(1).values
    repeated = int(((ascending.diff(dim=1) == 0) & (ascending[:, 1:] >= 0)).sum())
    if repeated:
        raise WrongResultError(f"{repeated:,} latents are named twice in their rows")


def _check_listed(
    pairs: tuple[Tensor, Tensor],
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    least: float,
    rounding: float = 0.0,
) -> tuple[Tensor, Tensor, float]:
    """Refuse pairs that lack one whose score is above ``least``, or have another one.

    Args:
        pairs: rows and latents, (P,) each; only those of some rows are compared.
        x: (N, D).
        weight: (L, D).
        bias: (L,), or None.
        least: the score that a listed pair exceeds.
        rounding: of scores, beside that of float32.

    Returns:
        The places of the pairs compared, (Q,), their scores, (Q,) float64, and by how much these
        may be off.
    """
    chosen = some(len(x), ROWS, x.device)
    every = scores(x[chosen], weight) if bias is None else scores(x[chosen], weight) + bias.double()
    slack = score_rounding(x[chosen].float(), weight, bias) + rounding
    place = torch.full((len(x),), -1, device=x.device)
    place[chosen] = torch.arange(len(chosen), device=x.device)
    own = (place[pairs[0]] >= 0).nonzero().squeeze(1)
    rows, latents = place[pairs[0][own]], pairs[1][own]
    listed = torch.zeros_like(every, dtype=torch.bool)
    listed[rows, latents] = True
    missing = int(((every - least > slack) & ~listed).sum())
    extra = len(own) - int(((every - least > -slack) & listed).sum())
    if missing or extra:
        raise WrongResultError(
            f"of {len(chosen)} rows {missing:,} pairs are missing and {extra:,} are too many"
        )
    return own, every[rows, latents], slack


def _refuse_sum(
    what: str, found: Tensor, right: Tensor, size: Tensor, terms: int, roundings: float
) -> None:
    """Refuse sums that differ from ``right`` by more than rounding.

    ``size`` is the sums of the terms' magnitudes. Peers may round their partial sums too.
    """
    limits = torch.finfo(found.dtype)
    rounded = right.abs() if roundings == OURS else size
    slack = (terms + 3) * U * size + roundings * limits.eps * rounded + limits.tiny * limits.eps
    refuse(what, found, right, slack)


def _named(problem: Problem, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return values, indices, and the rows of the decoder that the indices name, in float64."""
    indices = problem.indices[rows]
    own, places = torch.unique(indices.clamp(min=0), return_inverse=True)
    local = torch.where(indices < 0, -1, places)
    return problem.values[rows].double(), local, problem.W_dec[own].double()


def _telling_latents(problem: Problem) -> Tensor:
    """Return some latents: evenly spaced ones, and the most and the least active one."""
    count = len(problem.W_enc)
    fired = torch.bincount(problem.indices.flatten().clamp(min=0), minlength=count)
    telling = torch.stack([fired.argmax(), fired.argmin()])
    every: Tensor = torch.unique(torch.cat([telling, some(count, LATENTS, telling.device)]))
    return every


def _squared_error(problem: Problem) -> float:
    """Return the squared error of the reconstruction from the latents of the problem."""
    total = 0.0
    for rows in torch.split(torch.arange(len(problem.x), device=problem.x.device), _AT_ONCE):
        values, indices = problem.values[rows].float(), problem.indices[rows]
        decoded = torch.einsum("nk,nkd->nd", values, problem.W_dec[indices].float())
        error = decoded + problem.b_dec.float() - problem.x[rows].float()
        total += float(error.double().square().sum())
    return total
