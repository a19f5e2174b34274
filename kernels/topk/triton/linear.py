"""linear_topk in Triton, on a GPU: a fused product and selection, and a proof for each row.

One kernel multiplies. For each row it keeps the best few keys of every group of consecutive
latents. A second kernel takes the best of those. A row is proved if in every group the last key
that was kept is no better than the k-th best key: all keys that were not kept are worse still. Rows
that are not proved are computed again with all their scores. If that is likely for many rows (a
large k, few latents), all rows are computed so. Nothing depends on the order in which programs run.

Half-precision inputs are multiplied exactly and summed in float32, and the scan's scores are the
result's. Float32 inputs are scanned in float16, which only proposes. A float32 score of each
proposal decides. The keys of proposals include a slack, so that the proof holds for float32 scores
(bound.py). A score has the same bits whether its row is proved or computed again.

In a CUDA graph a fixed number of rows is computed again (dense.rows_again). If more are not proved,
the values of the others are NaN.
"""

import math

import torch
from torch import Tensor

from ...launch import capturing, on_device, ready, two_counts
from ..interface import LinearTopKInputs, Ranked
from .blocks import chosen_blocks
from .dense import dense_topk, first_call, rows_again
from .mutual import mutual_topk
from .pairs import pairs_above
from .plan import plan_for
from .rescore import Scores
from .select import rank

__all__ = ["linear_topk", "mutual_topk", "pairs_above"]


def linear_topk(inputs: LinearTopKInputs) -> Ranked:
    """See api.linear_topk."""
    x, bias, mask, k, groups = inputs.x, inputs.bias, inputs.mask, inputs.k, inputs.groups
    scores = Scores(
        ready(x), ready(inputs.weight), None if bias is None else ready(bias),
        None if mask is None else mask.contiguous(), ready(inputs.floor), groups,
    )  # fmt: skip
    values = scores.x.new_empty((x.shape[0], groups, k))
    indices = torch.empty_like(values, dtype=torch.int64)
    scored, redone = two_counts(x.device)
    with on_device(x):
        plan = plan_for("linear_topk", scores.x, scores.latents, k, mask is not None)
        if plan is None:
            for stack in range(groups):
                _compute(scores, stack, None, values, indices)
        else:
            proved = torch.empty((x.shape[0], groups), dtype=torch.bool, device=x.device)
            for block in chosen_blocks(scores, k, plan, inputs.packed, scored):
                own = block.rows, block.stacks
                rank(block.keys, block.unseen, k, values[own], indices[own], proved[own], redone)
                del block
            first = first_call(scores, k)
            # This is the only number that a call waits for.
            if capturing(x) or int(redone) or first:
                for stack in range(groups):
                    rows, lost = rows_again(proved[:, stack], first)
                    _compute(scores, stack, rows, values, indices)
                    if lost is not None:
                        values[:, stack].masked_fill_(lost[:, None], math.nan)
    return values.to(x.dtype), indices, scored, redone


def _compute(
    scores: Scores, stack: int, rows: Tensor | None, values: Tensor, indices: Tensor
) -> None:
    """Write some rows' results in a stack from all their scores; None for all rows."""
    for part, best, names in dense_topk(scores, stack, values.shape[2], rows):
        values[part, stack] = best.to(values.dtype)
        indices[part, stack] = names
