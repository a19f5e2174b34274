"""linear_topk in Triton, on a GPU: a fused product and selection, and a proof for each row.

One kernel multiplies. For each row it keeps the best few keys of every group of consecutive
latents. A second kernel takes the best of those. A row is proved if in every group the last key
that was kept is no better than the k-th best key: all keys that were not kept are worse still. Rows
that are not proved are computed again with all their scores. If that is likely for many rows (a
large k, few latents), all rows are computed so, some at a time. Nothing depends on the order in
which programs run.

Half-precision inputs are multiplied exactly and summed in float32, and the scan's scores are the
result's. Float32 inputs are scanned in float16, which only proposes. A float32 score of each
proposal decides. The keys of proposals include a slack, so that the proof holds for float32 scores
(bound.py). A score has the same bits whether its row is proved or computed again.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
import triton
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from ...launch import capturing, describable, on_device, ready
from ..interface import LinearTopKInputs, Ranked
from .bound import packed_rough, rough, slack_of
from .dense import dense_topk
from .mutual import mutual_topk
from .pairs import pairs_above
from .plan import plan_for
from .rescore import Chosen, Scores, keys_of_proposals
from .scan import scan_groups
from .scheme import Scheme
from .select import choose, ranked
from .tiles import BAND, Tile

__all__ = ["linear_topk", "mutual_topk", "pairs_above"]


def linear_topk(inputs: LinearTopKInputs) -> Ranked:
    """See api.linear_topk."""
    x, bias, mask, k, groups = inputs.x, inputs.bias, inputs.mask, inputs.k, inputs.groups
    floor = ready(inputs.floor)
    scores = Scores(
        ready(x), ready(inputs.weight), None if bias is None else ready(bias),
        None if mask is None else mask.contiguous(), floor, groups,
    )  # fmt: skip
    values = scores.x.new_empty((x.shape[0], groups, k), dtype=torch.float32)
    indices = torch.empty_like(values, dtype=torch.int64)
    survivors, redone = torch.zeros((2,), dtype=torch.int64, device=x.device).unbind()
    again: list[Tensor | slice] = [slice(None)] * groups
    with on_device(x):
        chosen = chosen_keys(scores, k, inputs.packed)
        if chosen is not None:
            best_values, best_indices, least = ranked(chosen.keys, k)
            values.copy_(best_values.view(values.shape))
            indices.copy_(best_indices.view(indices.shape))
            proved = (chosen.unseen <= least).view(-1, groups)
            again = [(~proved[:, group]).nonzero().squeeze(1) for group in range(groups)]
            survivors, redone = chosen.rescored, (~proved).sum()
        for group, rows in enumerate(again):
            if isinstance(rows, Tensor) and not rows.numel():
                continue
            part = slice(group * scores.latents, (group + 1) * scores.latents)
            values[rows, group], indices[rows, group] = dense_topk(
                scores.x[rows], scores.weight[part],
                None if scores.bias is None else scores.bias[part], k, floor[rows],
                None if scores.mask is None else scores.mask[part],
            )  # fmt: skip
    return values.to(x.dtype), indices, survivors.clone(), redone.clone()


def chosen_keys(scores: Scores, k: int, packed: Sequence[Tensor]) -> Chosen | None:
    """Find keys that include the k best of nearly all rows.

    A row is proved if `unseen` is no better than the least of its k best. The caller computes all
    scores of the other rows, or of all rows if this returns None. It does so if too few rows would
    be proved, and while a CUDA graph is recorded, because nothing can then tell which rows are not.
    """
    plan = None if capturing() else plan_for("linear_topk", scores.x, scores.latents, k)
    if plan is None:
        return None
    if plan.decides:
        chosen, unseen = choose(_fused_keys(scores, plan.scheme, plan.tile), k, plan.scheme.kept)
        return Chosen(chosen, unseen, unseen.new_zeros(()))
    rows, latents = rough(scores.x), packed_rough(packed) or rough(scores.weight)
    slack = slack_of(rows, latents, scores.x.dtype)
    proposing = replace(scores, x=rows.matrix, weight=latents.matrix, slack=slack)
    keys = _fused_keys(proposing, plan.scheme, plan.tile)
    return keys_of_proposals(keys, plan.scheme.kept, k, scores)


def _fused_keys(scores: Scores, scheme: Scheme, tile: Tile) -> Tensor:
    """Return each row's best keys of every group, (N * S, groups * kept)."""
    rows, latents = scores.x.shape[0], scores.latents
    group_count = triton.cdiv(latents, scheme.group)
    keys = torch.empty(
        (rows * scores.stacks, group_count * scheme.kept),
        dtype=torch.int64, device=scores.x.device,
    )  # fmt: skip
    grid = triton.cdiv(rows, tile.rows) * triton.cdiv(latents, tile.cols), scores.stacks
    described = tile.described and all(describable(t) for t in (scores.x, scores.weight))
    matrices = [scores.x, scores.weight, None, None]
    if described:
        x = TensorDescriptor.from_tensor(scores.x, [tile.rows, tile.depth])
        weight = TensorDescriptor.from_tensor(scores.weight, [tile.cols, tile.depth])
        matrices = [None, None, x, weight]
    scan_groups[grid](
        *matrices, *(scores.slack or (None,) * 3), scores.bias, scores.mask, scores.floor,
        keys, rows, latents, scores.x.shape[1], group_count,
        BLOCK_M=tile.rows, BLOCK_N=tile.cols, BLOCK_K=tile.depth,
        GROUP=scheme.group, KEPT=scheme.kept, BAND=BAND,
        num_warps=tile.warps, num_stages=tile.stages,
    )  # fmt: skip
    return keys
