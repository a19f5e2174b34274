"""The sparse products in torch, for any float dtype and device: the specification of every backend.

They take one of the k places of a chunk of rows at a time, so that working memory is a few matrices
of CHUNK_ELEMENTS numbers, and never (N, k, D). Rows with different numbers of places, in compressed
rows, are first written out with the same number: places that are missing are -1.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from ..checks import check_ascending, check_range
from ..exactness import exact_products, sum_dtype
from .interface import DecodeErrorInputs, GatherDotInputs, SparseDecodeInputs

CHUNK_ELEMENTS = 1 << 20  # the most numbers of a chunk of rows


def sparse_decode(inputs: SparseDecodeInputs) -> Tensor:
    """See api.sparse_decode."""
    values, indices, weight, bias, row_offsets = inputs
    check_range("indices", indices, weight.shape[0])
    if row_offsets is not None:
        check_ascending(row_offsets, indices.shape[0])
        indices, values = spread(indices, row_offsets, -1), spread(values, row_offsets, 0)
    out = weight.new_empty((indices.shape[0], weight.shape[1]))
    with exact_products(weight.device):
        for rows in _chunks(out):
            out[rows] = _decoded(values[rows], indices[rows], weight, bias).to(out.dtype)
    return out


def gather_dot(inputs: GatherDotInputs) -> Tensor:
    """See api.gather_dot."""
    rows, indices, weight, row_offsets = inputs
    check_range("indices", indices, weight.shape[0])
    if row_offsets is not None:
        check_ascending(row_offsets, indices.shape[0])
        whole = inputs._replace(indices=spread(indices, row_offsets, -1), row_offsets=None)
        return gather_dot(whole)[places_of(row_offsets)]
    out = rows.new_empty(indices.shape)
    with exact_products(weight.device):
        for chunk in _chunks(rows):
            left = rows[chunk].to(sum_dtype(weight.dtype)).contiguous()
            _put_dots(out[chunk], left, indices[chunk], weight)
    return out


def decode_error(inputs: DecodeErrorInputs) -> tuple[Tensor, Tensor, Tensor]:
    """See api.decode_error."""
    values, indices, weight, bias, target, scale, row_offsets = inputs
    check_range("indices", indices, weight.shape[0])
    if row_offsets is not None:
        check_ascending(row_offsets, indices.shape[0])
        whole = inputs._replace(
            values=spread(values, row_offsets, 0),
            indices=spread(indices, row_offsets, -1),
            row_offsets=None,
        )
        squares, g, d_values = decode_error(whole)
        return squares, g, d_values[places_of(row_offsets)]
    squares = scale.new_empty(indices.shape[0])
    g, d_values = target.new_empty(target.shape), values.new_empty(values.shape)
    with exact_products(weight.device):
        for rows in _chunks(target):
            error = _decoded(values[rows], indices[rows], weight, bias).sub_(target[rows])
            squares[rows] = error.square().sum(1)
            error *= scale
            g[rows] = error.to(g.dtype)
            _put_dots(d_values[rows], error, indices[rows], weight)
    return squares, g, d_values


def places_of(row_offsets: Tensor) -> Tensor:
    """Return which places of the written-out rows are there, (N, longest row) bool."""
    counts = row_offsets.diff()
    longest = int(counts.max()) if counts.numel() else 0
    return torch.arange(longest, device=counts.device) < counts[:, None]


def spread(places: Tensor, row_offsets: Tensor, missing: int) -> Tensor:
    """Write the places of compressed rows, (P,), out as (N, longest row)."""
    there = places_of(row_offsets)
    out = places.new_full(there.shape, missing)
    out[there] = places
    return out


def _decoded(values: Tensor, indices: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return sparse_decode of a chunk of rows, in the dtype of sums."""
    total = weight.new_zeros((len(indices), weight.shape[1]), dtype=sum_dtype(weight.dtype))
    if bias is not None:
        total += bias
    for index, value in zip(indices.T, values.T, strict=True):
        scale = value.to(total.dtype).masked_fill(index < 0, 0)
        total += scale[:, None] * _picked(weight, index)
    return total


def _put_dots(out: Tensor, left: Tensor, indices: Tensor, weight: Tensor) -> None:
    """Write gather_dot of a chunk of rows, which are in the dtype of sums, to out."""
    for j, index in enumerate(indices.T):
        dots = (left * _picked(weight, index)).sum(1)
        out[:, j] = dots.masked_fill(index < 0, 0).to(out.dtype)


def _picked(weight: Tensor, index: Tensor) -> Tensor:
    """Return the rows of weight at indices (R,), in the dtype of sums; zeros for -1."""
    rows = weight.index_select(0, index.clamp(min=0)).to(sum_dtype(weight.dtype)).contiguous()
    return rows.masked_fill_((index < 0)[:, None], 0)


def _chunks(matrix: Tensor) -> Iterator[slice]:
    step = max(1, CHUNK_ELEMENTS // max(1, matrix.shape[1]))
    for start in range(0, matrix.shape[0], step):
        yield slice(start, min(matrix.shape[0], start + step))
