"""The latents above their thresholds, and JumpReLU's straight-through gradients, place by place.

Rajamanoharan et al., arXiv 2407.14435, section 3. A score within half a bandwidth of its latent's
threshold matters for the threshold's gradient, whether or not it is above; no other score below the
threshold matters.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ...kernels.decode import csr_decode
from ...kernels.topk import linear_above
from ..training.architectures.thresholded import DENSE_SHARE
from .functional import as_autocast

SAMPLED_ROWS = 16


class Above(NamedTuple):
    """The scores of N tokens that matter: P places, by token."""

    row_offsets: Tensor
    """(N + 1,) int64, where each token's places begin."""
    indices: Tensor
    """(P,) int64, the latents."""
    scores: Tensor
    """(P,)."""
    thresholds: Tensor
    """(P,), those of the latents, in the dtype of the scores."""

    @property
    def tokens(self) -> Tensor:
        """(P,) int64."""
        counts = self.row_offsets.diff()
        every = torch.arange(len(counts), device=counts.device)
        return every.repeat_interleave(counts, output_size=len(self.indices))

    def decode(self, values: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Return the sums (N, D) of ``values`` (P,) times rows of ``weight`` (L, D), plus bias."""
        return csr_decode(self.row_offsets, self.indices, values.to(weight.dtype), weight, bias)


def encode_above(
    rows: Tensor, weight: Tensor, bias: Tensor, threshold: Tensor, bandwidth: float
) -> Above | None:
    """List the scores rows @ weight.T + bias above threshold - bandwidth / 2.

    Gradients flow to all but the bandwidth. Under autocast the product is made in its dtype.

    Args:
        rows: (N, D).
        weight: (L, D).
        bias: (L,).
        threshold: (L,).
        bandwidth: width of the window around each threshold.

    Returns:
        None where so many scores matter that plain products take less time: by a sample of rows,
        more than a tenth.
    """
    rows, weight, bias = as_autocast(rows, weight, bias)
    low = threshold.detach() - bandwidth / 2
    with torch.no_grad():
        sample = rows[:: max(len(rows) // SAMPLED_ROWS, 1)]
        share = (functional.linear(sample, weight, bias) > low).float().mean()
    if share > DENSE_SHARE:
        return None
    found = linear_above(rows, weight, bias, low)
    thresholds = threshold.index_select(0, found.indices).to(rows.dtype)
    return Above(found.row_offsets, found.indices, found.values, thresholds)


class _Jump(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, scores: Tensor, thresholds: Tensor, bandwidth: float, to_scores: bool
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(scores, thresholds)
        ctx.bandwidth, ctx.to_scores = bandwidth, to_scores
        steps = (scores > thresholds).to(scores.dtype)
        return scores * steps, steps

    @staticmethod
    def backward(ctx: Any, d_values: Tensor, d_steps: Tensor) -> tuple[Tensor | None, ...]:
        scores, thresholds = ctx.saved_tensors
        in_window = (scores - thresholds).abs() < ctx.bandwidth / 2
        through = in_window * (thresholds * d_values + d_steps) / ctx.bandwidth
        d_scores = (scores > thresholds) * d_values
        return d_scores + through if ctx.to_scores else d_scores, -through, None, None


def jump(
    scores: Tensor, thresholds: Tensor, bandwidth: float, to_scores: bool = False
) -> tuple[Tensor, Tensor]:
    """Return the values s [s > t] and the steps [s > t] of scores s and thresholds t.

    Within half a ``bandwidth`` of t, the step's gradient for t is -1 / bandwidth and the value's is
    -t / bandwidth, and 0 elsewhere. The value's gradient for s is [s > t], and the step's is 0;
    ``to_scores`` adds to both the negative of the gradient for t.
    """
    values, steps = _Jump.apply(  # type: ignore[no-untyped-call]
        scores, thresholds, bandwidth, to_scores
    )
    return values, steps
