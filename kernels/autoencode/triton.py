"""The autoencoder in Triton, on a GPU: the program that ranks a row's latents also decodes the row.

topk/triton/ scans, and chooses the best keys. `finish_rows` ranks the chosen keys, then gathers
the decoder rows of the k best; the k values and indices that it reads back are in a cache. If a row
is not proved, all its scores are computed, and it is decoded again. topk/triton/linear.py says what
a CUDA graph does.
"""

import math
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..decode.triton import BLOCK, PLACES, WARPS, decoded_piece
from ..launch import capturing, on_device, ready, two_counts
from ..topk.triton.blocks import chosen_blocks
from ..topk.triton.dense import dense_topk, first_call, rows_again
from ..topk.triton.plan import plan_for
from ..topk.triton.rescore import Scores
from ..topk.triton.scan import MISSING
from ..topk.triton.select import MOST, narrowed, rank_chosen, ranked_at_once
from .interface import AutoencodeInputs, Parts

LEAST_K = 16  # a program has room for this many keys or more, because less would save nothing


class Decoder(NamedTuple):
    """The tensors that rows are decoded with, contiguous."""

    weight: Tensor
    """(L, D)."""
    bias: Tensor | None
    """(D,)."""
    centre: Tensor
    """(D,) float32: the mean of all rows of x."""


class Rows(NamedTuple):
    """The results for R rows; see api.Autoencoded."""

    recon: Tensor
    values: Tensor
    indices: Tensor
    squares: Tensor
    deviations: Tensor


@triton.jit(do_not_specialize=["row_count", "count", "chunks"])
def finish_rows(
    chosen_ptr, unseen_ptr, values_ptr, indices_ptr, proved_ptr, redone_ptr, x_ptr, weight_ptr,
    bias_ptr, centre_ptr, recon_ptr, squares_ptr, deviations_ptr,
    row_count, count, chunks, k, latents, dim,
    RANKED: tl.constexpr, K: tl.constexpr, NONE: tl.constexpr,
    BLOCK: tl.constexpr, PLACES: tl.constexpr,
):  # fmt: skip
    """Rank a row's chosen keys, decode the row, and compare it with x. One program makes one row.

    Args:
        chosen_ptr: (R, count) int64 distinct keys in any order, NONE for none. If it is None,
            values and indices are there already.
        unseen_ptr: (R, chunks) int64; proved_ptr: (R,) bool, written; redone_ptr: () int64, added
            to: see `rank_chosen`. They are None if chosen_ptr is None.
        values_ptr: (R, k) x's dtype; indices_ptr: (R, k) int64.
        x_ptr: (R, D).
        weight_ptr: (L, D); bias_ptr: (D,) or None.
        centre_ptr: (D,) float32.
        recon_ptr: (R, D) x's dtype, written.
        squares_ptr: (R,) float32, written; deviations_ptr: (R,) float32, written.
        row_count: R; count: at most K; chunks: see unseen_ptr.
        k: 1 to K; any number if chosen_ptr is None.
        latents: L.
        dim: D.

    """
    if chosen_ptr is not None:
        rank_chosen(
            chosen_ptr, unseen_ptr, values_ptr, indices_ptr, proved_ptr, redone_ptr,
            row_count, count, chunks, k, 1, 1, 1, RANKED, K, NONE,
        )  # fmt: skip
        tl.debug_barrier()  # waits until the other threads have written values and indices
    row = tl.program_id(0).to(tl.int64)
    sums = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, dim, BLOCK):
        cols = start + tl.arange(0, BLOCK)
        inside = cols < dim
        total = decoded_piece(
            values_ptr, indices_ptr, weight_ptr, bias_ptr, row * k, cols, k, latents, dim,
            BLOCK, PLACES,
        )  # fmt: skip
        tl.store(recon_ptr + row * dim + cols, total, mask=inside)
        error = total - tl.load(x_ptr + row * dim + cols, mask=inside, other=0.0).to(tl.float32)
        sums += tl.where(inside, error * error, 0.0)
    tl.store(squares_ptr + row, tl.sum(sums, 0))
    # A loop of its own takes fewer registers, and x's row is in a cache by now.
    sums = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, dim, BLOCK):
        cols = start + tl.arange(0, BLOCK)
        own = tl.load(x_ptr + row * dim + cols, mask=cols < dim, other=0.0).to(tl.float32)
        away = own - tl.load(centre_ptr + cols, mask=cols < dim, other=0.0)
        sums += away * away
    tl.store(deviations_ptr + row, tl.sum(sums, 0))


def topk_autoencode(inputs: AutoencodeInputs) -> Parts:
    """See api.topk_autoencode."""
    x, b_enc, b_dec, k = inputs.x, inputs.b_enc, inputs.b_dec, inputs.k
    own = ready(x)
    floor = torch.zeros(own.shape[0], dtype=torch.float32, device=x.device)
    bias = None if b_enc is None else ready(b_enc)
    scores = Scores(own, ready(inputs.W_enc), bias, None, floor)
    found, (scored, redone) = _empty(own, k), two_counts(x.device)
    with on_device(x):
        centre = own.mean(0, dtype=torch.float32)
        decoder = Decoder(ready(inputs.W_dec), None if b_dec is None else ready(b_dec), centre)
        plan = plan_for("linear_topk", own, scores.latents, k)
        if plan is None:
            _compute(scores, None, found, decoder)
        else:
            proved = torch.empty(own.shape[0], dtype=torch.bool, device=x.device)
            for block in chosen_blocks(scores, k, plan, inputs.packed, scored):
                part = Rows(*(every[block.rows] for every in found))
                keys = narrowed(block.keys, k, MOST), block.unseen, proved[block.rows], redone
                _finish(keys, own[block.rows], part, decoder)
                del block, keys
            first = first_call(scores, k)
            if capturing(x) or int(redone) or first:
                rows, lost = rows_again(proved, first)
                _compute(scores, rows, found, decoder)
                if lost is not None:
                    for every in (found.recon, found.values, found.squares):
                        shape = (-1, *[1] * (every.ndim - 1))
                        every.masked_fill_(lost.view(shape), math.nan)
    recon, values = found.recon.to(x.dtype), found.values.to(x.dtype)
    return recon, values, found.indices, found.squares, found.deviations, scored, redone


def _empty(x: Tensor, k: int) -> Rows:
    values = x.new_empty((x.shape[0], k))
    squares = torch.empty(x.shape[0], dtype=torch.float32, device=x.device)
    indices = torch.empty_like(values, dtype=torch.int64)
    return Rows(torch.empty_like(x), values, indices, squares, torch.empty_like(squares))


def _compute(scores: Scores, rows: Tensor | None, found: Rows, decoder: Decoder) -> None:
    """Write the results for some rows from all their scores; None for all rows."""
    for part, values, indices in dense_topk(scores, 0, found.values.shape[1], rows):
        x = scores.x[part]
        own = _empty(x, values.shape[1])._replace(values=values.to(x.dtype), indices=indices)
        _finish(None, x, own, decoder)
        for every, numbers in zip(found, own, strict=True):
            every[part] = numbers


def _finish(
    keys: tuple[Tensor, Tensor, Tensor, Tensor] | None, x: Tensor, found: Rows, decoder: Decoder
) -> None:
    """Launch `finish_rows`; keys are `chosen`, `unseen`, `proved` and `redone` of `rank_chosen`."""
    rows, k = found.values.shape
    chosen, unseen, proved, redone = keys or (None,) * 4
    count = k if chosen is None else chosen.shape[1]
    size = LEAST_K if chosen is None else max(LEAST_K, triton.next_power_of_2(max(k, count)))
    if rows:
        finish_rows[(rows,)](
            chosen, unseen, found.values, found.indices, proved, redone, x,
            *decoder, found.recon, found.squares, found.deviations,
            rows, count, 0 if unseen is None else unseen.shape[1], k, *decoder.weight.shape,
            RANKED=ranked_at_once(size), K=size, NONE=MISSING,
            BLOCK=min(BLOCK, triton.next_power_of_2(max(1, x.shape[1]))), PLACES=PLACES,
            num_warps=WARPS,
        )  # fmt: skip
