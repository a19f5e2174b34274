"""The sparse products in C++ (CPU, float32). Half-precision inputs are converted first, whole."""

import torch
from torch import Tensor

from .. import _native
from ..arrays import array, float_array


def sparse_decode(values: Tensor, indices: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """See api.sparse_decode."""
    out = torch.empty((indices.shape[0], weight.shape[1]))
    _native.sparse_decode(
        float_array(values),
        array(indices),
        float_array(weight),
        None if bias is None else float_array(bias),
        torch.get_num_threads(),
        out.numpy(),
    )
    return out.to(weight.dtype)


def gather_dot(rows: Tensor, indices: Tensor, weight: Tensor) -> Tensor:
    """See api.gather_dot."""
    out = torch.empty(indices.shape)
    _native.gather_dot(
        float_array(rows),
        array(indices),
        float_array(weight),
        torch.get_num_threads(),
        out.numpy(),
    )
    return out.to(rows.dtype)
