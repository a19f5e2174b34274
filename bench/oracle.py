"""Compares results of the kernels with the float64 reference, within the bounds of rounding.

A sum of n float32 terms in any order is off by at most n u times the sum of their magnitudes
(Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1; u = 2^-24). For long
dot products this bound would hide the rounding of TF32, so their bound is `score_rounding`, which
grows with sqrt(D). Results of a half dtype are rounded once more, at the end.

Only some rows (or latents) of a large problem are compared; the first and the last are among them.
"""

import torch
from torch import Tensor

from ..kernels.autoencode import Autoencoded
from ..kernels.decode import DecodedError, decode_error, gather_dot, sparse_decode
from ..kernels.grads import LatentGrads, latent_grads
from ..kernels.topk import linear_topk
from .problem import Problem
from .refuse import WrongResultError, refuse, refuse_unequal, score_rounding

U = 2.0**-24
MEAN = 1e-5  # relative error allowed in deviations from a mean over rows
ROWS = 48  # how many rows of a problem are compared
LATENTS = 16  # how many latents of a problem are compared, beside the most and least active
CHUNK_BYTES = 1 << 29  # size of the part of a weight that is converted to float64 at a time
OWN_ROUNDINGS, PEER_ROUNDINGS = (
    0.5,
    4.0,
)  # ulps: ours are rounded once at the end, those of peers on the way too


def some(count: int, most: int, device: torch.device) -> Tensor:
    """Return up to ``most`` of the places 0 to count - 1, evenly, with the first and the last."""
    chosen = min(count, most)
    return torch.linspace(0, max(0, count - 1), chosen, device=device, dtype=torch.float64).long()


def scores(x: Tensor, weight: Tensor) -> Tensor:
    """Return x @ weight.T in float64, (R, L); the weight (L, D) is converted in chunks."""
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
    """Return the k best of the rows x (R, D) by the float64 reference, weight (L, D) in chunks."""
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
    roundings: float = OWN_ROUNDINGS,
) -> None:
    """Refuse values and indices (R, k) that are not the best of their rows up to rounding.

    A score that is off by e moves the j-th best score of its row by at most e. So the values must
    be near the expected ones, and near the scores of the latents named, and no latent is repeated.

    Raises:
        WrongResultError: they are not.
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
        raise WrongResultError(f"{repeated:,} latents are named twice in their rows")


def check_decode(
    out: Tensor,
    problem: Problem,
    rows: Tensor,
    exact: bool = False,
    roundings: float = OWN_ROUNDINGS,
) -> None:
    """Raise WrongResultError unless out (R, D) is the result of sparse_decode for those rows."""
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
    """Raise WrongResultError unless out (R, k) is gather_dot(g, indices, W_dec) of those rows."""
    _, indices, weight = _named(problem, rows)
    left = problem.g[rows].double()
    right = gather_dot(left, indices, weight, backend="reference")
    if exact:
        refuse_unequal("the dot products", out, right)
        return
    size = gather_dot(left.abs(), indices, weight.abs(), backend="reference")
    slack = _sum_slack(size, right, left.shape[1], out, OWN_ROUNDINGS)
    refuse("the dot products", out, right, slack)


def check_error(
    found: DecodedError, problem: Problem, scale: Tensor, rows: Tensor, exact: bool = False
) -> None:
    """Raise WrongResultError unless this is the result of decode_error for those rows of x."""
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
    refuse(
        "g", found.g, right.g, off + OWN_ROUNDINGS * _eps(found.g) * right.g.abs() + _tiny(found.g)
    )
    slack = _squares_slack(right.g / factor, off / factor)
    refuse("squares", found.squares, right.squares, slack)
    reach = gather_dot(off, indices, weight.abs(), backend="reference")
    size_of_dots = gather_dot(right.g.abs(), indices, weight.abs(), backend="reference")
    own = _sum_slack(size_of_dots, right.d_values, target.shape[1], found.d_values, OWN_ROUNDINGS)
    refuse("d_values", found.d_values, right.d_values, reach * 1.01 + own)


def check_autoencoded(
    found: Autoencoded, problem: Problem, rows: Tensor, exact: bool = False
) -> None:
    """Raise WrongResultError unless reconstruction, squares and deviations of those rows are right.

    Args:
        found: the result for those rows.
        problem: has the latents found (`encoded`); `check_topk` says whether these are right.
        rows: (R,) int64.
        exact: whether all numbers are whole, so that float32 does not round.
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
    found: tuple[Tensor, ...],
    problem: Problem,
    exact: bool = False,
    roundings: float = OWN_ROUNDINGS,
) -> None:
    """Raise WrongResultError unless the sums of gradients are right.

    Args:
        found: dW_dec, dW_enc (L, D), and, if given, db_enc and fired (L,).
        problem: the latents and the gradients that were summed.
        exact: whether all numbers are whole, so that float32 does not round.
        roundings: `OWN_ROUNDINGS` or `PEER_ROUNDINGS`.
    """
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
        return latent_grads(values, d_values, indices, x, g, len(latents), backend="reference")

    right = reference(*parts, *sides)
    size = reference(*(t.abs() for t in (*parts, *sides)))
    terms = int(torch.bincount(indices[indices >= 0], minlength=1).max()) + 2
    for name, ours, theirs, most in zip(right._fields, found, right, size, strict=False):
        if exact or name == "fired":
            refuse_unequal(name, ours[latents], theirs)
        else:
            slack = _sum_slack(most, theirs, terms, ours, roundings)
            refuse(name, ours[latents], theirs, slack)


def check_pairs(
    a: Tensor,
    b: Tensor,
    pairs: tuple[Tensor, Tensor],
    least: Tensor,
    slack: float,
    tiles: Tensor | None,
) -> None:
    """Raise WrongResultError unless the right pairs of some rows are listed.

    Args:
        a: (R, D).
        b: (C, D).
        pairs: rows and columns of the pairs found, (P,) int64 each.
        least: (C,) float64; a pair is listed if its score is larger.
        slack: how far rounding may move a score.
        tiles: (T, 4) as `pairs_above` takes them, or None.
    """
    rows = some(len(a), ROWS, a.device)
    above = scores(a[rows], b) - least  # (R, C)
    inside = torch.ones_like(above, dtype=torch.bool) if tiles is None else _inside(rows, b, tiles)
    place = torch.full((len(a),), -1, device=a.device)
    place[rows] = torch.arange(len(rows), device=a.device)
    own = place[pairs[0]] >= 0
    listed = torch.zeros_like(inside)
    listed[place[pairs[0][own]], pairs[1][own]] = True
    missing = int((inside & (above > slack) & ~listed).sum())
    extra = int((listed & ~(inside & (above > -slack))).sum())
    if missing or extra:
        raise WrongResultError(
            f"of {len(rows)} rows {missing:,} pairs are missing and {extra:,} are too many"
        )


def _telling_latents(problem: Problem) -> Tensor:
    """Return some latents: evenly spaced ones, and the most and the least active one."""
    count = len(problem.W_enc)
    fired = torch.bincount(problem.indices.flatten().clamp(min=0), minlength=count)
    telling = torch.stack([fired.argmax(), fired.argmin()])
    every: Tensor = torch.unique(torch.cat([telling, some(count, LATENTS, telling.device)]))
    return every


def _named(problem: Problem, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return values, indices, and the rows of the decoder that the indices name, in float64."""
    indices = problem.indices[rows]
    own, places = torch.unique(indices.clamp(min=0), return_inverse=True)
    local = torch.where(indices < 0, -1, places)
    return problem.values[rows].double(), local, problem.W_dec[own].double()


def _dots(x: Tensor, weight: Tensor, indices: Tensor) -> Tensor:
    """Return <x[n], weight[indices[n, j]]>, (R, k) float64, computed row by row."""
    rows = [weight[own].double() @ row.double() for row, own in zip(x, indices, strict=True)]
    return torch.stack(rows) if rows else x.new_zeros(indices.shape, dtype=torch.float64)


def _squares_slack(error: Tensor, off: Tensor) -> Tensor:
    """Return by how much sums (R,) of squares of errors (R, D) may be off, if those are off."""
    own = (error.shape[1] + 2) * U * error.square().sum(1) * 1.01
    return own + (2 * error.abs() * off + off.square()).sum(1)


def _sum_slack(size: Tensor, right: Tensor, terms: int, result: Tensor, roundings: float) -> Tensor:
    """Return by how much sums may be off; peers may round their partial sums too."""
    rounded = right.abs() if roundings == OWN_ROUNDINGS else size
    return (terms + 3) * U * size + roundings * _eps(result) * rounded + _tiny(result)


def _eps(result: Tensor) -> float:
    return torch.finfo(result.dtype).eps


def _tiny(result: Tensor) -> float:
    """Return the distance between subnormal numbers, which have no relative precision."""
    return torch.finfo(result.dtype).tiny * torch.finfo(result.dtype).eps


def _inside(rows: Tensor, b: Tensor, tiles: Tensor) -> Tensor:
    """Return (R, C) bool: which pairs of those rows lie in a tile."""
    cols = torch.arange(len(b), device=b.device)
    inside = torch.zeros((len(rows), len(b)), dtype=torch.bool, device=b.device)
    for row_start, row_stop, col_start, col_stop in tiles:
        of_rows = (rows >= row_start) & (rows < row_stop)
        of_cols = (cols >= col_start) & (cols < col_stop)
        inside |= of_rows[:, None] & of_cols
    return inside
