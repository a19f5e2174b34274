"""Selects the k best keys of rows on a GPU, and ranks them."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from .scan import INDEX_BITS, MISSING, score_of_ordered

MOST = 256  # the largest k, whose keys fit the registers of one program
CHUNK = 4096  # how many keys one program searches, of one row or of several
PAIRS = 8192  # how many pairs of keys a program compares at once, when it ranks keys
LARGEST_RANKED = 2 * MOST  # the most keys of a row that are ranked


@triton.jit(do_not_specialize=["row_count", "offset", "first_chunk", "chunks"])
def choose_best(
    keys_ptr, chosen_ptr, unseen_ptr, row_count, count, k, offset, first_chunk, chunks,
    KEPT: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr, K: tl.constexpr,
    NONE: tl.constexpr,
):  # fmt: skip
    """Write the k largest of each chunk of a row's distinct keys, in any order.

    The bits of the k-th largest key are found from the highest down: a bit is set if k keys are
    still at least that large. linear.py compares `unseen` in its proof. Nothing is rounded.

    Args:
        keys_ptr: (R, count) int64; NONE may stand more than once.
        chosen_ptr: (R, chunks, k) int64, written from `first_chunk` on; NONE in the places left.
        unseen_ptr: (R, chunks) int64, written from `first_chunk` on: the largest key at a place
            that is KEPT - 1 modulo KEPT, that is, of each group's last key. It may be None.
        row_count: R.
        count: keys of a row.
        k: 1 to K.
        offset: what to add to the index in each key.
        first_chunk: where this call's chunks start; chunks: how many there are in the end.

    """
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    inside = row < row_count
    place = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    there = inside[:, None] & (place < count)[None, :]
    key = tl.load(keys_ptr + row[:, None] * count + place[None, :], mask=there, other=NONE)
    # A key's lowest bits hold the complement of the index.
    key = tl.where(key == NONE, key, key - offset)
    found = tl.minimum(tl.sum((key != NONE).to(tl.int32), 1), k)
    one = tl.full((), 1, tl.int64)
    threshold = tl.full((ROWS,), NONE, tl.int64)
    reached = tl.full((ROWS,), BLOCK, tl.int32)
    bit = tl.full((), 63, tl.int32)
    while (bit >= 0) & (tl.max((reached != found).to(tl.int32), 0) > 0):
        higher = threshold ^ (one << bit.to(tl.int64))
        reaching = tl.sum((key >= higher[:, None]).to(tl.int32), 1)
        better = (reaching >= found) & (reached != found)
        threshold = tl.where(better, higher, threshold)
        reached = tl.where(better, reaching, reached)
        bit -= 1
    best = (key >= threshold[:, None]) & (key != NONE)
    out = row * chunks + first_chunk + tl.program_id(1)
    position = tl.cumsum(best.to(tl.int32), 1) - 1
    # If no key is eligible, no key reaches any threshold; k still bounds the positions.
    tl.store(chosen_ptr + out[:, None] * k + position, key, mask=best & (position < k))
    rest = tl.arange(0, K)[None, :]
    missing = inside[:, None] & (rest >= found[:, None]) & (rest < k)
    tl.store(chosen_ptr + out[:, None] * k + rest, NONE, mask=missing)
    if unseen_ptr is not None:
        last = tl.where((place % KEPT == KEPT - 1)[None, :], key, NONE)
        tl.store(unseen_ptr + out, tl.max(last, 1), mask=inside)


@triton.jit
def with_ranks(keys_ptr, row, inside, count, BLOCK: tl.constexpr, K: tl.constexpr,
               NONE: tl.constexpr):  # fmt: skip
    """Return each row's keys (rows, K), and how many of its other keys are larger."""
    slot = tl.arange(0, K)[None, :]
    start_of_row = row[:, None] * count
    key = tl.load(keys_ptr + start_of_row + slot, mask=inside & (slot < count), other=NONE)
    rank = tl.zeros((row.shape[0], K), tl.int32)
    for start in range(0, count, BLOCK):
        other = start + tl.arange(0, BLOCK)[None, :]
        there = inside & (other < count)
        others = tl.load(keys_ptr + start_of_row + other, mask=there, other=NONE)
        rank += tl.sum((others[:, None, :] > key[:, :, None]).to(tl.int32), 2)
    return key, rank


@triton.jit
def largest_unseen(unseen_ptr, row, inside, chunks, NONE: tl.constexpr):
    """Return the largest of the `chunks` numbers of each row."""
    largest = tl.full((row.shape[0],), NONE, tl.int64)
    for chunk in range(0, chunks):
        number = tl.load(unseen_ptr + row * chunks + chunk, mask=inside, other=NONE)
        largest = tl.maximum(largest, number)
    return largest


@triton.jit(do_not_specialize=["row_count", "count", "chunks", "stacks", "stride"])
def rank_chosen(
    chosen_ptr, unseen_ptr, values_ptr, indices_ptr, proved_ptr, redone_ptr,
    row_count, count, chunks, k, stacks, stride,
    ROWS: tl.constexpr, BLOCK: tl.constexpr, K: tl.constexpr, NONE: tl.constexpr,
):  # fmt: skip
    """Write the k best of each row's distinct keys as scores and indices, in descending order.

    A key's place is the number of larger keys. Nothing is rounded, and there are no ties. A row is
    proved if no key that it has not seen is better than its k-th best.

    Args:
        chosen_ptr: (R, count) int64; NONE is no key.
        unseen_ptr: (R, chunks) int64: no missing key is larger than the largest of these. If it is
            None, nothing is missing, and proved_ptr and redone_ptr are not written.
        values_ptr: (R / stacks, stride, k), a float dtype, written; 0 in missing places.
        indices_ptr: the same int64, written; -1 in missing places.
        proved_ptr: (R / stacks, stride) bool, written.
        redone_ptr: () int64, added to: how many rows are not proved.
        row_count: R; count: at most K; chunks: see unseen_ptr.
        k: how many are wanted.
        stacks: row i of chosen_ptr belongs to stack i % stacks of row i / stacks.
        stride: the number of stacks of the results.

    """
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    there = row < row_count
    inside = there[:, None]
    key, rank = with_ranks(chosen_ptr, row, inside, count, BLOCK, K, NONE)
    real = key != NONE
    kept = real & (rank < k)
    found = tl.sum(kept.to(tl.int32), 1)[:, None]
    score = score_of_ordered((key >> 32).to(tl.int32))
    index = (key ^ INDEX_BITS) & INDEX_BITS
    place = row // stacks * stride + row % stacks
    if unseen_ptr is not None:
        least = tl.max(tl.where(real & (rank == k - 1), key, NONE), 1)
        proved = largest_unseen(unseen_ptr, row, there, chunks, NONE) <= least
        tl.store(proved_ptr + place, proved, mask=there)
        redone = tl.sum((there & ~proved).to(tl.int64), 0)
        if redone > 0:
            tl.atomic_add(redone_ptr, redone)
    first = place[:, None] * k
    tl.store(values_ptr + first + rank, score, mask=kept)
    tl.store(indices_ptr + first + rank, index, mask=kept)
    slot = tl.arange(0, K)[None, :]
    missing = inside & (slot >= found) & (slot < k)
    tl.store(values_ptr + first + slot, tl.zeros((ROWS, K), tl.float32), mask=missing)
    tl.store(indices_ptr + first + slot, tl.full((ROWS, K), -1, tl.int64), mask=missing)


@triton.jit(do_not_specialize=["row_count", "chunks"])
def order_chosen(
    chosen_ptr, unseen_ptr, ordered_ptr, bound_ptr, row_count, count, chunks,
    ROWS: tl.constexpr, BLOCK: tl.constexpr, K: tl.constexpr, NONE: tl.constexpr,
):  # fmt: skip
    """Write each row's distinct keys in descending order, and a bound on all keys not among them.

    Args:
        chosen_ptr: (R, count) int64; NONE is no key; unseen_ptr: (R, chunks) as in `rank_chosen`.
        ordered_ptr: (R, count) int64, written.
        bound_ptr: (R, 1) int64, written: the largest unseen key, or the last of the ordered keys if
            that is larger.
        row_count: R; count: 1 to K.
        chunks: see unseen_ptr.

    """
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    there = row < row_count
    inside = there[:, None]
    key, rank = with_ranks(chosen_ptr, row, inside, count, BLOCK, K, NONE)
    real = key != NONE
    found = tl.sum(real.to(tl.int32), 1)[:, None]
    tl.store(ordered_ptr + row[:, None] * count + rank, key, mask=real)
    slot = tl.arange(0, K)[None, :]
    tl.store(ordered_ptr + row[:, None] * count + slot, NONE,
             mask=inside & (slot >= found) & (slot < count))  # fmt: skip
    last = tl.max(tl.where(real & (rank == count - 1), key, NONE), 1)
    bound = tl.maximum(largest_unseen(unseen_ptr, row, there, chunks, NONE), last)
    tl.store(bound_ptr + row, bound, mask=there)


def chunks_of(count: int) -> int:
    """Return in how many chunks `count` keys of a row are searched."""
    chunks: int = triton.cdiv(count, CHUNK)
    return chunks


def choose(
    keys: Tensor, k: int, kept: int, chosen: Tensor, unseen: Tensor | None,
    first_chunk: int = 0, offset: int = 0,
) -> None:  # fmt: skip
    """Write the k best of each chunk of keys (R, count) to `chosen`, (R, chunks, k).

    The arguments are those of `choose_best`.
    """
    rows, count = keys.shape
    block = min(CHUNK, triton.next_power_of_2(count))
    height = CHUNK // block
    choose_best[(triton.cdiv(rows, height), triton.cdiv(count, block))](
        keys, chosen, unseen, rows, count, k, offset, first_chunk, chosen.shape[1],
        KEPT=kept, ROWS=height, BLOCK=block, K=triton.next_power_of_2(k), NONE=MISSING,
        num_warps=8,
    )  # fmt: skip


def narrowed(keys: Tensor, k: int, most: int) -> Tensor:
    """Return at most `most` of each row's distinct keys, (R, count), with the k best; most >= k."""
    while keys.shape[1] > most:
        chosen = keys.new_empty((keys.shape[0], chunks_of(keys.shape[1]), k))
        choose(keys, k, 1, chosen, None)
        keys = chosen.flatten(1)
    return keys


def rank(
    keys: Tensor, unseen: Tensor | None, k: int, values: Tensor, indices: Tensor,
    proved: Tensor | None = None, redone: Tensor | None = None,
) -> None:  # fmt: skip
    """Write the k best of the distinct keys (R * S, count) as values and indices (R, S, k).

    The arguments are those of `rank_chosen`. The results may be a part of the stacks of larger
    tensors.
    """
    keys = narrowed(keys, k, MOST)
    size = triton.next_power_of_2(max(k, keys.shape[1]))
    height = MOST // size
    rank_chosen[(triton.cdiv(keys.shape[0], height),)](
        keys, unseen, values, indices, proved, redone, *keys.shape,
        0 if unseen is None else unseen.shape[1], k, values.shape[1], values.stride(0) // k,
        ROWS=height, BLOCK=ranked_at_once(size), K=size, NONE=MISSING,
    )  # fmt: skip


def ordered_keys(chosen: Tensor, unseen: Tensor) -> tuple[Tensor, Tensor]:
    """Return the keys (R, count) in descending order, and the bound (R, 1): see `order_chosen`."""
    ordered, bound = torch.empty_like(chosen), unseen.new_empty((unseen.shape[0], 1))
    size = triton.next_power_of_2(chosen.shape[1])
    height = max(1, MOST // size)
    order_chosen[(triton.cdiv(chosen.shape[0], height),)](
        chosen, unseen, ordered, bound, *chosen.shape, unseen.shape[1],
        ROWS=height, BLOCK=ranked_at_once(size), K=size, NONE=MISSING,
    )  # fmt: skip
    return ordered, bound


def ranked_at_once(size: int) -> int:
    """Return how many keys are compared at once with `size` others of each row."""
    return min(size, PAIRS // max(MOST, size))
