"""The autoencoder in Triton (GPU): the program that ranks a row's latents also decodes it.

The scan and the choice of the k best keys are those of topk/triton.py. `finish_rows` takes chosen
keys, whatever scan they come from, ranks them, and gathers their decoder rows at once: the k values
and indices that it reads back are in a cache. A row that turns out not to be proved is done again
with all its scores, and decoded again.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..decode.triton import BLOCK, PLACES, WARPS, decoded_piece
from ..launch import capturing, on_device, ready
from ..topk.triton import best_of_groups, linear_topk
from ..topk.triton_dense import dense_topk
from ..topk.triton_scan import MISSING, tile_for
from ..topk.triton_scheme import choose_scheme
from ..topk.triton_select import RANKED, choose, rank_chosen

LEAST_K = 16  # places of a choice: fewer would save nothing

Parts = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


class Decoder(NamedTuple):
    """What rows are decoded with, contiguous."""

    weight: Tensor
    """(L, D)."""
    bias: Tensor | None
    """(D,)."""
    centre: Tensor
    """(D,) float32: the mean of all rows of x."""


class Rows(NamedTuple):
    """What is made of R rows; see api.Autoencoded."""

    recon: Tensor
    values: Tensor
    indices: Tensor
    squares: Tensor
    deviations: Tensor


@triton.jit
def finish_rows(
    chosen, least, values, indices, x, weight, bias, centre, recon, squares, deviations,
    row_count, k, latents, dim,
    RANKED: tl.constexpr, K: tl.constexpr, NONE: tl.constexpr,
    BLOCK: tl.constexpr, PLACES: tl.constexpr,
):  # fmt: skip
    """Rank a row's chosen keys, decode them, and compare the result with x. One program a row.

    Args:
        chosen: (R, k) int64 distinct keys in any order, NONE for none; None: values and indices
            are there already.
        least: (R,) int64, written: see `rank_chosen`. None where chosen is.
        values: (R, k) x's dtype; indices: (R, k) int64.
        x: (R, D).
        weight: (L, D); bias: (D,) or None.
        centre: (D,) float32.
        recon: (R, D) x's dtype, written.
        squares: (R,) float32, written; deviations: (R,) float32, written.
        row_count: R.
        k: 1 to K; any number where chosen is None.
        latents: L.
        dim: D.

    """
    if chosen is not None:
        rank_chosen(chosen, values, indices, least, row_count, k, 1, RANKED, K, NONE)
        tl.debug_barrier()  # the other threads' part of values and indices
    row = tl.program_id(0).to(tl.int64)
    sums = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, dim, BLOCK):
        cols = start + tl.arange(0, BLOCK)
        inside = cols < dim
        total = decoded_piece(
            values, indices, weight, bias, row, cols, k, latents, dim, BLOCK, PLACES
        )
        tl.store(recon + row * dim + cols, total, mask=inside)
        error = total - tl.load(x + row * dim + cols, mask=inside, other=0.0).to(tl.float32)
        sums += tl.where(inside, error * error, 0.0)
    tl.store(squares + row, tl.sum(sums, 0))
    # In a loop of its own, for the registers' sake: x's row is in a cache.
    sums = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, dim, BLOCK):
        cols = start + tl.arange(0, BLOCK)
        own = tl.load(x + row * dim + cols, mask=cols < dim, other=0.0).to(tl.float32)
        away = own - tl.load(centre + cols, mask=cols < dim, other=0.0)
        sums += away * away
    tl.store(deviations + row, tl.sum(sums, 0))


def topk_autoencode(
    x: Tensor,
    W_enc: Tensor,
    b_enc: Tensor | None,
    _packed: Sequence[Tensor],
    W_dec: Tensor,
    b_dec: Tensor | None,
    k: int,
) -> Parts:
    """See api.topk_autoencode."""
    own, encoder = ready(x), ready(W_enc)
    b_enc = None if b_enc is None else ready(b_enc)
    floor = torch.zeros(own.shape[0], dtype=torch.float32, device=x.device)
    with on_device(x):
        centre = own.mean(0, dtype=torch.float32)
        decoder = Decoder(ready(W_dec), None if b_dec is None else ready(b_dec), centre)
        candidates = _candidates(own, encoder, b_enc, k, floor)
        if candidates is None:
            top = linear_topk(own, encoder, b_enc, (), k, floor, None, 1)
            values, indices, survivors, redone = top
            found = _finished(None, None, values.squeeze(1), indices.squeeze(1), own, decoder)
        else:
            found, proved = _ranked(*candidates, k, own, decoder)
            again = (~proved).nonzero().squeeze(1)
            if again.numel():
                values, indices = dense_topk(own[again], encoder, b_enc, k, floor[again], None)
                better = _finished(
                    None, None, values.to(own.dtype), indices, own[again], decoder
                )  # fmt: skip
                for all_rows, rows in zip(found, better, strict=True):
                    all_rows[again] = rows
            redone = (~proved).sum()
            survivors = torch.zeros_like(redone)
    recon, values, indices, squares, deviations = found
    return recon.to(x.dtype), values.to(x.dtype), indices, squares, deviations, survivors, redone


def _candidates(
    x: Tensor, weight: Tensor, bias: Tensor | None, k: int, floor: Tensor
) -> tuple[Tensor, int] | None:
    """Return keys and how many there are of a group, as `choose` takes them.

    None where `linear_topk` goes another way than by one choice among such keys.
    """
    # Recording a CUDA graph, one cannot ask which rows were not proved.
    scheme = None if capturing() else choose_scheme(len(weight), k, tile_for(x.dtype).cols)
    if scheme is None or x.shape[0] == 0:
        return None
    return best_of_groups(x, weight, bias, None, floor, scheme, 1), scheme.kept


def _ranked(keys: Tensor, kept: int, k: int, x: Tensor, decoder: Decoder) -> tuple[Rows, Tensor]:
    """Return what is made of the rows and which of them are proved, (N,) bool."""
    chosen, unseen = choose(keys, k, kept)
    while chosen.shape[1] > k:
        chosen, _ = choose(chosen, k, 1)
    least = torch.empty_like(unseen)
    values, indices = x.new_empty(chosen.shape), torch.empty_like(chosen)
    return _finished(chosen, least, values, indices, x, decoder), unseen <= least


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
