"""Finds the keys that may be the best of each row, a block of rows and latents at a time.

A block's keys lie in one buffer, which the next block uses again, so that the memory of a scan
grows neither with N nor with L.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
import triton
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from ...launch import describable
from .bound import packed_rough, rough
from .plan import Plan
from .rescore import Scores, keys_of_proposals, proposed
from .rounding import rounded
from .scan import scan_groups
from .select import choose, chunks_of
from .tiles import BAND

KEYS_AT_ONCE = 1 << 22  # the most keys of a block: 32 MiB
CHOSEN_AT_ONCE = 20 << 20  # the most bytes of what is kept of a block of rows


@dataclass(frozen=True)
class Block:
    """The keys of some rows in some stacks."""

    rows: slice
    stacks: slice
    keys: Tensor
    """(R * S, count) int64: distinct, except those that stand for no score."""
    unseen: Tensor
    """(R * S, chunks) int64: no missing key of a row is larger than the largest of these."""


@dataclass(frozen=True)
class Cut:
    """How many rows, stacks and latents of each stack a block has."""

    rows: int
    stacks: int
    latents: int


def cut(scores: Scores, plan: Plan, k: int) -> Cut:
    """Return the blocks of a scan.

    A block has at least BAND tiles of rows, so that the weight is read as seldom as in one scan of
    all rows. On an H100 its tiles are 15 waves or more (2,048 tiles of 128 x 256 with 4 of 64 kept,
    one for each of 132 multiprocessors at a time). It has more rows if there are few latents.
    """
    tile, latents = plan.tile, scores.latents
    count = k if plan.decides else proposed(k)
    chosen = 8 * count * (chunks_of(plan.scheme.keys(latents)) + 4)  # bytes of a row and stack
    chosen += 0 if plan.decides else 2 * scores.x.shape[1]

    def most(stacks: int, keys: int) -> int:
        """Return how many rows fit, as whole tiles."""
        rows = min(KEYS_AT_ONCE // (stacks * keys), CHOSEN_AT_ONCE // (stacks * chosen))
        return max(1, rows // tile.rows) * tile.rows

    keys = plan.scheme.keys(latents)
    rows = min(BAND * tile.rows, most(1, 1), _whole(scores.x.shape[0], tile.rows))
    stacks = min(scores.stacks, KEYS_AT_ONCE // (rows * keys), CHOSEN_AT_ONCE // (rows * chosen))
    stacks = max(1, stacks)
    width = latents
    if rows * keys > KEYS_AT_ONCE:
        width = KEYS_AT_ONCE // rows // plan.scheme.kept * plan.scheme.group
        width = _even(latents, max(1, width // tile.cols) * tile.cols, tile.cols)
    height = max(rows, most(stacks, plan.scheme.keys(width)))
    return Cut(_even(scores.x.shape[0], height, tile.rows), stacks, width)


def _whole(count: int, size: int) -> int:
    return math.ceil(count / size) * size


def _even(count: int, most: int, size: int) -> int:
    """Return the size of equal blocks of at most `most`, as a multiple of `size`."""
    blocks = math.ceil(count / most)
    return _whole(math.ceil(count / blocks), size)


def chosen_blocks(
    scores: Scores, k: int, plan: Plan, packed: Sequence[Tensor], scored: Tensor
) -> Iterator[Block]:
    """Yield blocks that together have every row and stack, with the k best of nearly all rows.

    A row is proved if `unseen` is no better than the least of its k best. The caller computes all
    scores of the other rows.

    Args:
        scores: the inputs, contiguous.
        k: 1 to MOST.
        plan: how the scan runs.
        packed: what `pack` prepared from the weight, or nothing.
        scored: () int64, added to: how many proposals are scored.

    """
    size = cut(scores, plan, k)
    latents = None if plan.decides else packed_rough(packed) or rough(scores.weight)
    height = min(size.rows, scores.x.shape[0])
    keys = torch.empty(
        height * size.stacks * plan.scheme.keys(min(size.latents, scores.latents)),
        dtype=torch.int64, device=scores.x.device,
    )  # fmt: skip
    for rows in _slices(scores.x.shape[0], size.rows):
        given = scores.of_rows(rows)
        scanned = given
        if latents is not None:
            half, slack = rounded(given.x, latents)
            scanned = replace(given, x=half, weight=latents.matrix, slack=slack)
        for stacks in _slices(scores.stacks, size.stacks):
            found = _chosen(scanned.of_stacks(stacks), k, plan, size.latents, keys)
            if latents is not None:
                found = keys_of_proposals(*found, k, given.of_stacks(stacks), scored)
            yield Block(rows, stacks, *found)
            del found  # the caller too lets go of a block, so that only one takes memory


def _chosen(
    scores: Scores, k: int, plan: Plan, width: int, buffer: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the best keys of the rows and stacks (R * S, count), and `unseen` (R * S, chunks)."""
    scheme = plan.scheme
    parts = [(own, scheme.keys(own.stop - own.start)) for own in _slices(scores.latents, width)]
    chunks = sum(chunks_of(count) for _, count in parts)
    height = scores.x.shape[0] * scores.stacks
    most = k if plan.decides else proposed(k)
    chosen = buffer.new_empty((height, chunks, most))
    unseen = buffer.new_empty((height, chunks))
    first = 0
    for own, count in parts:
        keys = buffer[: height * count].view(height, count)
        # Only a single stack is cut into several parts.
        _scan(scores if len(parts) == 1 else scores.of_latents(own), plan, keys)
        choose(keys, most, scheme.kept, chosen, unseen, first, own.start)
        first += chunks_of(count)
    return chosen.flatten(1), unseen


def _scan(scores: Scores, plan: Plan, keys: Tensor) -> None:
    """Write each row's best keys of every group, (R * S, groups * kept)."""
    tile, scheme = plan.tile, plan.scheme
    rows, latents = scores.x.shape[0], scores.latents
    grid = triton.cdiv(rows, tile.rows) * triton.cdiv(latents, tile.cols), scores.stacks
    described = tile.described and all(describable(t) for t in (scores.x, scores.weight))
    matrices = [scores.x, scores.weight, None, None]
    if described:
        x = TensorDescriptor.from_tensor(scores.x, [tile.rows, tile.depth])
        weight = TensorDescriptor.from_tensor(scores.weight, [tile.cols, tile.depth])
        matrices = [None, None, x, weight]
    scan_groups[grid](
        *matrices, *(scores.slack or (None,) * 3), scores.bias, scores.mask, scores.floor,
        keys, rows, latents, scores.x.shape[1], triton.cdiv(latents, scheme.group),
        BLOCK_M=tile.rows, BLOCK_N=tile.cols, BLOCK_K=tile.depth,
        GROUP=scheme.group, KEPT=scheme.kept, BAND=BAND,
        num_warps=tile.warps, num_stages=tile.stages,
    )  # fmt: skip


def _slices(count: int, step: int) -> list[slice]:
    return [slice(start, min(count, start + step)) for start in range(0, count, step)]
