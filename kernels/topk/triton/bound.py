"""Proves a bound: how far a proposing scan is from the float32 score that decides.

A proposing scan reads float32 inputs rounded to float16. Before that, they are scaled by a power of
two 2^n, so that the largest number is in [2^14, 2^15) (if |n| <= 63 allows that). Each row of x has
an n of its own, and all latents share one. The scores are scaled back, which is exact.

Let s be the exact <x, w>, t what the scan computes and r the float32 sum of the re-score. Then
|t - r| <= |t - s| + |r - s|, and with P = sum |x_d w_d| <= |x| |w| (Cauchy-Schwarz):

- operands: a number y of x becomes y (1 + d) + e, where |d| <= 2^-11 and, if |y 2^n| < 2^-14, d = 0
  and |e| <= E_x = 2^-25 2^-n. The d of both sides cost at most c = 2 * 2^-11 + 2^-22 of P. The e
  cost at most sqrt(D) (E_x |w| + E_w |x|) (1 + 2^-11) + D E_x E_w. The norms |x| and |w| are
  enlarged by sqrt(D) 2^11 E_x and sqrt(D) 2^11 E_w: c times their product then exceeds all of this.
  Products of two half-precision numbers are exact in float32.
- the scan's sum: tensor cores align some products and the sum so far, cut off what is below the
  last bit of the largest, and do not round (Fasi, Higham, Mikaitis and Pranesh, Numerical behavior
  of NVIDIA tensor cores, PeerJ Comput. Sci. 7:e330, 2021). To add b products costs at most b + 2
  units of 2^-23 of the largest partial sum, and they are added b >= 4 at a time: at most
  D * 1.5 * 2^-23 of P(1 + 2^-9) in all. We take g = D * 2^-22, as g / (1 - g), because each error
  also enlarges the later ones.
- the re-score: D products and sums, in any order, each rounded once at most: g = D * 2^-24 of P, as
  g / (1 - g) (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1).
- the norms |x| and |w| are float32 sums themselves: D * 2^-24 of each.
- numbers below 2^-126 may count as zero: at most 2^-126 of each operand, each product and each
  partial sum. Norms are enlarged by sqrt(D) * 2^-50, and the products of these exceed that.

So r <= t + row_slack * latent_slack as float32 numbers, because rounding keeps order. It still
holds with the bias added to both sides. **A proposal's score is the right side: no latent's own
score ranks above its proposal.** If a norm is above 2^60 or no number, sums could overflow and
there is no bound. Then slack and proposal are NaN, which rank first, and a row with too many of
them is computed again.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

HALF_OPERANDS = 2 * 2.0**-11 + 2.0**-22
LARGEST = 2.0**60  # norms up to this have no sums that overflow
MOST_SCALED = 63  # the largest |n|: the product of two matrices' scales is at least 2^-126


class Rough(NamedTuple):
    """Latents as a proposing scan reads them."""

    matrix: Tensor
    """(L, D) float16."""
    scale: Tensor
    """(1,) float32: the latents are about matrix * scale."""
    norms: Tensor
    """(L,) float32: the latents' norms, enlarged."""


class Slack(NamedTuple):
    """The proposal for a score t of row n and latent l: t * scale[n] + rows[n] * latents[l]."""

    rows: Tensor
    """(N,) float32."""
    latents: Tensor
    """(L,) float32."""
    scale: Tensor
    """(N,) float32."""


def rough(matrix: Tensor) -> Rough:
    """Return the latents, a contiguous matrix (L, D) float32, rounded for a proposing scan.

    rounding.py does the same for the rows of x.
    """
    norms = torch.linalg.vector_norm(matrix, dim=1)
    norms = norms + math.sqrt(matrix.shape[1]) * 2.0**-50
    norms = torch.where(norms <= LARGEST, norms, math.nan)
    one = norms.new_ones(1)
    if not matrix.numel():
        return Rough(matrix.half(), one, norms)
    largest = torch.linalg.vector_norm(matrix, math.inf, dim=1)
    largest = torch.where(norms <= LARGEST, largest, 0).amax(0, keepdim=True)
    _, exponent = torch.frexp(largest)  # largest is in [2^(exponent - 1), 2^exponent), or 0
    shift = (15 - exponent).clamp(-MOST_SCALED, MOST_SCALED)
    half = torch.empty_like(matrix, dtype=torch.float16)
    torch.mul(matrix, torch.ldexp(one, shift), out=half)
    scale = torch.ldexp(one, -shift)
    return Rough(half, scale, norms + math.sqrt(matrix.shape[1]) * 2.0**-14 * scale)


def packed_rough(packed: Sequence[Tensor]) -> Rough | None:
    """Return what `pack` made for a GPU, or None if it made nothing or something for a CPU."""
    return Rough(*packed) if packed and packed[0].dtype == torch.float16 else None


def relative_error(dim: int) -> float:
    """Return c of |t - r| <= c |x| |w|, for computed norms, or NaN if there is no bound."""
    scan, score, norm = (_compounded(dim * unit) for unit in (2.0**-22, 2.0**-24, 2.0**-24))
    exact = HALF_OPERANDS + (1 + HALF_OPERANDS) * scan + score
    # The last factor stands for the roundings of this line and of the slack.
    return exact * (1 + norm) ** 2 * (1 + 2.0**-18)


def _compounded(error: float) -> float:
    return error / (1 - error) if error < 0.5 else math.nan
