"""Gradients by latent in Triton, on a GPU: sums over an index of each latent's non-zeros.

The index is a stable sort, so that every sum has one order. The non-zeros of a heavy latent, one
with more than PIECE of them, are cut into pieces, which are summed at the same time and then added
in their order. Only the check of the indices waits for a number from the GPU, while that sorts.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..backends import interpreting
from ..launch import begin_check, on_device, ready
from .interface import LatentGradsInputs

PIECE = 256  # the most non-zeros that one program sums
# A program sums BLOCK columns with one warp. Every thread sums its own columns, so that nothing is
# reduced across threads. On an H100 that took less than a quarter of the time of 512 columns and
# 4 warps (docs/benchmarks-gpu.md). UNROLL rows are read at once; a latent has about 4.
BLOCK, WARPS = (512, 4) if interpreting() else (256, 1)
PLACES, UNROLL = (16, 1) if interpreting() else (1, 4)


class Index(NamedTuple):
    """The non-zeros, sorted by latent."""

    places: Tensor
    """(N * k,) int64: places in the flat indices, by latent and then by place."""
    rows: Tensor
    """(N * k,) int64: the row of each place."""
    starts: Tensor
    """(L,) int64: where each latent's places start."""
    stops: Tensor
    """(L,) int64: where each latent's places stop."""
    latents: Tensor
    """(N * k,) int32 or int64: the latent of each place."""

    def fired(self) -> Tensor:
        """Return how many rows have each latent, (L,) int64."""
        repeated = torch.zeros_like(self.places)  # 1 where the row has had the same latent before
        same = (self.latents[1:] == self.latents[:-1]) & (self.rows[1:] == self.rows[:-1])
        repeated[1:] = same
        sums = torch.cat([repeated.new_zeros(1), repeated.cumsum(0)])
        return self.stops - self.starts - (sums[self.stops] - sums[self.starts])


class Pieces(NamedTuple):
    """The pieces of heavy latents, in the order of latents and places. Unused pieces are empty."""

    starts: Tensor
    """(P,) int64: where each piece's places start."""
    stops: Tensor
    """(P,) int64: where each piece's places stop."""
    latents: Tensor
    """(P,) int64: the latent whose first piece this is; -1 for other and unused pieces."""
    counts: Tensor
    """(L,) int64: how many pieces each latent has; 0 if it is not heavy."""


@triton.jit
def weighted_rows(scales_ptr, matrix_ptr, places, rows, there, cols, dim):
    """Return scales[places] * matrix[rows], (PLACES, BLOCK) float32."""
    scale = tl.load(scales_ptr + places, mask=there, other=0.0).to(tl.float32)
    numbers = tl.load(
        matrix_ptr + rows[:, None] * dim + cols[None, :],
        mask=there[:, None] & (cols < dim)[None, :], other=0.0,
    )  # fmt: skip
    return scale[:, None] * numbers.to(tl.float32)


@triton.jit
def put(out_ptr, at, numbers, mask, ACCUMULATE: tl.constexpr):
    """Write numbers, or add them to those in memory."""
    if ACCUMULATE:
        numbers += tl.load(out_ptr + at, mask=mask, other=0.0)
    tl.store(out_ptr + at, numbers, mask=mask)


@triton.jit
def sum_segments(
    values_ptr, d_values_ptr, x_ptr, g_ptr, places_ptr, rows_ptr, starts_ptr, stops_ptr,
    dW_dec_ptr, dW_enc_ptr, db_enc_ptr, d_out, d_in,
    BLOCK: tl.constexpr, PLACES: tl.constexpr, UNROLL: tl.constexpr, ACCUMULATE: tl.constexpr,
):  # fmt: skip
    """Sum the non-zeros of each segment; outputs that are None are left out.

    Args:
        values_ptr: (N, k); d_values_ptr: (N, k).
        x_ptr: (N, d_in); g_ptr: (N, d_out).
        places_ptr: (N * k,) int64; rows_ptr: (N * k,) int64: see Index.
        starts_ptr: (U,) int64; stops_ptr: (U,) int64: the segments, one for each program on axis 0.
        dW_dec_ptr: (U, d_out) float32; dW_enc_ptr: (U, d_in) float32; db_enc_ptr: (U,) float32.
        d_out: the width of g and dW_dec; d_in: that of x and dW_enc.

    """
    unit = tl.program_id(0).to(tl.int64)
    cols = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    start, stop = tl.load(starts_ptr + unit), tl.load(stops_ptr + unit)
    decoder = tl.zeros((PLACES, BLOCK), tl.float32)
    encoder = tl.zeros((PLACES, BLOCK), tl.float32)
    bias = tl.zeros((PLACES,), tl.float32)
    for first in range(start, stop, PLACES * UNROLL):
        for turn in tl.static_range(UNROLL):
            entry = first + turn * PLACES + tl.arange(0, PLACES)
            there = entry < stop
            place = tl.load(places_ptr + entry, mask=there, other=0)
            row = tl.load(rows_ptr + entry, mask=there, other=0)
            if dW_dec_ptr is not None:
                decoder += weighted_rows(values_ptr, g_ptr, place, row, there, cols, d_out)
            if dW_enc_ptr is not None:
                encoder += weighted_rows(d_values_ptr, x_ptr, place, row, there, cols, d_in)
            if db_enc_ptr is not None:
                bias += tl.load(d_values_ptr + place, mask=there, other=0.0).to(tl.float32)
    if (not ACCUMULATE) | (start < stop):
        if dW_dec_ptr is not None:
            put(dW_dec_ptr, unit * d_out + cols, tl.sum(decoder, 0), cols < d_out, ACCUMULATE)
        if dW_enc_ptr is not None:
            put(dW_enc_ptr, unit * d_in + cols, tl.sum(encoder, 0), cols < d_in, ACCUMULATE)
        if db_enc_ptr is not None:
            put(db_enc_ptr, unit, tl.sum(bias, 0), tl.program_id(1) == 0, ACCUMULATE)


@triton.jit
def add_pieces(parts_ptr, out_ptr, latents_ptr, counts_ptr, dim, BLOCK: tl.constexpr):
    """Add the sums of each heavy latent's pieces, (P, D), to out, (L, D), in their order.

    Args:
        parts_ptr: (P, D) float32; out_ptr: (L, D) float32.
        latents_ptr: (P,) int64; counts_ptr: (L,) int64: see Pieces. The program of a latent's
            first piece adds up all of them.
        dim: D.

    """
    first = tl.program_id(0).to(tl.int64)
    latent = tl.load(latents_ptr + first)
    cols = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    if latent >= 0:
        total = tl.load(out_ptr + latent * dim + cols, mask=cols < dim, other=0.0)
        for piece in range(first, first + tl.load(counts_ptr + latent)):
            total += tl.load(parts_ptr + piece * dim + cols, mask=cols < dim, other=0.0)
        tl.store(out_ptr + latent * dim + cols, total, mask=cols < dim)


def latent_grads(inputs: LatentGradsInputs) -> None:
    """See api.latent_grads."""
    indices, num_latents, fired = inputs.indices, inputs.num_latents, inputs.fired
    finish_check = begin_check("indices", indices, num_latents, inputs.row_offsets)
    index = _index(indices, inputs.row_offsets, num_latents)
    pieces = _pieces(index)
    finish_check()  # before anything is written that a caller sees
    if fired is not None:
        fired.copy_(fired + index.fired() if inputs.accumulate else index.fired())
    given = (inputs.values, inputs.d_values, inputs.x, inputs.g)
    sources = tuple(None if t is None else ready(t) for t in given)
    outputs = inputs.dW_dec, inputs.dW_enc, inputs.db_enc
    light = torch.where(pieces.counts > 0, index.starts, index.stops)
    with on_device(indices):
        _sum_segments(sources, index, index.starts, light, outputs, inputs.accumulate)
        if pieces.starts.numel():
            count = pieces.starts.shape[0]
            parts = tuple(
                None if out is None else out.new_empty(count, *out.shape[1:]) for out in outputs
            )
            _sum_segments(sources, index, pieces.starts, pieces.stops, parts, False)
            for part, out in zip(parts, outputs, strict=True):
                if part is not None and out is not None and out.numel():
                    _add_pieces(part, out, pieces)


def _index(indices: Tensor, row_offsets: Tensor | None, num_latents: int) -> Index:
    # A sort of int32 takes half the passes of one of int64. Wrong indices stay outside the latents.
    narrow = torch.int32 if num_latents < (1 << 31) - 1 else torch.int64
    inside = indices.flatten().clamp(-1, num_latents)
    latents, places = inside.to(narrow).sort(stable=True)
    every = torch.arange(num_latents + 1, dtype=narrow, device=indices.device)
    bounds = torch.searchsorted(latents, every)
    if row_offsets is None:
        rows = places // max(1, indices.shape[1])
    else:
        rows = torch.searchsorted(row_offsets, places, right=True) - 1
    return Index(places, rows, bounds[:-1], bounds[1:], latents)


def _pieces(index: Index) -> Pieces:
    # A heavy latent with c > PIECE non-zeros has at most c / PIECE + 1 < 2 c / PIECE pieces.
    most = 2 * index.places.shape[0] // PIECE
    sizes = index.stops - index.starts
    counts = torch.where(sizes > PIECE, (sizes + PIECE - 1) // PIECE, 0)
    ends = counts.cumsum(0)
    first_of = ends - counts
    piece = torch.arange(most, device=sizes.device)
    latent = torch.searchsorted(ends, piece, right=True)
    used = latent < sizes.shape[0]
    latent = latent.clamp(max=sizes.shape[0] - 1)
    number = piece - first_of[latent]
    starts = index.starts[latent] + number * PIECE
    stops = torch.minimum(starts + PIECE, index.stops[latent])
    latents = torch.where(used & (number == 0), latent, -1)
    return Pieces(starts, torch.where(used, stops, starts), latents, counts)


def _sum_segments(
    sources: tuple[Tensor | None, ...],
    index: Index,
    starts: Tensor,
    stops: Tensor,
    outputs: tuple[Tensor | None, ...],
    accumulate: bool,
) -> None:
    values, d_values, x, g = sources
    d_out, d_in = (0 if out is None else out.shape[1] for out in outputs[:2])
    block = _block(max(d_out, d_in))
    sum_segments[(starts.shape[0], max(1, triton.cdiv(max(d_out, d_in), block)))](
        values, d_values, x, g, index.places, index.rows, starts, stops, *outputs, d_out, d_in,
        BLOCK=block, PLACES=PLACES, UNROLL=UNROLL, ACCUMULATE=accumulate, num_warps=WARPS,
    )  # fmt: skip


def _add_pieces(parts: Tensor, out: Tensor, pieces: Pieces) -> None:
    dim = out.numel() // out.shape[0]
    block = _block(dim)
    add_pieces[(parts.shape[0], triton.cdiv(dim, block))](
        parts, out, pieces.latents, pieces.counts, dim, BLOCK=block, num_warps=WARPS
    )


def _block(dim: int) -> int:
    size: int = triton.next_power_of_2(max(1, dim))
    return min(BLOCK, size)
