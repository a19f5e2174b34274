"""The best partners of both sides on a GPU: one fused scan, a block of rows at a time."""

from collections.abc import Sequence

import torch
import triton
from torch import Tensor

from ..launch import capturing, on_device, ready
from .triton_dense import dense_topk
from .triton_scan import BAND, MISSING, scan_both, tile_for
from .triton_scheme import Scheme, choose_scheme
from .triton_select import best_of, choose, ranked

KEYS_AT_ONCE = 1 << 26  # of one side of a block: 512 MiB


def mutual_topk(
    a: Tensor,
    b: Tensor,
    _packed: Sequence[Tensor],
    m: int,
    row_floor: Tensor,
    col_floor: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """See api.mutual_topk; row_floor (L_A,) and col_floor (L_B,) float32, applied at the end."""
    left, right = ready(a), ready(b)
    redone = torch.zeros((), dtype=torch.int64, device=a.device)
    tile = tile_for(left.dtype)
    widest, shorter = min(tile.rows, tile.cols), min(a.shape[0], b.shape[0])
    scheme = None if capturing() else choose_scheme(shorter, m, widest)
    with on_device(a):
        if scheme is None:
            rows = dense_topk(left, right, None, m, None, None)
            cols = dense_topk(right, left, None, m, None, None)
        else:
            rows, row_proved, cols, col_proved = _fused(left, right, m, scheme)
            for (values, indices), proved, side, other in (
                (rows, row_proved, left, right), (cols, col_proved, right, left),
            ):  # fmt: skip
                again = (~proved).nonzero().squeeze(1)
                values[again], indices[again] = dense_topk(side[again], other, None, m, None, None)
                redone += again.shape[0]
    for (values, indices), floor in ((rows, row_floor), (cols, col_floor)):
        below = values <= floor[:, None]
        values.masked_fill_(below, 0)
        indices.masked_fill_(below, -1)
    best = rows[0].to(a.dtype), rows[1], cols[0].to(a.dtype), cols[1]
    return *best, torch.zeros_like(redone), redone


Best = tuple[Tensor, Tensor]


def _fused(a: Tensor, b: Tensor, m: int, scheme: Scheme) -> tuple[Best, Tensor, Best, Tensor]:
    """Return values and indices of the rows and which are proved, and those of the columns."""
    values = torch.empty((a.shape[0], m), dtype=torch.float32, device=a.device)
    indices = torch.empty_like(values, dtype=torch.int64)
    proved = torch.empty_like(values[:, 0], dtype=torch.bool)
    col_chosen, col_unseen = [], []
    step = _block_rows(b.shape[0], scheme)
    for start in range(0, a.shape[0], step):
        rows = slice(start, min(a.shape[0], start + step))
        row_keys, col_keys = _scan(a[rows], b, scheme)
        values[rows], indices[rows], proved[rows] = best_of(row_keys, m, scheme.kept)
        chosen, unseen = choose(col_keys, m, scheme.kept)
        # A key's lowest bits hold the complement of its row, which is one of the block's so far.
        col_chosen.append(torch.where(chosen == MISSING, chosen, chosen - start))
        col_unseen.append(unseen)
    col_values, col_indices, least = ranked(torch.cat(col_chosen, 1), m)
    col_proved = torch.stack(col_unseen).amax(0) <= least
    return (values, indices), proved, (col_values, col_indices), col_proved


def _scan(a: Tensor, b: Tensor, scheme: Scheme) -> tuple[Tensor, Tensor]:
    """Return the candidates of each row, (R, keys), and of each column, (C, keys)."""
    rows, cols = a.shape[0], b.shape[0]
    row_groups, col_groups = triton.cdiv(cols, scheme.group), triton.cdiv(rows, scheme.group)
    row_keys = torch.empty((rows, row_groups * scheme.kept), dtype=torch.int64, device=a.device)
    col_keys = row_keys.new_empty((cols, col_groups * scheme.kept))
    tile = tile_for(a.dtype)
    scan_both[(triton.cdiv(rows, tile.rows) * triton.cdiv(cols, tile.cols),)](
        a, b, row_keys, col_keys, rows, cols, a.shape[1], row_groups, col_groups,
        BLOCK_M=tile.rows, BLOCK_N=tile.cols, BLOCK_K=tile.depth,
        GROUP=scheme.group, KEPT=scheme.kept, BAND=BAND,
        num_warps=tile.warps, num_stages=tile.stages,
    )  # fmt: skip
    return row_keys, col_keys


def _block_rows(cols: int, scheme: Scheme) -> int:
    """Count the rows of a block: whole groups, so that a group of rows lies in one block."""
    keys_of_row: int = triton.cdiv(cols, scheme.group) * scheme.kept
    return max(1, KEYS_AT_ONCE // keys_of_row // scheme.group) * scheme.group
