"""pairs_above in Triton, on a GPU: tiles append to one list, which is sorted afterwards.

A tile compares every score with a float32 bound that is not above its prices (`lowered`). If any
score passes, it makes the exact comparison, in float64. Half-precision scores are decided so.
Float32 inputs are scanned in float16: the list then holds every pair whose score with its slack
(bound.py) is above the float32 bound, and a float32 score of each decides. If the list has many
more pairs than are wanted, the scan is repeated in full float32. Both ways give a score the same
bits, so that the capacity does not change which pairs are above their prices.

exact=False changes nothing: to confirm a pair takes the GPU less than a microsecond's worth of
reading, and a caller that scores the listed pairs in float64 takes longer for each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...backends import interpreting
from ...launch import capturing, on_device, ready
from ..interface import Listed, PairsAboveInputs
from .bound import Slack, packed_rough, rough
from .rounding import rounded
from .scan import scores_of_tile, with_slack
from .tiles import BAND, Tile, full_tile, scan_tile

DEPTH, PAIRS, WARPS = (512, 256, 4) if interpreting() else (64, 32, 1)  # for confirm_pairs
ROOM = 1 << 16  # how many more proposals fit the list than twice the capacity


@triton.jit
def halves(tile):
    """Return the left and the right half of the columns of a tile (M, N), two (M, N / 2)."""
    parts = tl.reshape(tile, (tile.shape[0], 2, tile.shape[1] // 2))
    return tl.split(tl.permute(parts, (0, 2, 1)))


@triton.jit
def quarters(tile):
    """Return the columns of a tile (M, N) from left to right, as four (M, N / 4)."""
    left, right = halves(tile)
    first, second = halves(left)
    third, fourth = halves(right)
    return first, second, third, fourth


@triton.jit
def append(
    scores, above, row_price_ptr, col_price_ptr, margin_ptr, pairs_ptr, scores_ptr, count_ptr,
    capacity, rows, cols, col_count,
):  # fmt: skip
    """Append row * C + col of each pair that is above, int8 (M, N), and above its exact prices.

    Its score is written too, unless scores_ptr is None.
    """
    if row_price_ptr is not None:
        inside = above != 0
        u = tl.load(row_price_ptr + rows, mask=tl.max(above, 1) != 0, other=0.0)
        v = tl.load(col_price_ptr + cols, mask=tl.max(above, 0) != 0, other=0.0)
        bound = u[:, None] + v[None, :] - tl.load(margin_ptr)
        above = (inside & (scores.to(tl.float64) > bound)).to(tl.int8)
    of_row = tl.sum(above.to(tl.int32), 1)
    found = tl.sum(of_row, 0)
    if found > 0:
        # In all kernels, atomic operations only add integers.
        first = tl.atomic_add(count_ptr, found.to(tl.int64))
        room = tl.maximum(tl.minimum(capacity - first, found), 0).to(tl.int32)
        before = tl.cumsum(of_row, 0) - of_row
        place = before[:, None] + tl.cumsum(above.to(tl.int32), 1) - 1
        pair = rows[:, None] * col_count + cols[None, :]
        kept = (above != 0) & (place < room)
        tl.store(pairs_ptr + first + place, pair, mask=kept)
        if scores_ptr is not None:
            tl.store(scores_ptr + first + place, scores, mask=kept)


@triton.jit(do_not_specialize=["capacity", "row_count", "col_count"])
def list_pairs(
    a_ptr, b_ptr, row_slack_ptr, col_slack_ptr, scale_ptr, row_low_ptr, col_low_ptr,
    row_price_ptr, col_price_ptr, margin_ptr, blocks_ptr, pairs_ptr, count_ptr, capacity,
    row_count, col_count, dim,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """Append row * C + col of every pair above its prices; the order is not defined.

    It is a fused product and a filter with known thresholds; a tile that passes any score makes
    one atomic addition. With slack, bound.py has the proof, and a NaN is listed too.

    Args:
        a_ptr: (R, D); b_ptr: (C, D).
        row_slack_ptr: (R,) float32; col_slack_ptr: (C,) float32; scale_ptr: (R,) float32: see
            bound.Slack. All are None without slack.
        row_low_ptr: (R,) float32; col_low_ptr: (C,) float32: see `lowered`.
        row_price_ptr: (R,) float64; col_price_ptr: (C,) float64; margin_ptr: (1,) float64. With
            slack they are None, and every pair above the lowered prices is listed.
        blocks_ptr: (P, 4) int64: the first row, the end of the rows, the first column and the end
            of the columns of each program's part.
        pairs_ptr: (capacity,) int64, written.
        count_ptr: (1,) int64, added to: how many pairs were found, also beyond the capacity.
        capacity: how many pairs the list holds.
        row_count: R; col_count: C; dim: D.

    """
    block = blocks_ptr + tl.program_id(0).to(tl.int64) * 4
    rows = tl.load(block) + tl.arange(0, BLOCK_M)
    cols = tl.load(block + 2) + tl.arange(0, BLOCK_N)
    row_inside, col_inside = rows < tl.load(block + 1), cols < tl.load(block + 3)
    scores = scores_of_tile(
        a_ptr, b_ptr, rows, cols, row_count, col_count, dim, BLOCK_M, BLOCK_N, BLOCK_K
    )
    scores = with_slack(
        scores, row_slack_ptr, col_slack_ptr, scale_ptr, rows, cols, row_inside, col_inside
    )
    low = tl.load(row_low_ptr + rows, mask=row_inside, other=0.0)[:, None]
    low = low + tl.load(col_low_ptr + cols, mask=col_inside, other=0.0)[None, :]
    above = scores > low
    if row_slack_ptr is not None:
        above = above | (scores != scores)
    above = (above & row_inside[:, None] & col_inside[None, :]).to(tl.int8)
    if tl.max(tl.max(above, 1), 0) > 0:
        # One quarter at a time takes a quarter of the registers.
        QUARTER: tl.constexpr = BLOCK_N // 4
        parts, above_parts = quarters(scores), quarters(above)
        for part in tl.static_range(4):
            append(
                parts[part], above_parts[part], row_price_ptr, col_price_ptr, margin_ptr,
                pairs_ptr, None, count_ptr, capacity, rows,
                tl.load(block + 2) + part * QUARTER + tl.arange(0, QUARTER), col_count,
            )  # fmt: skip


@triton.jit
def scores_of_pairs(
    a_ptr, b_ptr, row, col, there, dim, BLOCK_P: tl.constexpr, BLOCK_K: tl.constexpr
):
    """Return <a[row], b[col]> of BLOCK_P pairs, float32."""
    depth = tl.arange(0, BLOCK_K)
    sums = tl.zeros((BLOCK_P, 1, 1), tl.float32)
    for start in range(0, dim, BLOCK_K):
        inside = there[:, None] & (start + depth < dim)[None, :]
        left = tl.load(a_ptr + row[:, None] * dim + start + depth[None, :], mask=inside, other=0.0)
        right = tl.load(b_ptr + col[:, None] * dim + start + depth[None, :], mask=inside, other=0.0)
        sums = tl.dot(left[:, None, :], right[:, :, None], sums, input_precision="ieee")
    return tl.reshape(sums, (BLOCK_P,))


@triton.jit(do_not_specialize=["count", "col_count"])
def confirm_pairs(
    a_ptr, b_ptr, row_price_ptr, col_price_ptr, margin_ptr, pairs_ptr, above_ptr,
    count, col_count, dim,
    BLOCK_P: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """Write which pairs are above their prices, by float32 scores.

    The rows of both sides are gathered. A score is the same chain of fused steps as in `list_pairs`
    without slack, so that it has the same bits. bound.py proves that it is not above the pair's
    proposal.

    Args:
        a_ptr: (R, D); b_ptr: (C, D); prices and margin as in `list_pairs`.
        pairs_ptr: (count,) int64: row * C + col.
        above_ptr: (count,) int8, written: 0 or 1.
        count: how many pairs there are; col_count: C; dim: D.

    """
    place = tl.program_id(0).to(tl.int64) * BLOCK_P + tl.arange(0, BLOCK_P)
    there = place < count
    pair = tl.load(pairs_ptr + place, mask=there, other=0)
    row, col = pair // col_count, pair % col_count
    score = scores_of_pairs(a_ptr, b_ptr, row, col, there, dim, BLOCK_P, BLOCK_K).to(tl.float64)
    u = tl.load(row_price_ptr + row, mask=there, other=0.0)
    v = tl.load(col_price_ptr + col, mask=there, other=0.0)
    is_above = score > u + v - tl.load(margin_ptr)
    tl.store(above_ptr + place, is_above.to(tl.int8), mask=there)


@dataclass(frozen=True)
class Prices:
    """The prices of rows (R,) and columns (C,), and the margin, float64."""

    rows: Tensor
    cols: Tensor
    margin: Tensor
    """(1,)."""

    def lowered(self) -> tuple[Tensor, Tensor]:
        """Return float32 numbers (R,) and (C,) whose float32 sums are not above the prices.

        With e = |u| + |v| + |margin|, the float64 bound u + v - margin has an error of at most
        2^-51 e. The float32 sum of two numbers has an error of at most 2^-24 of them. Each number
        is lowered by more than its share: first by 2^-50 of the terms that it is the sum of, then
        by 2^-22 of itself, and it is rounded down. NaN and infinity stay what they are, or become
        NaN if no score can be above them.
        """
        margin = self.margin + (self.cols.abs() + self.margin.abs()) * 2.0**-50
        return _below(self.rows), _below(self.cols - margin)


def _below(price: Tensor) -> Tensor:
    lower = price - price.abs() * 2.0**-22
    rounded = lower.float()
    down = torch.nextafter(rounded, rounded.new_full((), -torch.inf))
    return torch.where(rounded.double() > lower, down, rounded)


def pairs_above(inputs: PairsAboveInputs) -> Listed:
    """See api.pairs_above."""
    a, b, capacity = inputs.a, inputs.b, inputs.capacity
    if capturing(a):
        raise RuntimeError("pairs_above: a CUDA graph cannot record it: its lists have no size")
    left, right = ready(a), ready(b)
    # The margin is a tensor, because a float argument of a kernel would be float32.
    margin = inputs.row_price.new_full((1,), inputs.margin)
    prices = Prices(inputs.row_price.contiguous(), inputs.col_price.contiguous(), margin)
    tiles = _checked(inputs.tiles, a, b)
    with on_device(a):
        found = None
        if a.dtype == torch.float32:
            found = _confirmed(left, right, inputs.packed, prices, tiles, capacity)
        if found is None:
            tile = full_tile("pairs_above", left)
            pairs, count = _listed(left, right, None, prices, tiles, capacity, tile)
            found = pairs, count, 0
    pairs, count, survivors = found
    pairs = pairs[: count if count <= capacity else 0].sort().values
    length = max(1, b.shape[0])
    overflow, scored, redone = pairs.new_tensor([max(0, count - capacity), survivors, 0]).unbind()
    return pairs // length, pairs % length, overflow.clone(), scored.clone(), redone.clone()


def _confirmed(
    a: Tensor, b: Tensor, packed: Sequence[Tensor], prices: Prices, tiles: Tensor, capacity: int
) -> tuple[Tensor, int, int] | None:
    """Return the pairs, their number, and how many were scored; None if those are too many."""
    most = 2 * capacity + ROOM
    tile = scan_tile("pairs_above", a)
    cols = packed_rough(packed) or rough(b)
    half, slack = rounded(a, cols)
    listed, count = _listed(half, cols.matrix, slack, prices, tiles, most, tile)
    if count > most:
        return None
    above = torch.zeros(count, dtype=torch.int8, device=a.device)
    if count:
        confirm_pairs[(triton.cdiv(count, PAIRS),)](
            a, b, prices.rows, prices.cols, prices.margin, listed, above,
            count, b.shape[0], a.shape[1], BLOCK_P=PAIRS, BLOCK_K=DEPTH, num_warps=WARPS,
        )  # fmt: skip
    pairs = listed[:count][above.bool()]
    return pairs, pairs.shape[0], count


def _listed(
    a: Tensor, b: Tensor, slack: Slack | None, prices: Prices, tiles: Tensor, most: int, tile: Tile
) -> tuple[Tensor, int]:
    """Return a list of at most `most` pairs, and how many pairs there are."""
    most = min(most, a.shape[0] * b.shape[0])
    pairs = torch.empty(most, dtype=torch.int64, device=a.device)
    count = pairs.new_zeros(1)
    blocks = _blocks(tiles, tile.rows, tile.cols)
    exact = (prices.rows, prices.cols, prices.margin) if slack is None else (None, None, None)
    if blocks.shape[0]:
        list_pairs[(blocks.shape[0],)](
            a, b, *(slack or (None,) * 3), *prices.lowered(), *exact, blocks, pairs, count, most,
            a.shape[0], b.shape[0], a.shape[1],
            BLOCK_M=tile.rows, BLOCK_N=tile.cols, BLOCK_K=tile.depth,
            num_warps=tile.warps, num_stages=tile.stages,
        )  # fmt: skip
    return pairs, int(count.item())


def _checked(tiles: Tensor | None, a: Tensor, b: Tensor) -> Tensor:
    """Return the tiles, or the whole matrix if None; raise if one is no block of the matrix."""
    size = a.shape[0], b.shape[0]
    if tiles is None:
        return torch.tensor([[0, size[0], 0, size[1]]], device=a.device)
    rows, row_ends, cols, col_ends = tiles.unbind(1)
    inside = (rows >= 0) & (rows <= row_ends) & (row_ends <= size[0])
    inside &= (cols >= 0) & (cols <= col_ends) & (col_ends <= size[1])
    wrong = tiles[~inside].tolist()
    if wrong:
        raise ValueError(
            f"tiles: expected blocks of a {size[0]} x {size[1]} matrix, got {wrong[0]}"
        )
    return tiles


def _blocks(tiles: Tensor, height: int, width: int) -> Tensor:
    """Cut the tiles into parts (P, 4) of at most (height, width), in the order of the scans."""
    rows, row_ends, cols, col_ends = tiles.unbind(1)
    high = (row_ends - rows + height - 1) // height
    wide = (col_ends - cols + width - 1) // width
    counts = high * wide
    tile = torch.arange(tiles.shape[0], device=tiles.device).repeat_interleave(counts)
    part = torch.arange(tile.shape[0], device=tiles.device) - (counts.cumsum(0) - counts)[tile]
    band_size = BAND * wide[tile]
    band = part // band_size
    band_height = (high[tile] - band * BAND).clamp(max=BAND)
    inside = part - band * band_size
    row = rows[tile] + (band * BAND + inside % band_height) * height
    col = cols[tile] + inside // band_height * width
    ends = [torch.minimum(row + height, row_ends[tile]), torch.minimum(col + width, col_ends[tile])]
    return torch.stack([row, ends[0], col, ends[1]], 1)
