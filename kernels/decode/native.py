"""The sparse products in C++, on a CPU, in float32. Half-precision inputs are converted first."""

import torch
from torch import Tensor

from .. import extension as _native
from ..arrays import array, float_array
from .interface import DecodeErrorInputs, GatherDotInputs, SparseDecodeInputs


def sparse_decode(inputs: SparseDecodeInputs) -> Tensor:
    """See api.sparse_decode."""
    values, indices, weight, bias, row_offsets = inputs
    out = torch.empty((_rows(indices, row_offsets), weight.shape[1]))
    _native.sparse_decode(
        float_array(values),
        array(indices),
        None if row_offsets is None else array(row_offsets),
        float_array(weight),
        None if bias is None else float_array(bias),
        torch.get_num_threads(),
        out.numpy(),
    )
    return out.to(weight.dtype)


def gather_dot(inputs: GatherDotInputs) -> Tensor:
    """See api.gather_dot."""
    rows, indices, weight, row_offsets = inputs
    out = torch.empty(indices.shape)
    _native.gather_dot(
        float_array(rows),
        array(indices),
        None if row_offsets is None else array(row_offsets),
        float_array(weight),
        torch.get_num_threads(),
        out.numpy(),
    )
    return out.to(rows.dtype)


def decode_error(inputs: DecodeErrorInputs) -> tuple[Tensor, Tensor, Tensor]:
    """See api.decode_error."""
    values, indices, weight, bias, target, scale, row_offsets = inputs
    rows = _rows(indices, row_offsets)
    squares, g = torch.empty(rows), torch.empty((rows, weight.shape[1]))
    d_values = torch.empty(indices.shape)
    _native.decode_error(
        float_array(values),
        array(indices),
        None if row_offsets is None else array(row_offsets),
        float_array(weight),
        None if bias is None else float_array(bias),
        float_array(target),
        scale.item(),
        torch.get_num_threads(),
        squares.numpy(),
        g.numpy(),
        d_values.numpy(),
    )
    return squares, g.to(weight.dtype), d_values.to(weight.dtype)


def _rows(indices: Tensor, row_offsets: Tensor | None) -> int:
    return indices.shape[0] if row_offsets is None else row_offsets.shape[0] - 1
