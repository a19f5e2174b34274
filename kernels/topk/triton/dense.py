"""Finds the k best of rows on a GPU from all their scores, for any k and any rows."""

import torch
import triton
from torch import Tensor

from .scan import INDEX_BITS, MISSING, score_all
from .select import MOST, ranked
from .tiles import BAND, full_tile

KEYS_AT_ONCE = 1 << 25  # the most keys of a chunk: 256 MiB


def dense_topk(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    k: int,
    floor: Tensor | None,
    mask: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Find the k best of each row from the keys of all latents, a chunk of rows at a time.

    Args:
        x: (R, D).
        weight: (L, D).
        bias: (L,) or None.
        k: 1 or more.
        floor: (R,) float32, or None for no floor.
        mask: (L,) bool, or None. Latents that are False are left out before the product.

    Returns:
        values (R, k) float32 and indices (R, k) int64; 0 and -1 in missing places.

    """
    values = torch.zeros((x.shape[0], k), dtype=torch.float32, device=x.device)
    indices = torch.full_like(values, -1, dtype=torch.int64)
    own = None
    if mask is not None:  # `own` ascends, so that ties still go to the lower index
        own = mask.nonzero().squeeze(1)
        weight, bias = weight[own], None if bias is None else bias[own]
    latents = weight.shape[0]
    most = min(k, latents)
    if most == 0:
        return values, indices
    step = max(1, KEYS_AT_ONCE // latents)
    for start in range(0, x.shape[0], step):
        rows = slice(start, min(x.shape[0], start + step))
        keys = _all_keys(x[rows], weight, bias, None if floor is None else floor[rows])
        scores, chosen = _best(keys, most)
        values[rows, :most] = scores
        named = chosen if own is None else own[chosen.clamp(min=0)]
        indices[rows, :most] = torch.where(chosen < 0, -1, named)
    return values, indices


def _best(keys: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k best scores and indices of each row's keys (R, L); 0 and -1 in missing places.

    Most calls redo a few rows. `ranked` takes 4 launches for that, and torch.topk 30.
    """
    if k <= MOST:
        scores, indices, _ = ranked(keys, k)
        return scores, indices
    # All keys except MISSING are distinct, so that torch.topk has no ties to break.
    return scores_and_indices(keys.topk(k, dim=1).values)


def _all_keys(x: Tensor, weight: Tensor, bias: Tensor | None, floor: Tensor | None) -> Tensor:
    rows, latents = x.shape[0], weight.shape[0]
    keys = torch.empty((rows, latents), dtype=torch.int64, device=x.device)
    tile = full_tile("linear_topk", x.dtype)
    grid = (triton.cdiv(rows, tile.rows) * triton.cdiv(latents, tile.cols),)
    score_all[grid](
        x, weight, bias, floor, keys, rows, latents, x.shape[1],
        BLOCK_M=tile.rows, BLOCK_N=tile.cols, BLOCK_K=tile.depth, BAND=BAND,
        num_warps=tile.warps, num_stages=tile.stages,
    )  # fmt: skip
    return keys


def scores_and_indices(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Return the float32 scores and int64 indices of keys; 0 and -1 for MISSING."""
    order = (keys >> 32).to(torch.int32)
    scores = (order ^ ((order >> 31) & INDEX_BITS.value)).view(torch.float32)
    indices = INDEX_BITS.value - (keys & INDEX_BITS.value)
    missing = keys == MISSING
    return scores.masked_fill(missing, 0), indices.masked_fill(missing, -1)
