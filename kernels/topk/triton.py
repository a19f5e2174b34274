"""The scans in Triton (GPU), after the scheme of a fused product and a certificate.

Fused: one kernel multiplies, and keeps of each row the best few keys of every group of consecutive
latents; a second one takes the k best of those. A row is proved if in every group the last key kept
is no better than the k-th best: what was not kept is worse still. Rows that are not proved are done
again with all their scores. Where the odds of that are poor (large k, few latents), all rows are
done so, some at a time. Nothing depends on the order in which programs run.

Scores are products of the inputs' own dtype summed in float32 (for float32: without TF32).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import triton
from torch import Tensor

from ..launch import capturing, on_device, ready
from .triton_scan import BAND, INDEX_BITS, MISSING, scan_groups, score_all, tile_for
from .triton_select import MOST, best_of

KEYS_AT_ONCE = 1 << 25  # of the dense route: 256 MiB
TOLERATED = 2e-3  # share of rows that may be expected to need a second pass


@dataclass(frozen=True)
class Scheme:
    """Of how many consecutive latents how many keys are kept."""

    group: int
    kept: int

    def odds(self, latents: int, k: int) -> float:
        """Return how likely a row is not proved, if its k best lie anywhere.

        The expected number of sets of `kept` among the k best that share a group.
        """
        groups = triton.cdiv(latents, self.group)
        return math.comb(k, self.kept) / groups ** (self.kept - 1)


SCHEMES = (Scheme(128, 4), Scheme(64, 4), Scheme(128, 8), Scheme(64, 8))  # the cheapest first


def choose_scheme(latents: int, k: int) -> Scheme | None:
    """Return the cheapest scheme that proves nearly all rows; None if all should be done densely."""
    if k > MOST:
        return None
    good = (scheme for scheme in SCHEMES if scheme.odds(latents, k) <= TOLERATED)
    return next(good, None)


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
    scheme = None if capturing() else choose_scheme(latents, k)
    with on_device(x):
        again: list[Tensor | slice]
        if scheme is None:
            again = [slice(None)] * groups
        else:
            proved = _fused(left, right, bias, mask, floor, scheme, values, indices)
            again = [(~proved[:, group]).nonzero().squeeze(1) for group in range(groups)]
            redone = (~proved).sum()
        for group, rows in enumerate(again):
            part = slice(group * latents, (group + 1) * latents)
            best = _dense(
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
    latents = weight.shape[0] // stacks
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
    best_values, best_indices, proved = best_of(keys, k, scheme.kept)
    values.copy_(best_values.view(values.shape))
    indices.copy_(best_indices.view(indices.shape))
    return proved.view(rows, stacks)


def _dense(
    x: Tensor, weight: Tensor, bias: Tensor | None, k: int, floor: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the k best (values, indices) of each row, (R, k), from the keys of all latents."""
    values = torch.zeros((x.shape[0], k), dtype=torch.float32, device=x.device)
    indices = torch.full_like(values, -1, dtype=torch.int64)
    own = None
    if mask is not None:  # ascends, so that ties still go to the lower index
        own = mask.nonzero().squeeze(1)
        weight, bias = weight[own], None if bias is None else bias[own]
    latents = weight.shape[0]
    most = min(k, latents)
    if most == 0:
        return values, indices
    step = max(1, KEYS_AT_ONCE // latents)
    for start in range(0, x.shape[0], step):
        rows = slice(start, min(x.shape[0], start + step))
        # Keys are distinct where it matters: torch.topk has no ties to break its own way.
        best = _all_keys(x[rows], weight, bias, floor[rows]).topk(most, dim=1).values
        scores, chosen = _scores_and_indices(best)
        values[rows, :most] = scores
        named = chosen if own is None else own[chosen.clamp(min=0)]
        indices[rows, :most] = torch.where(chosen < 0, -1, named)
    return values, indices


def _all_keys(x: Tensor, weight: Tensor, bias: Tensor | None, floor: Tensor) -> Tensor:
    rows, latents = x.shape[0], weight.shape[0]
    keys = torch.empty((rows, latents), dtype=torch.int64, device=x.device)
    tile = tile_for(x.dtype)
    grid = (triton.cdiv(rows, tile.rows) * triton.cdiv(latents, tile.cols),)
    score_all[grid](
        x, weight, bias, floor, keys, rows, latents, x.shape[1],
        BLOCK_M=tile.rows, BLOCK_N=tile.cols, BLOCK_K=tile.depth, BAND=BAND,
        num_warps=tile.warps, num_stages=tile.stages,
    )  # fmt: skip
    return keys


def _scores_and_indices(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Take keys apart: float32 scores and int64 indices, 0 and -1 for MISSING."""
    order = (keys >> 32).to(torch.int32)
    scores = (order ^ ((order >> 31) & INDEX_BITS.value)).view(torch.float32)
    indices = INDEX_BITS.value - (keys & INDEX_BITS.value)
    missing = keys == MISSING
    return scores.masked_fill(missing, 0), indices.masked_fill(missing, -1)
