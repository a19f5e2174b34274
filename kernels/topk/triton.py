"""The scans in Triton (GPU), after the scheme of a fused product and a certificate.

Fused: one kernel multiplies, and keeps of each row the best few keys of every group of consecutive
latents; a second one takes the k best of those. A row is proved if in every group the last key kept
is no better than the k-th best: what was not kept is worse still. Rows that are not proved are done
again with all their scores. Where the odds of that are poor (large k, few latents), all rows are
done so, some at a time. Nothing depends on the order in which programs run.

Scores are products of the inputs' own dtype summed in float32 (for float32: without TF32).
"""

from collections.abc import Sequence

import torch
import triton
from torch import Tensor

from ..launch import capturing, on_device, ready
from .triton_dense import dense_topk
from .triton_mutual import mutual_topk
from .triton_pairs import pairs_above
from .triton_scan import BAND, scan_groups, tile_for
from .triton_scheme import Scheme, choose_scheme
from .triton_select import best_of

__all__ = ["linear_topk", "mutual_topk", "pairs_above"]


def linear_topk(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    _packed: Sequence[Tensor],
    k: int,
    floor: Tensor,
    mask: Tensor | None,
    groups: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See api.linear_topk; floor (N,) float32. Values and indices (N, groups, k)."""
    latents = weight.shape[0] // groups
    left, right, floor = ready(x), ready(weight), ready(floor)
    bias = None if bias is None else ready(bias)
    values = left.new_empty((x.shape[0], groups, k), dtype=torch.float32)
    indices = torch.empty_like(values, dtype=torch.int64)
    redone = torch.zeros((), dtype=torch.int64, device=x.device)
    # Recording a CUDA graph, one cannot ask which rows were not proved.
    scheme = None if capturing() else choose_scheme(latents, k, tile_for(left.dtype).cols)
    with on_device(x):
        again: list[Tensor | slice]
        if scheme is None:
            again = [slice(None)] * groups
        else:
            proved = _fused(left, right, bias, mask, floor, scheme, values, indices)
            again = [(~proved[:, group]).nonzero().squeeze(1) for group in range(groups)]
            redone = (~proved).sum()
        for group, rows in enumerate(again):
            if isinstance(rows, Tensor) and not rows.numel():
                continue
            part = slice(group * latents, (group + 1) * latents)
            best = dense_topk(
                left[rows], right[part], None if bias is None else bias[part], k, floor[rows],
                None if mask is None else mask[part],
            )  # fmt: skip
            values[rows, group], indices[rows, group] = best
    return values.to(x.dtype), indices, torch.zeros_like(redone), redone


def _fused(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    floor: Tensor,
    scheme: Scheme,
    values: Tensor,
    indices: Tensor,
) -> Tensor:
    """Write values and indices (N, S, k); return which rows are proved, (N, S) bool."""
    rows, stacks, k = values.shape
    if rows == 0:
        return torch.ones((0, stacks), dtype=torch.bool, device=x.device)
    keys = best_of_groups(x, weight, bias, mask, floor, scheme, stacks)
    best_values, best_indices, proved = best_of(keys, k, scheme.kept)
    values.copy_(best_values.view(values.shape))
    indices.copy_(best_indices.view(indices.shape))
    return proved.view(rows, stacks)


def best_of_groups(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    floor: Tensor,
    scheme: Scheme,
    stacks: int,
) -> Tensor:
    """Return the candidates of each row and stack, (N * S, keys) int64, as `best_of` takes them."""
    rows, latents = x.shape[0], weight.shape[0] // stacks
    group_count = triton.cdiv(latents, scheme.group)
    keys = torch.empty(
        (rows * stacks, group_count * scheme.kept), dtype=torch.int64, device=x.device
    )
    tile = tile_for(x.dtype)
    grid = triton.cdiv(rows, tile.rows) * triton.cdiv(latents, tile.cols), stacks
    scan_groups[grid](
        x, weight, bias, None if mask is None else mask.contiguous(), floor, keys,
        rows, latents, x.shape[1], group_count,
        BLOCK_M=tile.rows, BLOCK_N=tile.cols, BLOCK_K=tile.depth,
        GROUP=scheme.group, KEPT=scheme.kept, BAND=BAND,
        num_warps=tile.warps, num_stages=tile.stages,
    )  # fmt: skip
    return keys
