"""Pairs above their prices on a GPU: tiles append to one list, which is sorted afterwards."""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..launch import on_device, ready
from .triton_scan import BAND, scores_of_tile, tile_for


@triton.jit
def list_pairs(
    a, b, row_price, col_price, margin, blocks, pairs, count, capacity, row_count, col_count, dim,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """Append row * C + col of every pair above its prices; the order is not defined.

    Args:
        a: (R, D); b: (C, D).
        row_price: (R,) float64; col_price: (C,) float64; margin: (1,) float64.
        blocks: (P, 4) int64: row, end of rows, col, end of cols of each program's part.
        pairs: (capacity,) int64, written.
        count: (1,) int64, added to: pairs found, those beyond the capacity included.

    """
    block = blocks + tl.program_id(0).to(tl.int64) * 4
    rows = tl.load(block) + tl.arange(0, BLOCK_M)
    cols = tl.load(block + 2) + tl.arange(0, BLOCK_N)
    row_inside, col_inside = rows < tl.load(block + 1), cols < tl.load(block + 3)
    scores = scores_of_tile(a, b, rows, cols, row_count, col_count, dim, BLOCK_M, BLOCK_N, BLOCK_K)
    u = tl.load(row_price + rows, mask=row_inside, other=0.0)
    v = tl.load(col_price + cols, mask=col_inside, other=0.0)
    bound = u[:, None] + v[None, :] - tl.load(margin)
    above = (scores.to(tl.float64) > bound) & row_inside[:, None] & col_inside[None, :]
    of_row = tl.sum(above.to(tl.int32), 1)
    found = tl.sum(of_row, 0)
    if found > 0:
        # The only atomic of all kernels, one for a tile that has any.
        first = tl.atomic_add(count, found.to(tl.int64))
        before = tl.cumsum(of_row, 0) - of_row
        place = before[:, None] + tl.cumsum(above.to(tl.int32), 1) - 1
        pair = rows[:, None] * col_count + cols[None, :]
        room = tl.maximum(tl.minimum(capacity - first, BLOCK_M * BLOCK_N), 0).to(tl.int32)
        tl.store(pairs + first + place, pair, mask=above & (place < room))


def pairs_above(
    a: Tensor,
    b: Tensor,
    _packed: Sequence[Tensor],
    row_price: Tensor,
    col_price: Tensor,
    margin: float,
    tiles: Tensor | None,
    capacity: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """See api.pairs_above."""
    left, right = ready(a), ready(b)
    most = min(capacity, a.shape[0] * b.shape[0])
    pairs = torch.empty(most, dtype=torch.int64, device=a.device)
    count = pairs.new_zeros(1)
    tile = tile_for(left.dtype)  # half as wide: prices and scores in float64 take registers
    blocks = _blocks(_checked(tiles, a, b), tile.rows, tile.cols // 2)
    if blocks.shape[0]:
        with on_device(a):
            list_pairs[(blocks.shape[0],)](
                left, right, row_price.contiguous(), col_price.contiguous(),
                row_price.new_full((1,), margin),  # a float argument would be float32
                blocks, pairs, count, most, a.shape[0], b.shape[0], a.shape[1],
                BLOCK_M=tile.rows, BLOCK_N=tile.cols // 2, BLOCK_K=tile.depth,
                num_warps=tile.warps, num_stages=tile.stages,
            )  # fmt: skip
    found = int(count.item())
    listed = pairs[: found if found <= capacity else 0].sort().values
    length = max(1, b.shape[0])
    overflow = (count[0] - capacity).clamp(min=0)
    none = torch.zeros_like(overflow)
    return listed // length, listed % length, overflow, none, none.clone()


def _checked(tiles: Tensor | None, a: Tensor, b: Tensor) -> Tensor:
    """Return the tiles, all of the matrix if there are none; raise if one is no block of it."""
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
    """Cut the tiles into parts of at most (height, width), (P, 4), BAND parts wide as the scans."""
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
