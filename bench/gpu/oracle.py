"""What is right, from the float64 reference, and how far off rounding may be.

Sums of n float32 terms in any order are off by at most n u times the sum of the terms' magnitudes
(Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1; u = 2^-24). For long
dot products that would hide TF32's rounding: theirs is `score_rounding`, which grows with sqrt(D).
Results of a half dtype are rounded once more, at the end.

Only some rows (or latents) of a large problem are compared; the first and the last are among them.
"""

import torch
from torch import Tensor

from ...kernels.autoencode import Autoencoded
from ...kernels.decode import DecodedError, decode_error, gather_dot, sparse_decode
from ...kernels.grads import LatentGrads, latent_grads
from ...kernels.topk import linear_topk
from ..measurement import score_rounding
from .problem import Problem

U = 2.0**-24
MEAN = 1e-5  # relative, of deviations from a mean over rows
ROWS = 48  # compared of a problem
LATENTS = 16
CHUNK_BYTES = 1 << 29  # of the weight in float64
OURS, PEER = 0.5, 4.0  # roundings to the result's dtype: one, or some on the way too


class WrongError(Exception):
    """A result is not what it should be; the message says by how much."""


def some(count: int, most: int, device: torch.device) -> Tensor:
    """Return up to `most` of the places 0 to count - 1, evenly, the first and last among them."""
    chosen = min(count, most)
    return torch.linspace(0, max(0, count - 1), chosen, device=device, dtype=torch.float64).long()


def refuse(what: str, found: Tensor, expected: Tensor, allowed: Tensor | float) -> None:
    """Raise WrongError where two results differ by more than is allowed, or either is NaN.

    Args:
        what: names the result.
        found: any shape.
        expected: the same shape.
        allowed: a number, or as `expected`.
    """
    if found.shape != expected.shape:
        raise WrongError(f"{what}: shape {tuple(found.shape)} instead of {tuple(expected.shape)}")
    off = (found.double() - expected.double()).abs()
    excess = off - allowed
    bad = ~(excess <= 0)
    if bad.any():
        place = int(excess.nan_to_num(nan=torch.inf).argmax())
        worst = float(off.flatten()[place])
        limits = torch.as_tensor(allowed, dtype=torch.float64, device=off.device).expand_as(off)
        limit = float(limits.flatten()[place])
        raise WrongError(
            f"{what}: {int(bad.sum()):,} of {bad.numel():,} numbers are off, the worst by "
            f"{worst:.3g} where {limit:.3g} is allowed"
        )


def refuse_unequal(what: str, found: Tensor, expected: Tensor) -> None:
    """Raise WrongError unless both are equal, `expected` rounded to `found`'s dtype."""
    refuse(what, found, expected.to(found.dtype), 0.0)


def scores(x: Tensor, weight: Tensor) -> Tensor:
    """Return x @ weight.T in float64, (R, L), the weight (L, D) being converted in chunks."""
    step = max(1, CHUNK_BYTES // (8 * max(1, weight.shape[1])))
    parts = torch.split(weight, step)
    return torch.cat([x.double() @ part.double().T for part in parts], dim=1)


def expected_topk(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    k: int,
    floor: Tensor | float = 0.0,
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the float64 reference's k best of the rows x (R, D), the weight (L, D) in chunks."""
    step = max(k, CHUNK_BYTES // (8 * max(1, weight.shape[1])))
    starts = range(0, max(1, len(weight) - k + 1), step)  # the last chunk has k latents or more
    values, indices = [], []
    for start in starts:
        part = slice(start, len(weight) if start == starts[-1] else start + step)
        top = linear_topk(
            x.double(), weight[part].double(), None if bias is None else bias[part].double(), k,
            floor=floor, mask=None if mask is None else mask[part], backend="reference",
        )  # fmt: skip
        values.append(top.values)
        indices.append(torch.where(top.indices < 0, -1, top.indices + start))
    every, names = torch.cat(values, 1), torch.cat(indices, 1)
    ranked = (
        every.masked_fill(names < 0, -torch.inf).sort(dim=1, descending=True, stable=True).indices
    )
    return every.gather(1, ranked[:, :k]), names.gather(1, ranked[:, :k])


def check_topk(
    found: tuple[Tensor, Tensor],
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    expected: Tensor,
    roundings: float = OURS,
) -> None:
    """Raise WrongError unless values and indices (R, k) are the best of the rows, but for rounding.

    A score that is off by e moves the j-th best of its row by no more than e: the values must be
    near the expected ones, and near the scores of the latents that they name, all of them others.
    """
    values, indices = found
    named = indices >= 0
    own = _dots(x, weight, indices.clamp(min=0))
    if bias is not None:
        own += bias.double()[indices.clamp(min=0)]
    slack = score_rounding(x.float(), weight, bias)
    slack += roundings * _eps(values) * float(expected.abs().max())
    refuse("the best scores", values, expected, slack)
    refuse("the scores of the latents named", values, own.where(named, 0), slack)
    filler = torch.arange(indices.shape[1], device=indices.device) - indices.shape[1] - 1
    ascending = torch.where(named, indices, filler).sort(1).values
    repeated = int((ascending.diff(dim=1) == 0).sum())
    if repeated:
        raise WrongError(f"{repeated:,} latents are named twice in their rows")


def check_decode(
    out: Tensor, problem: Problem, rows: Tensor, exact: bool = False, roundings: float = OURS
) -> None:
    """Raise WrongError unless out (R, D) is sparse_decode's result for those rows."""
    values, indices, weight = _named(problem, rows)
    bias = problem.b_dec.double()
    right = sparse_decode(values, indices, weight, bias, backend="reference")
    if exact:
        refuse_unequal("the decoded rows", out, right)
        return
    size = sparse_decode(values.abs(), indices, weight.abs(), bias.abs(), backend="reference")
    slack = _sum_slack(size, right, problem.k, out, roundings)
    refuse("the decoded rows", out, right, slack)


def check_gather_dot(out: Tensor, problem: Problem, rows: Tensor, exact: bool = False) -> None:
    """Raise WrongError unless out (R, k) is gather_dot(g, indices, W_dec) of those rows."""
    _, indices, weight = _named(problem, rows)
    left = problem.g[rows].double()
    right = gather_dot(left, indices, weight, backend="reference")
    if exact:
        refuse_unequal("the dot products", out, right)
        return
    size = gather_dot(left.abs(), indices, weight.abs(), backend="reference")
    slack = _sum_slack(size, right, left.shape[1], out, OURS)
    refuse("the dot products", out, right, slack)


def check_error(
    found: DecodedError, problem: Problem, scale: Tensor, rows: Tensor, exact: bool = False
) -> None:
    """Raise WrongError unless this is decode_error's result for those rows, the target being x."""
    values, indices, weight = _named(problem, rows)
    bias, target, factor = problem.b_dec.double(), problem.x[rows].double(), scale.double()
    right = decode_error(values, indices, weight, bias, target, factor, backend="reference")
    if exact:
        for name, ours, theirs in zip(found._fields, found, right, strict=True):
            refuse_unequal(name, ours, theirs)
        return
    size = decode_error(
        values.abs(), indices, weight.abs(), bias.abs(), -target.abs(), factor,
        backend="reference",
    )  # fmt: skip
    terms = problem.k + 4
    off = terms * U * size.g  # of g before it is rounded
    refuse("g", found.g, right.g, off + OURS * _eps(found.g) * right.g.abs() + _tiny(found.g))
    slack = _squares_slack(right.g / factor, off / factor)
    refuse("squares", found.squares, right.squares, slack)
    reach = gather_dot(off, indices, weight.abs(), backend="reference")
    size_of_dots = gather_dot(right.g.abs(), indices, weight.abs(), backend="reference")
    own = _sum_slack(size_of_dots, right.d_values, target.shape[1], found.d_values, OURS)
    refuse("d_values", found.d_values, right.d_values, reach * 1.01 + own)


def check_autoencoded(
    found: Autoencoded, problem: Problem, rows: Tensor, exact: bool = False
) -> None:
    """Raise WrongError unless those rows were decoded and compared with their inputs as they are.

    Args:
        found: of those rows.
        problem: with the latents found, `encoded`; `check_topk` says whether these are right.
        rows: (R,) int64.
        exact: whole numbers.
    """
    check_decode(found.recon, problem, rows, exact)
    values, indices, weight = _named(problem, rows)
    target, bias = problem.x[rows].double(), problem.b_dec.double()
    error = sparse_decode(values, indices, weight, bias, backend="reference") - target
    size = sparse_decode(values.abs(), indices, weight.abs(), bias.abs(), backend="reference")
    off = (0 if exact else problem.k + 4) * U * (size + target.abs())
    squares = error.square().sum(1)
    refuse("squares", found.squares, squares, _squares_slack(error, off))
    mean = problem.x.mean(0, dtype=torch.float64)
    reach = MEAN * (target.abs() + mean.abs()).square().sum(1)
    refuse("deviations", found.deviations, (target - mean).square().sum(1), reach)


def check_grads(
    found: tuple[Tensor, ...], problem: Problem, exact: bool = False, roundings: float = OURS
) -> None:
    """Raise WrongError unless dW_dec, dW_enc (L, D), and db_enc, fired if given, are right."""
    latents = _telling_latents(problem)
    names = torch.full((len(problem.W_enc),), -1, device=latents.device)
    names[latents] = torch.arange(len(latents), device=latents.device)
    indices = torch.where(problem.indices < 0, -1, names[problem.indices.clamp(min=0)])
    rows = (indices >= 0).any(1).nonzero().squeeze(1)
    parts = [t[rows].double() for t in (problem.values, problem.d_values)]
    sides = [t[rows].double() for t in (problem.x, problem.g)]
    indices = indices[rows]

    def reference(*tensors: Tensor) -> LatentGrads:
        values, d_values, x, g = tensors
        return latent_grads(
            values, d_values, indices, x, g, len(latents), backend="reference"
        )  # fmt: skip

    right = reference(*parts, *sides)
    size = reference(*(t.abs() for t in (*parts, *sides)))
    terms = int(torch.bincount(indices[indices >= 0], minlength=1).max()) + 2
    for name, ours, theirs, most in zip(right._fields, found, right, size, strict=False):
        if exact or name == "fired":
            refuse_unequal(name, ours[latents], theirs)
        else:
            slack = _sum_slack(most, theirs, terms, ours, roundings)
            refuse(name, ours[latents], theirs, slack)


def _telling_latents(problem: Problem) -> Tensor:
    """Return some latents: the first, the last, the busiest, an idle one, and others evenly."""
    count = len(problem.W_enc)
    fired = torch.bincount(problem.indices.flatten().clamp(min=0), minlength=count)
    telling = torch.stack([fired.argmax(), fired.argmin()])
    every: Tensor = torch.unique(torch.cat([telling, some(count, LATENTS, telling.device)]))
    return every


def _named(problem: Problem, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return values, indices and the decoder's rows that these name, in float64."""
    indices = problem.indices[rows]
    own, places = torch.unique(indices.clamp(min=0), return_inverse=True)
    local = torch.where(indices < 0, -1, places)
    return problem.values[rows].double(), local, problem.W_dec[own].double()


def _dots(x: Tensor, weight: Tensor, indices: Tensor) -> Tensor:
    """(R, k) float64: <x[n], weight[indices[n, j]]>, a row at a time."""
    rows = [weight[own].double() @ row.double() for row, own in zip(x, indices, strict=True)]
    return torch.stack(rows) if rows else x.new_zeros(indices.shape, dtype=torch.float64)


def _squares_slack(error: Tensor, off: Tensor) -> Tensor:
    """Return by how much sums (R,) of squares of errors (R, D) may be off, these being so."""
    own = (error.shape[1] + 2) * U * error.square().sum(1) * 1.01
    return own + (2 * error.abs() * off + off.square()).sum(1)


def _sum_slack(size: Tensor, right: Tensor, terms: int, result: Tensor, roundings: float) -> Tensor:
    """Return by how much sums may be off; peers may round their partial sums, too."""
    rounded = right.abs() if roundings == OURS else size
    return (terms + 3) * U * size + roundings * _eps(result) * rounded + _tiny(result)


def _eps(result: Tensor) -> float:
    return torch.finfo(result.dtype).eps


def _tiny(result: Tensor) -> float:
    """Return the distance of subnormal numbers, which have no relative precision."""
    return torch.finfo(result.dtype).tiny * torch.finfo(result.dtype).eps
