"""Selects the k best keys of rows on a GPU, and ranks them."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from .scan import INDEX_BITS, MISSING, score_of_ordered

MOST = 256  # the largest k, whose keys fit the registers of one program
CHUNK = 4096  # how many keys one program searches, of one row or of several
RANKED = 32  # how many keys a key is compared with at once


@triton.jit
def choose_best(
    keys_ptr, chosen_ptr, unseen_ptr, row_count, count, k,
    KEPT: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr, K: tl.constexpr,
    NONE: tl.constexpr,
):  # fmt: skip
    """Write the k largest of each chunk of a row's distinct keys, in any order.

    The bits of the k-th largest key are found from the highest down: a bit is set if k keys are
    still at least that large. linear.py compares `unseen` in its proof. Nothing is rounded.

    Args:
        keys_ptr: (R, count) int64; NONE may stand more than once.
        chosen_ptr: (R, chunks, k) int64, written; NONE in the places that are left.
        unseen_ptr: (R, chunks) int64, written: the largest key at a place that is KEPT - 1 modulo
            KEPT, that is, of each group's last key.
        row_count: R.
        count: keys of a row.
        k: 1 to K.

    """
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    inside = row < row_count
    chunk = tl.program_id(1)
    place = chunk * BLOCK + tl.arange(0, BLOCK)
    there = inside[:, None] & (place < count)[None, :]
    key = tl.load(keys_ptr + row[:, None] * count + place[None, :], mask=there, other=NONE)
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
    out = row * tl.num_programs(1) + chunk
    position = tl.cumsum(best.to(tl.int32), 1) - 1
    # If no key is eligible, no key reaches any threshold; k still bounds the positions.
    tl.store(chosen_ptr + out[:, None] * k + position, key, mask=best & (position < k))
    rest = tl.arange(0, K)[None, :]
    missing = inside[:, None] & (rest >= found[:, None]) & (rest < k)
    tl.store(chosen_ptr + out[:, None] * k + rest, NONE, mask=missing)
    last = tl.where((place % KEPT == KEPT - 1)[None, :], key, NONE)
    tl.store(unseen_ptr + out, tl.max(last, 1), mask=inside)


@triton.jit
def rank_chosen(
    chosen_ptr, values_ptr, indices_ptr, least_ptr, row_count, k,
    ROWS: tl.constexpr, BLOCK: tl.constexpr, K: tl.constexpr, NONE: tl.constexpr,
):  # fmt: skip
    """Write each row's distinct keys as scores and indices, in descending order.

    A key's place is the number of larger keys. Nothing is rounded, and there are no ties.

    Args:
        chosen_ptr: (R, k) int64; NONE is no key.
        values_ptr: (R, k) float32, written; 0 in missing places.
        indices_ptr: (R, k) int64, written; -1 in missing places.
        least_ptr: (R,) int64, written: the smallest key, NONE if there are fewer than k.
        row_count: R.
        k: 1 to K.

    """
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    inside = (row < row_count)[:, None]
    slot = tl.arange(0, K)[None, :]
    own = inside & (slot < k)
    start_of_row = row[:, None] * k
    key = tl.load(chosen_ptr + start_of_row + slot, mask=own, other=NONE)
    rank = tl.zeros((ROWS, K), tl.int32)
    for start in range(0, k, BLOCK):
        other = start + tl.arange(0, BLOCK)[None, :]
        there = inside & (other < k)
        others = tl.load(chosen_ptr + start_of_row + other, mask=there, other=NONE)
        rank += tl.sum((others[:, None, :] > key[:, :, None]).to(tl.int32), 2)
    real = key != NONE
    found = tl.sum(real.to(tl.int32), 1)[:, None]
    score = score_of_ordered((key >> 32).to(tl.int32))
    index = (key ^ INDEX_BITS) & INDEX_BITS
    tl.store(values_ptr + start_of_row + rank, score, mask=real)
    tl.store(indices_ptr + start_of_row + rank, index, mask=real)
    missing = own & (slot >= found)
    tl.store(values_ptr + start_of_row + slot, tl.zeros((ROWS, K), tl.float32), mask=missing)
    tl.store(indices_ptr + start_of_row + slot, tl.full((ROWS, K), -1, tl.int64), mask=missing)
    smallest = tl.min(tl.where(own, key, tl.max(key, 1)[:, None]), 1)
    tl.store(least_ptr + row, smallest, mask=row < row_count)


def ranked(chosen: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return values and indices of the k best of each row's keys, (R, count), and the least key.

    A row's keys are distinct.
    """
    chosen = narrowed(chosen, k)
    values = torch.empty(chosen.shape, dtype=torch.float32, device=chosen.device)
    indices, least = torch.empty_like(chosen), torch.empty_like(chosen[:, 0])
    size = triton.next_power_of_2(k)
    rows = MOST // size
    rank_chosen[(triton.cdiv(chosen.shape[0], rows),)](
        chosen, values, indices, least, chosen.shape[0], k,
        ROWS=rows, BLOCK=min(RANKED, size), K=size, NONE=MISSING,
    )  # fmt: skip
    return values, indices, least


def narrowed(chosen: Tensor, k: int) -> Tensor:
    """Return the k best of each row's distinct keys, (R, count), in any order."""
    while chosen.shape[1] > k:
        chosen, _ = choose(chosen, k, 1)
    return chosen


def choose(keys: Tensor, k: int, kept: int) -> tuple[Tensor, Tensor]:
    """Return the k best keys of each chunk, (R, chunks * k), and `unseen` of each row, (R,)."""
    count = keys.shape[1]
    block = min(CHUNK, triton.next_power_of_2(count))
    rows, chunks = CHUNK // block, triton.cdiv(count, block)
    chosen = keys.new_empty((keys.shape[0], chunks, k))
    unseen = keys.new_empty((keys.shape[0], chunks))
    choose_best[(triton.cdiv(keys.shape[0], rows), chunks)](
        keys, chosen, unseen, keys.shape[0], count, k,
        KEPT=kept, ROWS=rows, BLOCK=block, K=triton.next_power_of_2(k), NONE=MISSING, num_warps=8,
    )  # fmt: skip
    return chosen.flatten(1), unseen.amax(1)
