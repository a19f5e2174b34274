"""mutual_topk in Triton, on a GPU: one fused scan for both sides, a block of rows at a time.

Scheme, proof and bound are those of linear_topk, for each side: see linear.py.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
import triton
from torch import Tensor

from ...launch import capturing, on_device, ready
from ..interface import MutualTopKInputs, RankedBothWays
from .bound import Slack, packed_rough, rough, slack_of
from .dense import dense_topk
from .plan import plan_for
from .rescore import Best, Scores, best_of_chosen, proposed
from .scan import MISSING, scan_both
from .scheme import Scheme
from .select import choose, ranked
from .tiles import BAND, Tile

KEYS_AT_ONCE = 1 << 26  # the most keys of one side of a block: 512 MiB


def mutual_topk(inputs: MutualTopKInputs) -> RankedBothWays:
    """See api.mutual_topk. Floors are applied at the end."""
    a, m = inputs.a, inputs.m
    left, right = ready(a), ready(inputs.b)
    survivors, redone = torch.zeros((2,), dtype=torch.int64, device=a.device).unbind()
    survivors, redone = survivors.clone(), redone.clone()
    with on_device(a):
        sides = None if capturing() else _fast(left, right, inputs.packed, m)
        if sides is None:
            rows = dense_topk(left, right, None, m, None, None)
            cols = dense_topk(right, left, None, m, None, None)
        else:
            for best, side, other in zip(sides, (left, right), (right, left), strict=True):
                again = (~best.proved).nonzero().squeeze(1)
                best.values[again], best.indices[again] = dense_topk(
                    side[again], other, None, m, None, None
                )
                survivors += best.rescored
                redone += again.shape[0]
            rows, cols = ((best.values, best.indices) for best in sides)
    for (values, indices), floor in ((rows, inputs.row_floor), (cols, inputs.col_floor)):
        below = values <= floor[:, None]
        values.masked_fill_(below, 0)
        indices.masked_fill_(below, -1)
    return rows[0].to(a.dtype), rows[1], cols[0].to(a.dtype), cols[1], survivors, redone


def _fast(a: Tensor, b: Tensor, packed: Sequence[Tensor], m: int) -> tuple[Best, Best] | None:
    """Return the best of rows and the best of columns, or None if too few would be proved."""
    plan = plan_for("mutual_topk", a, min(a.shape[0], b.shape[0]), m)
    if plan is None:
        return None
    tile, scheme = plan.tile, plan.scheme
    left, right, slack = a, b, None
    if not plan.decides:
        rows_of, cols_of = rough(a), packed_rough(packed) or rough(b)
        left, right, slack = rows_of.matrix, cols_of.matrix, slack_of(rows_of, cols_of, a.dtype)
    of_rows, of_cols = Scores(a, b, slack=slack), Scores(b, a, slack=slack)
    count = m if plan.decides else proposed(m)
    row_best, col_chosen, col_unseen = [], [], []
    step = _block_rows(b.shape[0], scheme)
    for start in range(0, a.shape[0], step):
        rows = slice(start, min(a.shape[0], start + step))
        own = None if slack is None else slack._replace(rows=slack.rows[rows])
        row_keys, col_keys = _scan(left[rows], right, own, scheme, tile)
        chosen, unseen = choose(row_keys, count, scheme.kept)
        row_best.append(_best(chosen, unseen, m, replace(of_rows, x=a[rows])))
        chosen, unseen = choose(col_keys, count, scheme.kept)
        # A key's lowest bits hold the complement of a row's number, which counts from the block's
        # first row until here.
        col_chosen.append(torch.where(chosen == MISSING, chosen, chosen - start))
        col_unseen.append(unseen)
    col_best = _best(torch.cat(col_chosen, 1), torch.stack(col_unseen).amax(0), m, of_cols)
    return _joined(row_best), col_best


def _best(chosen: Tensor, unseen: Tensor, m: int, scores: Scores) -> Best:
    """Find the m best of the chosen keys, (R, count). No other key is above `unseen`."""
    if scores.slack is not None:
        return best_of_chosen(chosen, unseen, m, scores)
    values, indices, least = ranked(chosen, m)
    return Best(values, indices, unseen <= least, indices.new_zeros(()))


def _joined(parts: list[Best]) -> Best:
    values, indices, proved = (
        torch.cat([getattr(part, name) for part in parts])
        for name in ("values", "indices", "proved")
    )
    return Best(values, indices, proved, torch.stack([part.rescored for part in parts]).sum())


def _scan(
    a: Tensor, b: Tensor, slack: Slack | None, scheme: Scheme, tile: Tile
) -> tuple[Tensor, Tensor]:
    """Return the candidates of each row, (R, keys), and of each column, (C, keys)."""
    rows, cols = a.shape[0], b.shape[0]
    row_groups, col_groups = triton.cdiv(cols, scheme.group), triton.cdiv(rows, scheme.group)
    row_keys = torch.empty((rows, row_groups * scheme.kept), dtype=torch.int64, device=a.device)
    col_keys = row_keys.new_empty((cols, col_groups * scheme.kept))
    scan_both[(triton.cdiv(rows, tile.rows) * triton.cdiv(cols, tile.cols),)](
        a, b, *(slack or (None,) * 3), row_keys, col_keys,
        rows, cols, a.shape[1], row_groups, col_groups,
        BLOCK_M=tile.rows, BLOCK_N=tile.cols, BLOCK_K=tile.depth,
        GROUP=scheme.group, KEPT=scheme.kept, BAND=BAND,
        num_warps=tile.warps, num_stages=tile.stages,
    )  # fmt: skip
    return row_keys, col_keys


def _block_rows(cols: int, scheme: Scheme) -> int:
    """Return how many rows a block has: whole groups, so that no group lies in two blocks."""
    keys_of_row: int = triton.cdiv(cols, scheme.group) * scheme.kept
    return max(1, KEYS_AT_ONCE // keys_of_row // scheme.group) * scheme.group
