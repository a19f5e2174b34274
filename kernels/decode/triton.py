"""The sparse products in Triton, on a GPU. Sums are float32, each in one fixed order.

One program makes one row of the result, or BLOCK columns of it. It reads BLOCK numbers of PLACES
rows of the weight at once. Each of the PLACES has sums of its own, which are added at the end.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..backends import interpreting
from ..launch import begin_check, on_device, ready
from .interface import DecodeErrorInputs, GatherDotInputs, SparseDecodeInputs

BLOCK = 1024  # how many numbers of a row of the weight a program holds
# How many rows of the weight are read at once. The interpreter is faster with fewer rounds.
PLACES = 16 if interpreting() else 4
WARPS = 4


@triton.jit
def row_places(offsets_ptr, row, k):
    """Return a row's first place and how many it has: k, or what offsets (N + 1,) int64 say."""
    # One return: Triton also compiles what follows a return in a branch.
    if offsets_ptr is None:
        first, count = row * k, k
    else:
        first = tl.load(offsets_ptr + row)
        count = (tl.load(offsets_ptr + row + 1) - first).to(tl.int32)
    return first, count


@triton.jit
def named_latents(indices_ptr, origin, places, count, latents):
    """Return the indices at some places of a row (PLACES,), and which of them are latents."""
    index = tl.load(indices_ptr + origin + places, mask=places < count, other=-1)
    return index, (index >= 0) & (index < latents)


@triton.jit
def decoded_piece(
    values_ptr, indices_ptr, weight_ptr, bias_ptr, origin, cols, count, latents, dim,
    BLOCK: tl.constexpr, PLACES: tl.constexpr,
):  # fmt: skip
    """Return BLOCK columns of one row of a reconstruction, float32.

    The row has the places from origin to origin + count - 1.
    """
    inside = cols < dim
    sums = tl.zeros((PLACES, BLOCK), tl.float32)
    for first in range(0, count, PLACES):
        places = first + tl.arange(0, PLACES)
        index, named = named_latents(indices_ptr, origin, places, count, latents)
        value = tl.load(values_ptr + origin + places, mask=named, other=0.0).to(tl.float32)
        numbers = tl.load(
            weight_ptr + index[:, None] * dim + cols[None, :],
            mask=named[:, None] & inside[None, :], other=0.0,
        )  # fmt: skip
        sums += value[:, None] * numbers.to(tl.float32)
    total = tl.sum(sums, 0)
    if bias_ptr is not None:
        total += tl.load(bias_ptr + cols, mask=inside, other=0.0).to(tl.float32)
    return total


@triton.jit
def write_dots(
    left_ptr, indices_ptr, weight_ptr, out_ptr, row, origin, count, latents, dim,
    BLOCK: tl.constexpr, PLACES: tl.constexpr,
):  # fmt: skip
    """Write one row of gather_dot's result, to the places from origin to origin + count - 1."""
    for first in range(0, count, PLACES):
        places = first + tl.arange(0, PLACES)
        index, named = named_latents(indices_ptr, origin, places, count, latents)
        sums = tl.zeros((PLACES, BLOCK), tl.float32)
        for start in range(0, dim, BLOCK):
            cols = start + tl.arange(0, BLOCK)
            inside = cols < dim
            own = tl.load(left_ptr + row * dim + cols, mask=inside, other=0.0).to(tl.float32)
            numbers = tl.load(
                weight_ptr + index[:, None] * dim + cols[None, :],
                mask=named[:, None] & inside[None, :], other=0.0,
            )  # fmt: skip
            # The mask of the weight alone would not do: 0 times infinity is not 0.
            sums += tl.where(named[:, None], own[None, :] * numbers.to(tl.float32), 0.0)
        tl.store(out_ptr + origin + places, tl.sum(sums, 1), mask=places < count)


@triton.jit
def decode_rows(
    values_ptr, indices_ptr, offsets_ptr, weight_ptr, bias_ptr, out_ptr, k, latents, dim,
    BLOCK: tl.constexpr, PLACES: tl.constexpr,
):  # fmt: skip
    """See api.sparse_decode; out_ptr is (N, D). A program makes BLOCK columns of a row."""
    row = tl.program_id(0).to(tl.int64)
    origin, count = row_places(offsets_ptr, row, k)
    cols = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    total = decoded_piece(
        values_ptr, indices_ptr, weight_ptr, bias_ptr, origin, cols, count, latents, dim,
        BLOCK, PLACES,
    )  # fmt: skip
    tl.store(out_ptr + row * dim + cols, total, mask=cols < dim)


@triton.jit
def dot_rows(
    left_ptr, indices_ptr, offsets_ptr, weight_ptr, out_ptr, k, latents, dim,
    BLOCK: tl.constexpr, PLACES: tl.constexpr,
):  # fmt: skip
    """See api.gather_dot; left_ptr is (N, D), and out_ptr (N, k)."""
    row = tl.program_id(0).to(tl.int64)
    origin, count = row_places(offsets_ptr, row, k)
    write_dots(
        left_ptr, indices_ptr, weight_ptr, out_ptr, row, origin, count, latents, dim, BLOCK, PLACES
    )


@triton.jit
def error_rows(
    values_ptr, indices_ptr, offsets_ptr, weight_ptr, bias_ptr, target_ptr, scale_ptr, squares_ptr,
    g_ptr, d_values_ptr, k, latents, dim,
    BLOCK: tl.constexpr, PLACES: tl.constexpr,
):  # fmt: skip
    """See api.decode_error; g_ptr is (N, D) float32.

    A row's latents are read twice; the second time they are in a cache.
    """
    row = tl.program_id(0).to(tl.int64)
    origin, count = row_places(offsets_ptr, row, k)
    factor = tl.load(scale_ptr)
    sums = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, dim, BLOCK):
        cols = start + tl.arange(0, BLOCK)
        inside = cols < dim
        total = decoded_piece(
            values_ptr, indices_ptr, weight_ptr, bias_ptr, origin, cols, count, latents, dim,
            BLOCK, PLACES,
        )  # fmt: skip
        wanted = tl.load(target_ptr + row * dim + cols, mask=inside, other=0.0).to(tl.float32)
        error = total - wanted
        sums += tl.where(inside, error * error, 0.0)
        tl.store(g_ptr + row * dim + cols, error * factor, mask=inside)
    tl.store(squares_ptr + row, tl.sum(sums, 0))
    tl.debug_barrier()  # waits until the other threads have written g
    write_dots(
        g_ptr, indices_ptr, weight_ptr, d_values_ptr, row, origin, count, latents, dim, BLOCK,
        PLACES,
    )  # fmt: skip


def sparse_decode(inputs: SparseDecodeInputs) -> Tensor:
    """See api.sparse_decode."""
    values, indices, weight, bias, offsets = inputs
    finish_check = begin_check("indices", indices, weight.shape[0], offsets)
    left, right = ready(values), ready(weight)
    rows, k = _sizes(indices, offsets)
    out = right.new_empty((rows, weight.shape[1]))
    if out.numel():
        block = _block(out.shape[1])
        with on_device(weight):
            decode_rows[(out.shape[0], triton.cdiv(out.shape[1], block))](
                left, indices.contiguous(), offsets, right, None if bias is None else ready(bias),
                out, k, *weight.shape, BLOCK=block, PLACES=PLACES, num_warps=WARPS,
            )  # fmt: skip
    finish_check()
    return out.to(weight.dtype)


def gather_dot(inputs: GatherDotInputs) -> Tensor:
    """See api.gather_dot."""
    rows, indices, weight, offsets = inputs
    finish_check = begin_check("indices", indices, weight.shape[0], offsets)
    left = ready(rows)
    out = left.new_empty(indices.shape)
    if out.numel():
        with on_device(weight):
            dot_rows[(rows.shape[0],)](
                left, indices.contiguous(), offsets, ready(weight), out,
                _sizes(indices, offsets)[1], *weight.shape,
                BLOCK=_block(weight.shape[1]), PLACES=PLACES, num_warps=WARPS,
            )  # fmt: skip
    finish_check()
    return out.to(rows.dtype)


def decode_error(inputs: DecodeErrorInputs) -> tuple[Tensor, Tensor, Tensor]:
    """See api.decode_error."""
    values, indices, weight, bias, target, scale, offsets = inputs
    finish_check = begin_check("indices", indices, weight.shape[0], offsets)
    left, right = ready(values), ready(weight)
    squares = torch.empty(target.shape[:1], dtype=torch.float32, device=target.device)
    g = torch.empty(target.shape, dtype=torch.float32, device=target.device)
    d_values = torch.empty_like(left)
    if target.shape[0]:
        with on_device(weight):
            error_rows[(target.shape[0],)](
                left, indices.contiguous(), offsets, right, None if bias is None else ready(bias),
                ready(target), scale, squares, g, d_values, _sizes(indices, offsets)[1],
                *weight.shape,
                BLOCK=_block(weight.shape[1]), PLACES=PLACES, num_warps=WARPS,
            )  # fmt: skip
    finish_check()
    return squares, g.to(weight.dtype), d_values.to(weight.dtype)


def _sizes(indices: Tensor, row_offsets: Tensor | None) -> tuple[int, int]:
    """Return how many rows there are, and k, or 0 where rows have different numbers of places."""
    if row_offsets is None:
        return indices.shape[0], indices.shape[1]
    return row_offsets.shape[0] - 1, 0


def _block(dim: int) -> int:
    size: int = triton.next_power_of_2(max(1, dim))
    return min(BLOCK, size)
