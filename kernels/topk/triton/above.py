"""linear_above in Triton, on a GPU: tiles append to one list, which is sorted afterwards.

Half-precision scores are decided by the scan, which writes them to the list. Float32 inputs are
scanned in float16: the list then holds every pair whose score with its slack (bound.py) is above
its threshold, and a float32 score of each decides. If the list is too short, it is made again, as
long as it must be.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...launch import capturing, on_device, ready
from ..interface import Above, LinearAboveInputs
from .bound import Slack, packed_rough, rough
from .pairs import DEPTH, PAIRS, ROOM, WARPS, append, quarters, scores_of_pairs
from .rounding import rounded
from .scan import scores_of_tile, tile_of_program, with_slack
from .tiles import BAND, Tile, full_tile, scan_tile

EACH_ROW = 64  # a list has room for this many of each row at first, and ROOM more


@triton.jit(do_not_specialize=["capacity", "row_count"])
def list_above(
    x_ptr, weight_ptr, row_slack_ptr, latent_slack_ptr, scale_ptr, bias_ptr, threshold_ptr,
    pairs_ptr, scores_ptr, count_ptr, capacity, row_count, latents, dim,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, BAND: tl.constexpr,
):  # fmt: skip
    """Append row * L + latent of every score above its threshold; the order is not defined.

    Args:
        x_ptr: (N, D); weight_ptr: (L, D).
        row_slack_ptr: (N,) float32; latent_slack_ptr: (L,) float32; scale_ptr: (N,) float32: see
            bound.Slack. All are None without slack.
        bias_ptr: (L,) or None; threshold_ptr: (L,) float32.
        pairs_ptr: (capacity,) int64, written; scores_ptr: (capacity,) float32, written, or None.
        count_ptr: (1,) int64, added to: how many scores there are, also beyond the capacity.
        capacity: how many places the lists have.
        row_count: N; latents: L; dim: D.

    """
    row_tiles, col_tiles = tl.cdiv(row_count, BLOCK_M), tl.cdiv(latents, BLOCK_N)
    row_tile, col_tile = tile_of_program(tl.program_id(0), row_tiles, col_tiles, BAND)
    rows = row_tile.to(tl.int64) * BLOCK_M + tl.arange(0, BLOCK_M)
    cols = col_tile * BLOCK_N + tl.arange(0, BLOCK_N)
    row_inside, col_inside = rows < row_count, cols < latents
    scores = scores_of_tile(
        x_ptr, weight_ptr, rows, cols, row_count, latents, dim, BLOCK_M, BLOCK_N, BLOCK_K
    )
    scores = with_slack(
        scores, row_slack_ptr, latent_slack_ptr, scale_ptr, rows, cols, row_inside, col_inside
    )
    if bias_ptr is not None:
        scores += tl.load(bias_ptr + cols, mask=col_inside, other=0.0).to(tl.float32)[None, :]
    limit = tl.load(threshold_ptr + cols, mask=col_inside, other=0.0)[None, :]
    above = (scores > limit) | (scores != scores)
    above = (above & row_inside[:, None] & col_inside[None, :]).to(tl.int8)
    if tl.max(tl.max(above, 1), 0) > 0:
        # One quarter at a time takes a quarter of the registers.
        QUARTER: tl.constexpr = BLOCK_N // 4
        parts, above_parts = quarters(scores), quarters(above)
        for part in tl.static_range(4):
            append(
                parts[part], above_parts[part], None, None, None, pairs_ptr, scores_ptr, count_ptr,
                capacity, rows,
                col_tile * BLOCK_N + part * QUARTER + tl.arange(0, QUARTER), latents,
            )  # fmt: skip


@triton.jit(do_not_specialize=["count"])
def score_listed(
    x_ptr, weight_ptr, bias_ptr, threshold_ptr, pairs_ptr, scores_ptr, above_ptr,
    count, latents, dim,
    BLOCK_P: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """Write the float32 scores of listed pairs, and which are above their thresholds.

    Args:
        x_ptr: (N, D); weight_ptr: (L, D); bias_ptr: (L,) or None; threshold_ptr: (L,) float32.
        pairs_ptr: (count,) int64: row * L + latent.
        scores_ptr: (count,) float32, written; above_ptr: (count,) int8, written: 0 or 1.
        count: how many pairs there are; latents: L; dim: D.

    """
    place = tl.program_id(0).to(tl.int64) * BLOCK_P + tl.arange(0, BLOCK_P)
    there = place < count
    pair = tl.load(pairs_ptr + place, mask=there, other=0)
    row, col = pair // latents, pair % latents
    score = scores_of_pairs(x_ptr, weight_ptr, row, col, there, dim, BLOCK_P, BLOCK_K)
    if bias_ptr is not None:
        score += tl.load(bias_ptr + col, mask=there, other=0.0)
    limit = tl.load(threshold_ptr + col, mask=there, other=0.0)
    tl.store(scores_ptr + place, score, mask=there)
    tl.store(above_ptr + place, ((score > limit) | (score != score)).to(tl.int8), mask=there)


def linear_above(inputs: LinearAboveInputs) -> Above:
    """See api.linear_above."""
    x, weight, threshold = inputs.x, inputs.weight, inputs.threshold.contiguous()
    if capturing(x):
        raise RuntimeError("linear_above: a CUDA graph cannot record it: its result has no size")
    left, right = ready(x), ready(weight)
    bias = None if inputs.bias is None else ready(inputs.bias)
    rows, latents = x.shape[0], weight.shape[0]
    survivors = 0
    with on_device(x):
        if x.dtype == torch.float32:
            many = packed_rough(inputs.packed) or rough(right)
            half, slack = rounded(left, many)
            tile = scan_tile("pairs_above", left)
            pairs, _ = _listed(half, many.matrix, slack, bias, threshold, tile)
            survivors = pairs.shape[0]
            pairs, scores = _confirmed(left, right, bias, threshold, pairs)
        else:
            tile = full_tile("pairs_above", left)
            pairs, scores = _listed(left, right, None, bias, threshold, tile)
    ordered = pairs.sort()
    length = max(1, latents)
    starts = torch.arange(rows + 1, device=x.device) * length
    row_offsets = torch.searchsorted(ordered.values, starts)
    values = scores[ordered.indices].to(x.dtype)
    counts = pairs.new_tensor(survivors), pairs.new_tensor(0)
    return values, ordered.values % length, row_offsets, *counts


def _listed(
    x: Tensor,
    weight: Tensor,
    slack: Slack | None,
    bias: Tensor | None,
    threshold: Tensor,
    tile: Tile,
) -> tuple[Tensor, Tensor]:
    """Return the pairs that are or may be above, and their scores (none with slack)."""
    rows, latents = x.shape[0], weight.shape[0]
    grid = triton.cdiv(rows, tile.rows) * triton.cdiv(latents, tile.cols)
    count, most = 0, EACH_ROW * rows + ROOM
    while True:
        most = min(most, rows * latents)
        pairs = torch.empty(most, dtype=torch.int64, device=x.device)
        scores = torch.empty(0 if slack else most, dtype=torch.float32, device=x.device)
        found = pairs.new_zeros(1)
        if grid:
            list_above[(grid,)](
                x, weight, *(slack or (None,) * 3), bias, threshold, pairs,
                None if slack else scores, found, most, rows, latents, x.shape[1],
                BLOCK_M=tile.rows, BLOCK_N=tile.cols, BLOCK_K=tile.depth, BAND=BAND,
                num_warps=tile.warps, num_stages=tile.stages,
            )  # fmt: skip
            count = int(found.item())
        if count <= most:
            return pairs[:count], scores[:count]
        most = count


def _confirmed(
    x: Tensor, weight: Tensor, bias: Tensor | None, threshold: Tensor, pairs: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the pairs that are above, and their scores."""
    count = pairs.shape[0]
    scores = torch.empty(count, dtype=torch.float32, device=x.device)
    above = torch.empty(count, dtype=torch.int8, device=x.device)
    if count:
        score_listed[(triton.cdiv(count, PAIRS),)](
            x, weight, bias, threshold, pairs, scores, above, count, weight.shape[0], x.shape[1],
            BLOCK_P=PAIRS, BLOCK_K=DEPTH, num_warps=WARPS,
        )  # fmt: skip
    own = above.bool()
    return pairs[own], scores[own]
