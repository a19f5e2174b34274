"""Gradients by latent in Triton (GPU): sums over one index of the non-zeros by latent.

The index is a stable sort, so that every sum has one order. A latent with more than PIECE non-zeros
is cut into pieces, which are summed side by side and then added up in their order. Nothing waits
for a number from the GPU, but for the check of the indices.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..backends import interpreting
from ..checks import check_range
from ..launch import capturing, on_device, ready

PIECE = 256  # non-zeros that one program sums
BLOCK = 512  # columns of a program
# Rows that are on their way at once (latents have about 4); see decode/triton.py.
PLACES = 16 if interpreting() else 4
WARPS = 4


class Index(NamedTuple):
    """The non-zeros by latent."""

    places: Tensor
    """(N * k,) int64: places of the flat indices, by latent, in their order."""
    starts: Tensor
    """(L,) int64: where a latent's places start."""
    stops: Tensor
    """(L,) int64: where they stop."""
    fired: Tensor
    """(L,) int64: how many rows name the latent."""


class Pieces(NamedTuple):
    """Heavy latents' pieces, in the order of latents and places; unused ones are empty."""

    starts: Tensor
    """(P,) int64: where a piece's places start."""
    stops: Tensor
    """(P,) int64: where they stop."""
    first_of: Tensor
    """(L,) int64: a latent's first piece."""
    counts: Tensor
    """(L,) int64: its pieces, 0 for a light latent."""


@triton.jit
def weighted_rows(scales, rows, places, there, k, cols, dim):
    """(PLACES, BLOCK) float32: scales[places] * rows[places // k]."""
    scale = tl.load(scales + places, mask=there, other=0.0).to(tl.float32)
    numbers = tl.load(
        rows + (places // k)[:, None] * dim + cols[None, :],
        mask=there[:, None] & (cols < dim)[None, :], other=0.0,
    )  # fmt: skip
    return scale[:, None] * numbers.to(tl.float32)


@triton.jit
def put(out, at, numbers, mask, ACCUMULATE: tl.constexpr):
    """Write numbers, or add them to what is there."""
    if ACCUMULATE:
        numbers += tl.load(out + at, mask=mask, other=0.0)
    tl.store(out + at, numbers, mask=mask)


@triton.jit
def sum_segments(
    values, d_values, x, g, places, starts, stops, dW_dec, dW_enc, db_enc, k, dim,
    BLOCK: tl.constexpr, PLACES: tl.constexpr, ACCUMULATE: tl.constexpr,
):  # fmt: skip
    """Sum the non-zeros of each segment; outputs that are None are left out.

    Args:
        values: (N, k); d_values: (N, k).
        x: (N, D); g: (N, D).
        places: (N * k,) int64, see Index.
        starts: (U,) int64; stops (U,) int64: the segments, one for each program on axis 0.
        dW_dec: (U, D) float32; dW_enc: (U, D) float32; db_enc: (U,) float32.
        k: columns of values.
        dim: D.

    """
    unit = tl.program_id(0).to(tl.int64)
    cols = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    start, stop = tl.load(starts + unit), tl.load(stops + unit)
    decoder = tl.zeros((PLACES, BLOCK), tl.float32)
    encoder = tl.zeros((PLACES, BLOCK), tl.float32)
    bias = tl.zeros((PLACES,), tl.float32)
    for first in range(start, stop, PLACES):
        entry = first + tl.arange(0, PLACES)
        there = entry < stop
        place = tl.load(places + entry, mask=there, other=0)
        if dW_dec is not None:
            decoder += weighted_rows(values, g, place, there, k, cols, dim)
        if dW_enc is not None:
            encoder += weighted_rows(d_values, x, place, there, k, cols, dim)
        if db_enc is not None:
            bias += tl.load(d_values + place, mask=there, other=0.0).to(tl.float32)
    if (not ACCUMULATE) | (start < stop):
        if dW_dec is not None:
            put(dW_dec, unit * dim + cols, tl.sum(decoder, 0), cols < dim, ACCUMULATE)
        if dW_enc is not None:
            put(dW_enc, unit * dim + cols, tl.sum(encoder, 0), cols < dim, ACCUMULATE)
        if db_enc is not None:
            put(db_enc, unit, tl.sum(bias, 0), tl.program_id(1) == 0, ACCUMULATE)


@triton.jit
def add_pieces(parts, out, first_of, counts, dim, BLOCK: tl.constexpr):
    """Add the sums of each latent's pieces, (P, D), to out, (L, D), in their order."""
    latent = tl.program_id(0).to(tl.int64)
    cols = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    first, count = tl.load(first_of + latent), tl.load(counts + latent)
    if count > 0:
        total = tl.load(out + latent * dim + cols, mask=cols < dim, other=0.0)
        for piece in range(first, first + count):
            total += tl.load(parts + piece * dim + cols, mask=cols < dim, other=0.0)
        tl.store(out + latent * dim + cols, total, mask=cols < dim)


def latent_grads(
    values: Tensor | None,
    d_values: Tensor | None,
    indices: Tensor,
    x: Tensor | None,
    g: Tensor | None,
    num_latents: int,
    dW_dec: Tensor | None,
    dW_enc: Tensor | None,
    db_enc: Tensor | None,
    fired: Tensor | None,
    accumulate: bool,
) -> None:
    """See ops._latent_grads."""
    if not capturing():
        check_range("indices", indices, num_latents)
    index = _index(indices, num_latents)
    if fired is not None:
        fired.copy_(fired + index.fired if accumulate else index.fired)
    pieces = _pieces(index)
    sources = tuple(None if t is None else ready(t) for t in (values, d_values, x, g))
    outputs = dW_dec, dW_enc, db_enc
    k = indices.shape[1]
    light = torch.where(pieces.counts > 0, index.starts, index.stops)
    with on_device(indices):
        _sum_segments(sources, index.places, index.starts, light, outputs, k, accumulate)
        if pieces.starts.numel():
            count = pieces.starts.shape[0]
            parts = tuple(
                None if out is None else out.new_empty(count, *out.shape[1:]) for out in outputs
            )
            _sum_segments(sources, index.places, pieces.starts, pieces.stops, parts, k, False)
            for part, out in zip(parts, outputs, strict=True):
                if part is not None and out is not None and out.numel():
                    _add_pieces(part, out, pieces)


def _index(indices: Tensor, num_latents: int) -> Index:
    latents, places = indices.flatten().sort(stable=True)
    bounds = torch.searchsorted(latents, torch.arange(num_latents + 1, device=indices.device))
    starts, stops = bounds[:-1], bounds[1:]
    rows = places // max(1, indices.shape[1])
    repeated = torch.zeros_like(latents)  # places of a row that names the latent before already
    repeated[1:] = (latents[1:] == latents[:-1]) & (rows[1:] == rows[:-1])
    sums = torch.cat([repeated.new_zeros(1), repeated.cumsum(0)])
    return Index(places, starts, stops, stops - starts - (sums[stops] - sums[starts]))


def _pieces(index: Index) -> Pieces:
    # A heavy latent has more than PIECE non-zeros, hence fewer than 2 / PIECE pieces for each.
    most = 2 * index.places.shape[0] // PIECE
    sizes = index.stops - index.starts
    counts = torch.where(sizes > PIECE, (sizes + PIECE - 1) // PIECE, 0)
    ends = counts.cumsum(0)
    first_of = ends - counts
    piece = torch.arange(most, device=sizes.device)
    latent = torch.searchsorted(ends, piece, right=True)
    used = latent < sizes.shape[0]
    latent = latent.clamp(max=sizes.shape[0] - 1)
    starts = index.starts[latent] + (piece - first_of[latent]) * PIECE
    stops = torch.minimum(starts + PIECE, index.stops[latent])
    return Pieces(starts, torch.where(used, stops, starts), first_of, counts)


def _sum_segments(
    sources: tuple[Tensor | None, ...],
    places: Tensor,
    starts: Tensor,
    stops: Tensor,
    outputs: tuple[Tensor | None, ...],
    k: int,
    accumulate: bool,
) -> None:
    values, d_values, x, g = sources
    dim = max((out.shape[1] for out in outputs[:2] if out is not None), default=0)
    block = _block(dim)
    sum_segments[(starts.shape[0], max(1, triton.cdiv(dim, block)))](
        values, d_values, x, g, places, starts, stops, *outputs, k, dim,
        BLOCK=block, PLACES=PLACES, ACCUMULATE=accumulate, num_warps=WARPS,
    )  # fmt: skip


def _add_pieces(parts: Tensor, out: Tensor, pieces: Pieces) -> None:
    dim = out.numel() // out.shape[0]
    block = _block(dim)
    add_pieces[(out.shape[0], triton.cdiv(dim, block))](
        parts, out, pieces.first_of, pieces.counts, dim, BLOCK=block, num_warps=WARPS
    )


def _block(dim: int) -> int:
    size: int = triton.next_power_of_2(max(1, dim))
    return min(BLOCK, size)
