"""Times threshold encoding (ReLU, JumpReLU): from inputs to the scores above their thresholds."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..kernels.topk import CSR, linear_above, pack
from .encode import PACKED, TORCH
from .inputs import Inputs
from .measurement import OURS, PRODUCT, Measurement, Task, measure, scan_note
from .refuse import WrongResultError, refuse, score_rounding

SAMPLE = 256  # tokens from which the threshold is found

Scores = tuple[Tensor, Tensor, Tensor]
"""Row offsets (N + 1,), latents (P,) and scores (P,)."""


@torch.no_grad()
def bench_above(inputs: Inputs, rounds: int) -> list[Measurement]:
    """Time `linear_above`, its weight packed in each call or beforehand, and torch's own ops.

    About k scores of a token are above the threshold, k of the inputs' shape.

    Raises:
        WrongResultError: our result is wrong.
    """
    x, sae, k = inputs.x, inputs.sae, inputs.sae.config.k
    weight, packed = sae.encoder.weight.detach(), pack(sae.encoder.weight.detach())  # (L, D)
    bias = sae.encoder.bias - weight @ sae.b_dec  # (L,)
    sample = x[:SAMPLE] @ weight.T + bias
    share = max(1, k * len(sample))
    threshold = sample.flatten().topk(share).values[-1].expand(len(weight)).contiguous()
    ways: dict[str, Callable[[], Scores]] = {
        OURS: lambda: _scores(linear_above(x, weight, bias, threshold)),
        PACKED: lambda: _scores(linear_above(x, packed, bias, threshold)),
        TORCH: lambda: _dense(x, weight, bias, threshold),
    }
    stats = linear_above(x, packed, bias, threshold).stats
    for name in (OURS, PACKED):
        _check(name, ways[name](), x, weight, bias, threshold)
    task = Task("above", inputs.shape.sizes, inputs.source, 2 * x.numel() * len(weight))
    measured = measure(task, ways | {PRODUCT: lambda: x @ weight.T}, rounds)
    return _with_notes(measured, scan_note(stats, len(x)))


def _scores(found: CSR) -> Scores:
    return found.row_offsets, found.indices, found.values


def _dense(x: Tensor, weight: Tensor, bias: Tensor, threshold: Tensor) -> Scores:
    scores = torch.addmm(bias, x, weight.T)
    above = scores > threshold
    counts = above.sum(1).cumsum(0)
    return torch.cat([counts.new_zeros(1), counts]), above.nonzero()[:, 1], scores[above]


def _check(
    name: str, found: Scores, x: Tensor, weight: Tensor, bias: Tensor, threshold: Tensor
) -> None:
    """Compare with all scores; those very near the threshold may be on either side."""
    row_offsets, indices, values = found
    scores = torch.addmm(bias, x, weight.T)
    allowed = score_rounding(x, weight, bias)
    rows = torch.repeat_interleave(torch.arange(len(x)), row_offsets.diff())
    refuse(f"above, {name}: the scores", values, scores[rows, indices], allowed)
    listed = torch.zeros_like(scores, dtype=torch.bool)
    listed[rows, indices] = True
    wrong = (listed != (scores > threshold)) & ((scores - threshold).abs() > allowed)
    if wrong.any():
        raise WrongResultError(f"above, {name}: {int(wrong.sum()):,} scores are on the wrong side")


def _with_notes(measured: Sequence[Measurement], scan: str) -> list[Measurement]:
    seconds = {one.way: one.seconds for one in measured}
    return [
        replace(one, notes=[f"{seconds[TORCH] / one.seconds:.2f}x torch", scan])
        if one.way in (OURS, PACKED)
        else one
        for one in measured
    ]
