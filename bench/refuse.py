"""Refuses wrong results: they are compared before anything is timed."""

import math

import torch
from torch import Tensor


class WrongResultError(RuntimeError):
    """A result is wrong, so its time means nothing; the message says by how much it is off."""


def refuse(what: str, found: Tensor, expected: Tensor, allowed: Tensor | float) -> None:
    """Raise an error if two results differ by more than is allowed, or if either holds a NaN.

    Args:
        what: names the result in the message.
        found: any shape.
        expected: the same shape.
        allowed: the largest difference: one number, or one for each number of ``expected``.

    Raises:
        WrongResultError: the shapes or the numbers differ.
    """
    if found.shape != expected.shape:
        raise WrongResultError(
            f"{what}: shape {tuple(found.shape)} instead of {tuple(expected.shape)}"
        )
    off = (found.double() - expected.double()).abs()
    excess = off - allowed
    bad = ~(excess <= 0)
    if bad.any():
        place = int(excess.nan_to_num(nan=torch.inf).argmax())
        worst = float(off.flatten()[place])
        limits = torch.as_tensor(allowed, dtype=torch.float64, device=off.device).expand_as(off)
        limit = float(limits.flatten()[place])
        raise WrongResultError(
            f"{what}: {int(bad.sum()):,} of {bad.numel():,} numbers are off, the worst by "
            f"{worst:.3g} where {limit:.3g} is allowed"
        )


def score_rounding(left: Tensor, right: Tensor, bias: Tensor | None = None) -> float:
    """Bound the rounding of the float32 scores left @ right.T + bias.

    Each of D roundings is at most 2^-24 of the largest partial sum. They have either sign, so
    their sum is about sqrt(D) of them. The bound is four times that: two results are compared, and
    each may be twice as far off.

    Args:
        left: (N, D).
        right: (L, D).
        bias: (L,) or None.

    Returns:
        The largest difference that rounding explains.
    """
    largest = float(left.norm(dim=1).max() * right.norm(dim=1).max())
    if bias is not None:
        largest += float(bias.abs().max())
    return 2 * 2.0**-23 * math.sqrt(left.shape[1]) * largest
