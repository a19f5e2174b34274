"""mutual_topk in Triton, on a GPU: one fused scan for both sides, a block of rows at a time.

Scheme, proof and bound are those of linear_topk, for each side: see linear.py. While a CUDA graph
is recorded, all scores are computed and sorted.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
import triton
from torch import Tensor

from ...launch import capturing, on_device, ready, two_counts
from ..interface import MutualTopKInputs, RankedBothWays
from .bound import packed_rough, rough
from .dense import dense_topk, rows_again
from .plan import Plan, plan_for
from .rescore import Scores, keys_of_proposals, proposed
from .rounding import rounded
from .scan import MISSING, scan_both
from .scheme import Scheme
from .select import choose, chunks_of, narrowed, rank
from .tiles import BAND

KEYS_AT_ONCE = 1 << 25  # the most keys of one side of a block: 256 MiB


class Side:
    """One side's results, while they are found."""

    def __init__(self, scores: Scores, m: int) -> None:
        """Make room for the m best of each row of `scores`."""
        count, device = scores.x.shape[0], scores.x.device
        self.scores = scores
        self.values = torch.empty((count, 1, m), dtype=torch.float32, device=device)
        self.indices = torch.empty_like(self.values, dtype=torch.int64)
        self.proved = torch.empty((count, 1), dtype=torch.bool, device=device)

    def finish(
        self, rows: slice, chosen: Tensor, unseen: Tensor, plan: Plan, counts: tuple[Tensor, Tensor]
    ) -> None:
        """Rank the best of some rows, given the best keys of a scan: see blocks.Block."""
        m, (scored, redone) = self.values.shape[2], counts
        if not plan.decides:
            own = self.scores.of_rows(rows)
            chosen, unseen = keys_of_proposals(chosen, unseen, m, own, scored)
        rank(chosen, unseen, m, self.values[rows], self.indices[rows], self.proved[rows], redone)

    def compute(self, rows: Tensor | None) -> None:
        """Find the results of some rows, or of all, from all their scores."""
        for part, values, indices in dense_topk(self.scores, 0, self.values.shape[2], rows):
            self.values[part, 0], self.indices[part, 0] = values, indices

    def above(self, floor: Tensor) -> tuple[Tensor, Tensor]:
        """Return values and indices (R, m) without those that are not above the floor, (R,)."""
        values, indices = self.values.squeeze(1), self.indices.squeeze(1)
        below = values <= floor[:, None]
        return values.masked_fill_(below, 0), indices.masked_fill_(below, -1)


def mutual_topk(inputs: MutualTopKInputs) -> RankedBothWays:
    """See api.mutual_topk. Floors are applied at the end."""
    a, m = inputs.a, inputs.m
    left, right = ready(a), ready(inputs.b)
    scored, redone = counts = two_counts(a.device)
    sides = Side(Scores(left, right), m), Side(Scores(right, left), m)
    with on_device(a):
        shorter = min(left.shape[0], right.shape[0])
        plan = None if capturing(a) else plan_for("mutual_topk", left, shorter, m)
        if plan is None:
            for side in sides:
                side.compute(None)
        else:
            _scan_blocks(*sides, inputs.packed, plan, m, counts)
            if int(redone):
                for side in sides:
                    side.compute(rows_again(side.proved.squeeze(1))[0])
    (row_values, rows), (col_values, cols) = (
        side.above(floor)
        for side, floor in zip(sides, (inputs.row_floor, inputs.col_floor), strict=True)
    )
    return row_values.to(a.dtype), rows, col_values.to(a.dtype), cols, scored, redone


def _scan_blocks(
    row_side: Side, col_side: Side, packed: Sequence[Tensor], plan: Plan, m: int,
    counts: tuple[Tensor, Tensor],
) -> None:  # fmt: skip
    """Find the best of both sides, a block of rows at a time."""
    a, b = row_side.scores.x, col_side.scores.x
    latents = None if plan.decides else packed_rough(packed) or rough(b)
    count = m if plan.decides else proposed(m)
    step = _block_rows(b.shape[0], plan.scheme)
    best = torch.empty((b.shape[0], 0), dtype=torch.int64, device=b.device)
    unseen = best.new_full((b.shape[0], 1), MISSING)
    for start in range(0, a.shape[0], step):
        rows = slice(start, min(a.shape[0], start + step))
        scanned = Scores(a[rows], b)
        if latents is not None:
            half, slack = rounded(a[rows], latents)
            scanned = replace(scanned, x=half, weight=latents.matrix, slack=slack)
        of_rows, of_cols = _block(scanned, plan, count, start)
        row_side.finish(rows, *of_rows, plan, counts)
        best = narrowed(torch.cat([best, of_cols[0]], 1), count, count)
        unseen = torch.maximum(unseen, of_cols[1].amax(1, keepdim=True))
        del of_rows, of_cols  # or they would take memory beside the next block
    col_side.finish(slice(0, b.shape[0]), best, unseen, plan, counts)


def _block(scores: Scores, plan: Plan, count: int, start: int) -> tuple[tuple[Tensor, Tensor], ...]:
    """Return `chosen` and `unseen` of a block's rows and of all columns: see blocks.Block."""
    row_keys, col_keys = _scan(scores, plan)
    of_rows = _chosen(row_keys, count, plan.scheme.kept)
    # The rows' numbers in the columns' keys count from the block's first row.
    return of_rows, _chosen(col_keys, count, plan.scheme.kept, start)


def _chosen(keys: Tensor, count: int, kept: int, offset: int = 0) -> tuple[Tensor, Tensor]:
    chunks = chunks_of(keys.shape[1])
    chosen = keys.new_empty((keys.shape[0], chunks, count))
    unseen = keys.new_empty((keys.shape[0], chunks))
    choose(keys, count, kept, chosen, unseen, offset=offset)
    return chosen.flatten(1), unseen


def _scan(scores: Scores, plan: Plan) -> tuple[Tensor, Tensor]:
    """Return the candidates of each row, (R, keys), and of each column, (C, keys)."""
    tile, scheme = plan.tile, plan.scheme
    rows, cols = scores.x.shape[0], scores.latents
    row_groups, col_groups = triton.cdiv(cols, scheme.group), triton.cdiv(rows, scheme.group)
    device = scores.x.device
    row_keys = torch.empty((rows, scheme.keys(cols)), dtype=torch.int64, device=device)
    col_keys = row_keys.new_empty((cols, scheme.keys(rows)))
    scan_both[(triton.cdiv(rows, tile.rows) * triton.cdiv(cols, tile.cols),)](
        scores.x, scores.weight, *(scores.slack or (None,) * 3), row_keys, col_keys,
        rows, cols, scores.x.shape[1], row_groups, col_groups,
        BLOCK_M=tile.rows, BLOCK_N=tile.cols, BLOCK_K=tile.depth,
        GROUP=scheme.group, KEPT=scheme.kept, BAND=BAND,
        num_warps=tile.warps, num_stages=tile.stages,
    )  # fmt: skip
    return row_keys, col_keys


def _block_rows(cols: int, scheme: Scheme) -> int:
    """Return how many rows a block has: whole groups, so that no group lies in two blocks."""
    return max(1, KEYS_AT_ONCE // scheme.keys(cols) // scheme.group) * scheme.group
