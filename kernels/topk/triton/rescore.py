"""Scores proposals in float32 on a GPU, and proves which rows' best are among them."""

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...backends import interpreting
from .bound import Slack
from .scan import INDEX_BITS, LEAST, MISSING, key_of, ordered
from .select import MOST, choose, ranked

MOST_PROPOSED = 2 * MOST
# What one program does: each thread of its warp has one score. With 4 warps all warps have the same
# 32 scores, which took 3 times as long on an H100 (docs/benchmarks-gpu.md). In the interpreter a
# few large programs are faster.
ROWS, AT_ONCE, DEPTH, WARPS = (64, 64, 64, 4) if interpreting() else (1, 32, 64, 1)


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


@triton.jit
def rescore(
    x_ptr, weight_ptr, bias_ptr, floor_ptr, proposals_ptr, limits_ptr, keys_ptr,
    row_count, count, stacks, latents, dim,
    ROWS: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_K: tl.constexpr, NONE: tl.constexpr,
):  # fmt: skip
    """Write the keys of proposals with the scores of a full float32 product.

    A program gathers some of the proposals of ROWS rows. A score is the same chain of fused steps
    as in `score_all`, so that it has the same bits. bound.py says why these scores decide.

    Args:
        x_ptr: (N, D); weight_ptr: (S * L, D); bias_ptr: (S * L,) or None.
        floor_ptr: (N,) float32 or None.
        proposals_ptr: (N * S, count) int64 keys, any order; NONE is no proposal.
        limits_ptr: (N * S,) int64. Proposals with lower keys are left out.
        keys_ptr: (N * S, count) int64, written; NONE for those left out or not above the floor.
        row_count: N * S; count: proposals of each.
        stacks: S; latents: L; dim: D.

    """
    outs = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    there = outs < row_count
    row, stack = outs // stacks, outs % stacks
    slot = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    own = there[:, None] & (slot < count)[None, :]
    place = outs[:, None] * count + slot[None, :]
    proposal = tl.load(proposals_ptr + place, mask=own, other=NONE)
    limit = tl.load(limits_ptr + outs, mask=there, other=NONE)
    wanted = (proposal != NONE) & (proposal >= limit[:, None])
    index = tl.where(wanted, (proposal ^ INDEX_BITS) & INDEX_BITS, 0)
    stacked = stack[:, None] * latents + index
    scores = tl.zeros((ROWS, 1, BLOCK_C), tl.float32)
    if tl.max(tl.max(wanted.to(tl.int32), 1), 0) > 0:
        depth = tl.arange(0, BLOCK_K)
        left = x_ptr + row[:, None] * dim + depth[None, :]
        right = weight_ptr + stacked[:, :, None] * dim + depth[None, None, :]
        for start in range(0, dim, BLOCK_K):
            inside = start + depth < dim
            known = there[:, None] & inside[None, :]
            a = tl.load(left + start, mask=known, other=0.0).to(tl.float32)
            known = wanted[:, :, None] & inside[None, None, :]
            b = tl.load(right + start, mask=known, other=0.0).to(tl.float32)
            b = tl.permute(b, (0, 2, 1))
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


@dataclass(frozen=True)
class Best:
    """The best scores of rows, and which rows are proved."""

    values: Tensor
    """(R, k) float32, descending; 0 in missing places."""
    indices: Tensor
    """(R, k) int64; -1 in missing places."""
    proved: Tensor
    """(R,) bool: whether no other latent is better."""
    rescored: Tensor
    """() int64: proposals that were scored."""


def proposed(k: int) -> int:
    """Return how many proposals a row gets for its k best, so that few rows stay unproved.

    In random rows with D = 4,096, whose slack is the widest compared with the spread of their
    scores, about twice k latents have a bound above the k-th score. The latents of proposals below
    that score are not read.
    """
    return min(MOST_PROPOSED, max(4 * k, 16))


@dataclass(frozen=True)
class Chosen:
    """Keys that include the best of each row, if `unseen` proves it."""

    keys: Tensor
    """(R, count) int64, distinct except MISSING: the keys of a full product's scores."""
    unseen: Tensor
    """(R,) int64: no latent that is missing among the keys has a better one than this."""
    rescored: Tensor
    """() int64: proposals that were scored."""


def keys_of_proposals(keys: Tensor, kept: int, k: int, scores: Scores) -> Chosen:
    """Score proposals. A row's k best are among them if `unseen` is no better than the k-th.

    Args:
        keys: (N * S, count) int64: proposals in groups of `kept`, each group descending. A latent's
            own key is never above its proposal's: see bound.py.
        kept: how many proposals each group of latents has.
        k: 1 to MOST.
        scores: the inputs of the scan. The mask is not read: proposals have passed it.

    """
    chosen, unseen = choose(keys, proposed(k), kept)
    return keys_of_chosen(chosen, unseen, k, scores)


def best_of_chosen(chosen: Tensor, unseen: Tensor, k: int, scores: Scores) -> Best:
    """Rank the k best of `keys_of_chosen`."""
    found = keys_of_chosen(chosen, unseen, k, scores)
    values, indices, least = ranked(found.keys, k)
    return Best(values, indices, found.unseen <= least, found.rescored)


def keys_of_chosen(chosen: Tensor, unseen: Tensor, k: int, scores: Scores) -> Chosen:
    """Score chosen proposals (N * S, count), where `unseen` (N * S,) is the best of the others."""
    count = proposed(k)
    while chosen.shape[1] > count:
        chosen, _ = choose(chosen, count, 1)
    chosen = chosen.sort(dim=1, descending=True).values
    # The last of the chosen bounds those that were not chosen.
    unseen = torch.maximum(unseen, chosen[:, -1])
    # The scores of the k best proposals give a limit, which few of the other proposals reach.
    first = _own_keys(chosen[:, :k], torch.full_like(unseen, MISSING), scores)
    limit = first.amin(1)
    rest = chosen[:, k:].contiguous()
    keys = torch.cat([first, _own_keys(rest, limit, scores)], 1)
    scored = (chosen[:, :k] != MISSING).sum()
    scored += ((rest >= limit[:, None]) & (rest != MISSING)).sum()
    return Chosen(keys, unseen, scored)


def _own_keys(proposals: Tensor, limits: Tensor, scores: Scores) -> Tensor:
    rows, count = proposals.shape
    proposals = proposals.contiguous()
    keys = torch.empty_like(proposals)
    rescore[(triton.cdiv(rows, ROWS), triton.cdiv(count, AT_ONCE))](
        scores.x, scores.weight, scores.bias, scores.floor, proposals, limits, keys,
        rows, count, scores.stacks, scores.latents, scores.x.shape[1],
        ROWS=ROWS, BLOCK_C=AT_ONCE, BLOCK_K=DEPTH, NONE=MISSING, num_warps=WARPS,
    )  # fmt: skip
    return keys
