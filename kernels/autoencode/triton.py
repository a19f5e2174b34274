"""The autoencoder in Triton, on a GPU: the program that ranks a row's latents also decodes the row.

topk/triton/ scans, and chooses the k best keys. `finish_rows` ranks the chosen keys, then gathers
their decoder rows; the k values and indices that it reads back are in a cache. If a row is not
proved, all its scores are computed, and it is decoded again.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..decode.triton import BLOCK, PLACES, WARPS, decoded_piece
from ..launch import on_device, ready
from ..topk.triton.dense import dense_topk
from ..topk.triton.linear import chosen_keys
from ..topk.triton.rescore import Chosen, Scores
from ..topk.triton.scan import MISSING
from ..topk.triton.select import RANKED, narrowed, rank_chosen
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


@triton.jit
def finish_rows(
    chosen_ptr, least_ptr, values_ptr, indices_ptr, x_ptr, weight_ptr, bias_ptr, centre_ptr,
    recon_ptr, squares_ptr, deviations_ptr, row_count, k, latents, dim,
    RANKED: tl.constexpr, K: tl.constexpr, NONE: tl.constexpr,
    BLOCK: tl.constexpr, PLACES: tl.constexpr,
):  # fmt: skip
    """Rank a row's chosen keys, decode the row, and compare it with x. One program makes one row.

    Args:
        chosen_ptr: (R, k) int64 distinct keys in any order, NONE for none. If it is None, values
            and indices are there already.
        least_ptr: (R,) int64, written: see `rank_chosen`. None if chosen_ptr is None.
        values_ptr: (R, k) x's dtype; indices_ptr: (R, k) int64.
        x_ptr: (R, D).
        weight_ptr: (L, D); bias_ptr: (D,) or None.
        centre_ptr: (D,) float32.
        recon_ptr: (R, D) x's dtype, written.
        squares_ptr: (R,) float32, written; deviations_ptr: (R,) float32, written.
        row_count: R.
        k: 1 to K; any number if chosen_ptr is None.
        latents: L.
        dim: D.

    """
    if chosen_ptr is not None:
        rank_chosen(
            chosen_ptr, values_ptr, indices_ptr, least_ptr, row_count, k, 1, RANKED, K, NONE
        )
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
    with on_device(x):
        centre = own.mean(0, dtype=torch.float32)
        decoder = Decoder(ready(inputs.W_dec), None if b_dec is None else ready(b_dec), centre)
        chosen = chosen_keys(scores, k, inputs.packed)
        if chosen is None:
            found = _dense(scores, slice(None), k, decoder)
            survivors, redone = torch.zeros((2,), dtype=torch.int64, device=x.device).unbind()
        else:
            found, proved = _ranked(chosen, k, own, decoder)
            again = (~proved).nonzero().squeeze(1)
            if again.numel():
                for every, part in zip(found, _dense(scores, again, k, decoder), strict=True):
                    every[again] = part
            survivors, redone = chosen.rescored, (~proved).sum()
    recon, values = found.recon.to(x.dtype), found.values.to(x.dtype)
    stats = survivors.clone(), redone.clone()
    return recon, values, found.indices, found.squares, found.deviations, *stats


def _ranked(chosen: Chosen, k: int, x: Tensor, decoder: Decoder) -> tuple[Rows, Tensor]:
    """Return the results for the rows, and which rows are proved, (N,) bool."""
    keys = narrowed(chosen.keys, k)
    least = torch.empty_like(chosen.unseen)
    values, indices = x.new_empty(keys.shape), torch.empty_like(keys)
    found = _finished(keys, least, values, indices, x, decoder)
    return found, chosen.unseen <= least


def _dense(scores: Scores, rows: Tensor | slice, k: int, decoder: Decoder) -> Rows:
    """Return the results for some rows, from all their scores."""
    x, floor = scores.x[rows], None if scores.floor is None else scores.floor[rows]
    values, indices = dense_topk(x, scores.weight, scores.bias, k, floor, None)
    return _finished(None, None, values.to(x.dtype), indices, x, decoder)


def _finished(
    chosen: Tensor | None,
    least: Tensor | None,
    values: Tensor,
    indices: Tensor,
    x: Tensor,
    decoder: Decoder,
) -> Rows:
    """Launch `finish_rows`."""
    rows, k = values.shape
    recon = torch.empty_like(x)
    squares = torch.empty(rows, dtype=torch.float32, device=x.device)
    deviations = torch.empty_like(squares)
    size = LEAST_K if chosen is None else max(LEAST_K, triton.next_power_of_2(k))
    if rows:
        finish_rows[(rows,)](
            chosen, least, values, indices, x, decoder.weight, decoder.bias, decoder.centre,
            recon, squares, deviations, rows, k, *decoder.weight.shape,
            RANKED=min(RANKED, size), K=size, NONE=MISSING,
            BLOCK=min(BLOCK, triton.next_power_of_2(max(1, x.shape[1]))), PLACES=PLACES,
            num_warps=WARPS,
        )  # fmt: skip
    return Rows(recon, values, indices, squares, deviations)
