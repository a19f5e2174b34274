"""How far a scan that proposes may be from the float32 sum that decides: a proved bound.

Let s be the exact <x, w>, t what the scan computes and r the float32 sum of the re-score. Then
|t - r| <= |t - s| + |r - s|, and with P = sum |x_d w_d| <= |x| |w| (Cauchy-Schwarz):

- operands: TF32 keeps 10 bits of the 23 behind the point, and hardware may cut off the rest rather
  than round: each operand is off by at most 2^-10 of itself, a product by 2 * 2^-10 + 2^-20 of
  itself. Half-precision operands are exact, and so are all products in float32.
- the scan's sum: tensor cores align some products and the sum so far, cut off what is below the
  last bit of the largest, and do not round (Fasi, Higham, Mikaitis and Pranesh, Numerical behavior
  of NVIDIA tensor cores, PeerJ Comput. Sci. 7:e330, 2021). Adding b products costs at most b + 2
  units of 2^-23 of the largest partial sum, b >= 4 of them at a time: at most D * 1.5 * 2^-23 of
  P(1 + 2^-9) in all. D * 2^-22 is taken, as g / (1 - g) for what the errors do to one another.
- the re-score: D products and sums, in any order, each rounded once at most: D * 2^-24 of P,
  likewise (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1).
- the norms |x| and |w| are float32 sums themselves: D * 2^-24 of each.
- numbers below 2^-126 may count as zero: at most 2^-126 of each operand, each product and each
  partial sum. Norms are enlarged by sqrt(D) * 2^-50, whose products exceed that.

So r <= t + row_slack * latent_slack as float32 numbers, because rounding keeps order, and so with
the bias added to both. **A proposal's score is the right side: no latent's own score ranks above
its proposal.** Where a norm is above 2^60 or no number, sums could overflow and the bound says
nothing: then slack and proposal are NaN, rank first, and a row with too many of them is redone.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

TF32_OPERANDS = 2 * 2.0**-10 + 2.0**-20
LARGEST = 2.0**60  # norms up to this have no sums that overflow


class Slack(NamedTuple):
    """What a proposal adds to the score of row n and latent l: rows[n] * latents[l]."""

    rows: Tensor
    """(N,) float32."""
    latents: Tensor
    """(L,) float32."""


def slack_of(x: Tensor, weight: Tensor) -> Slack:
    """Return the bound for all rows of x (N, D) and of weight (L, D)."""
    factor = relative_error(x.shape[1], x.dtype)
    return Slack(_enlarged_norms(x) * factor, _enlarged_norms(weight))


def relative_error(dim: int, dtype: torch.dtype) -> float:
    """Return c of |t - r| <= c |x| |w|, for computed norms; NaN where nothing can be said."""
    operands = TF32_OPERANDS if dtype == torch.float32 else 0.0
    scan, score, norm = (_compounded(dim * unit) for unit in (2.0**-22, 2.0**-24, 2.0**-24))
    exact = operands + (1 + operands) * scan + score
    return exact * (1 + norm) ** 2 * (1 + 2.0**-18)  # and the roundings of this line and the slack


def _compounded(error: float) -> float:
    return error / (1 - error) if error < 0.5 else math.nan


def _enlarged_norms(matrix: Tensor) -> Tensor:
    norms = torch.linalg.vector_norm(matrix, dim=1, dtype=torch.float32)
    norms = norms + math.sqrt(matrix.shape[1]) * 2.0**-50
    return torch.where(norms <= LARGEST, norms, math.nan)
