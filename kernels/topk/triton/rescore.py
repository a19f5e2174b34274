"""Scores proposals in float32 on a GPU, and proves which rows' best are among them."""

from dataclasses import dataclass, replace

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...backends import interpreting
from .bound import Slack
from .scan import INDEX_BITS, LEAST, MISSING, key_of, ordered
from .select import LARGEST_RANKED, narrowed, ordered_keys

# What one program does: each thread of its warp has one score. With 4 warps all warps have the same
# 32 scores, which took 3 times as long on an H100 (docs/benchmarks-gpu.md). In the interpreter a
# few large programs are faster.
ROWS, AT_ONCE, DEPTH, WARPS = (64, 64, 64, 4) if interpreting() else (1, 32, 64, 1)


MOST_KEY = tl.constexpr(2**63 - 1)


@dataclass(frozen=True)
class Scores:
    """Inputs of one scan; scores are ranked separately in each stack (seed)."""

    x: Tensor
    """(N, D)."""
    weight: Tensor
    """(S * L, D)."""
    bias: Tensor | None = None
    """(S * L,)."""
    mask: Tensor | None = None
    """(S * L,) bool: which latents are eligible."""
    floor: Tensor | None = None
    """(N,) float32: scores must be above it."""
    stacks: int = 1
    """S."""
    slack: Slack | None = None
    """How a scan's scores become proposals; None if its scores are the result's."""

    @property
    def latents(self) -> int:
        """L."""
        return self.weight.shape[0] // self.stacks

    def of_rows(self, rows: slice | Tensor) -> "Scores":
        """Return the scores of some rows."""
        slack = self.slack
        if slack is not None:
            slack = slack._replace(rows=slack.rows[rows], scale=slack.scale[rows])
        floor = None if self.floor is None else self.floor[rows]
        return replace(self, x=self.x[rows], floor=floor, slack=slack)

    def of_stacks(self, stacks: slice) -> "Scores":
        """Return the scores of some stacks."""
        own = slice(stacks.start * self.latents, stacks.stop * self.latents)
        return replace(self.of_latents(own), stacks=stacks.stop - stacks.start)

    def of_latents(self, latents: slice | Tensor) -> "Scores":
        """Return the scores of some latents, of a single stack or of whole stacks."""
        bias, mask = (None if every is None else every[latents] for every in (self.bias, self.mask))
        slack = self.slack
        if slack is not None:
            slack = slack._replace(latents=slack.latents[latents])
        return replace(self, weight=self.weight[latents], bias=bias, mask=mask, slack=slack)


@triton.jit(do_not_specialize=["row_count", "first", "stop", "stacks"])
def rescore(
    x_ptr, weight_ptr, bias_ptr, floor_ptr, proposals_ptr, keys_ptr, scored_ptr,
    row_count, first, stop, count, stacks, latents, dim,
    ROWS: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_K: tl.constexpr, LIMITS: tl.constexpr,
    NONE: tl.constexpr,
):  # fmt: skip
    """Write the keys of proposals with the scores of a full float32 product.

    A program gathers some of the proposals of ROWS rows. A score is the same chain of fused steps
    as in `score_all`, so that it has the same bits. bound.py says why these scores decide.

    Args:
        x_ptr: (N, D); weight_ptr: (S * L, D); bias_ptr: (S * L,) or None.
        floor_ptr: (N,) float32 or None.
        proposals_ptr: (N * S, count) int64 keys; NONE is no proposal.
        keys_ptr: (N * S, count) int64, written from place `first` to `stop`; NONE for those that
            are left out or not above the floor. Left out are proposals below the least of the
            first `first` keys, which an earlier call has written; none if `first` is 0.
        scored_ptr: () int64, added to: how many proposals are scored.
        row_count: N * S; count: proposals of each.
        stacks: S; latents: L; dim: D.
        LIMITS: at least `first`.

    """
    outs = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    there = outs < row_count
    row, stack = outs // stacks, outs % stacks
    slot = first + tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    own = there[:, None] & (slot < stop)[None, :]
    place = outs[:, None] * count + slot[None, :]
    proposal = tl.load(proposals_ptr + place, mask=own, other=NONE)
    before = tl.arange(0, LIMITS)[None, :]
    earlier = there[:, None] & (before < first)
    limits = tl.load(keys_ptr + outs[:, None] * count + before, mask=earlier, other=MOST_KEY)
    limit = tl.where(first > 0, tl.min(limits, 1), NONE)
    wanted = (proposal != NONE) & (proposal >= limit[:, None])
    scored = tl.sum(tl.sum(wanted.to(tl.int64), 1), 0)
    index = tl.where(wanted, (proposal ^ INDEX_BITS) & INDEX_BITS, 0)
    stacked = stack[:, None] * latents + index
    scores = tl.zeros((ROWS, 1, BLOCK_C), tl.float32)
    if scored > 0:
        tl.atomic_add(scored_ptr, scored)
        depth = tl.arange(0, BLOCK_K)
        left = x_ptr + row[:, None] * dim + depth[None, :]
        right = weight_ptr + stacked[:, :, None] * dim + depth[None, None, :]
        for start in range(0, dim, BLOCK_K):
            inside = start + depth < dim
            a = tl.load(left + start, mask=there[:, None] & inside[None, :], other=0.0)
            b = tl.load(right + start, mask=wanted[:, :, None] & inside[None, None, :], other=0.0)
            a, b = a.to(tl.float32), tl.permute(b.to(tl.float32), (0, 2, 1))
            scores = tl.dot(a[:, None, :], b, scores, input_precision="ieee")
    score = tl.reshape(scores, (ROWS, BLOCK_C))
    if bias_ptr is not None:
        score += tl.load(bias_ptr + stacked, mask=wanted, other=0.0).to(tl.float32)
    least = tl.full((ROWS,), float("-inf"), tl.float32)
    if floor_ptr is not None:
        least = tl.load(floor_ptr + row, mask=there, other=0.0)
    eligible = wanted & ((score > least[:, None]) | (score != score))
    order = tl.where(eligible, ordered(score), LEAST)
    tl.store(keys_ptr + place, key_of(order, index.to(tl.int32)), mask=own)


def proposed(k: int) -> int:
    """Return how many proposals a row gets for its k best, so that few rows stay unproved.

    In random rows with D = 4,096, whose slack is the widest compared with the spread of their
    scores, about twice k latents have a bound above the k-th score. The latents of proposals below
    that score are not read.
    """
    return min(LARGEST_RANKED, max(4 * k, 16))


def keys_of_proposals(
    chosen: Tensor, unseen: Tensor, k: int, scores: Scores, scored: Tensor
) -> tuple[Tensor, Tensor]:
    """Score proposals. A row's k best are among them if the bound is no better than the k-th.

    Args:
        chosen: (N * S, count) int64: proposals with `proposed(k)` of the best. A latent's own key
            is never above its proposal's: see bound.py.
        unseen: (N * S, chunks) int64: the proposals that are not chosen are no better than the
            largest of these.
        k: 1 to MOST.
        scores: the inputs of the scan. The mask is not read: proposals have passed it.
        scored: () int64, added to: how many proposals are scored.

    Returns:
        The keys (N * S, count) of a full product's scores, and the bound (N * S, 1).

    """
    most = proposed(k)
    proposals, bound = ordered_keys(narrowed(chosen, most, most), unseen)
    keys = torch.empty_like(proposals)
    # The scores of the k best proposals give a limit, which few of the other proposals reach.
    k = min(k, keys.shape[1])
    for first, stop in ((0, k), (k, keys.shape[1])):
        if first < stop:
            _rescore(proposals, keys, first, stop, scores, scored)
    return keys, bound


def _rescore(
    proposals: Tensor, keys: Tensor, first: int, stop: int, scores: Scores, scored: Tensor
) -> None:
    rows, count = proposals.shape
    rescore[(triton.cdiv(rows, ROWS), triton.cdiv(stop - first, AT_ONCE))](
        scores.x, scores.weight, scores.bias, scores.floor, proposals, keys, scored,
        rows, first, stop, count, scores.stacks, scores.latents, scores.x.shape[1],
        ROWS=ROWS, BLOCK_C=AT_ONCE, BLOCK_K=DEPTH, LIMITS=triton.next_power_of_2(max(1, first)),
        NONE=MISSING, num_warps=WARPS,
    )  # fmt: skip
