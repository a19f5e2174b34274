"""TopK encoding and sparse decoding as functions, for any trainer: leading dimensions, autocast."""

from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from ...kernels.decode import sparse_decode
from ...kernels.topk import linear_topk
from ..active_latents import group_max
from ..training.architectures.batch_topk import batch_topk
from .dense_products import LEAST_ACTIVE, decode_dense, dense_is_faster, encode_dense, occurring


class Active(NamedTuple):
    """The active latents of each token."""

    values: Tensor
    """(..., k), descending; 0 in missing places."""
    indices: Tensor
    """(..., k) int64; 0 in missing places, as what reads them may not take -1."""


def encode(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    k: int,
    *,
    mask: Tensor | None = None,
    floor: float = 0.0,
) -> Active:
    """Return the k largest of relu(x @ weight.T + bias), which is never held as a whole.

    Under autocast for x's device the product is made of numbers in autocast's dtype, as that of
    ``torch.nn.functional.linear`` would be. Gradients flow to x, weight and bias; the missing
    places get none.

    Args:
        x: (..., D).
        weight: (L, D), x's dtype.
        bias: (L,) or None.
        k: 1 to L.
        mask: (L,) bool; only latents that are True may be active, such as the dead ones for AuxK.
        floor: only scores above it are active; -inf leaves out the relu.

    Raises:
        ValueError: a shape or k is wrong.
        TypeError: a dtype is wrong.
    """
    rows, weight, bias = as_autocast(x.reshape(-1, x.shape[-1]), weight, bias)
    if mask is not None and dense_is_faster(mask, k):
        values, indices = encode_dense(rows, weight, bias, k, mask, floor)
    else:
        values, indices, _ = linear_topk(rows, weight, bias, k, mask=mask, floor=floor)
    return _active(values, indices, x)


def encode_groups(x: Tensor, weight: Tensor, bias: Tensor, k: int) -> Active:
    """Return the largest of each of k equal groups of latents, by group; else as `encode`."""
    rows, weight, bias = as_autocast(x.reshape(-1, x.shape[-1]), weight, bias)
    values, indices, _ = group_max(rows, weight, bias, k)
    return _active(values, indices, x)


def encode_batch(x: Tensor, weight: Tensor, bias: Tensor, number: int) -> Active:
    """Return the ``number`` largest of relu(x @ weight.T + bias) of a whole batch, by token.

    This is BatchTopK (arXiv 2412.06410). A token may have any number of them, or none; the result
    is as wide as the token with the most, (..., m), and otherwise as that of `encode`.

    Args:
        x: (..., D).
        weight: (L, D), x's dtype.
        bias: (L,).
        number: of active latents of all tokens together; fewer are where fewer are positive.

    Raises:
        ValueError: a shape is wrong.
        TypeError: a dtype is wrong.
    """
    rows, weight, bias = as_autocast(x.reshape(-1, x.shape[-1]), weight, bias)
    with torch.no_grad():
        offsets = batch_topk(rows, weight, bias, number).places.row_offsets
        assert offsets is not None
        counts = offsets.diff()  # (N,)
    # Once more for the gradients: each token's active latents are its largest.
    most = max(int(counts.max()), 1)
    values, indices, _ = linear_topk(rows, weight, bias, most)
    active = torch.arange(most, device=counts.device) < counts.unsqueeze(1)  # (N, m)
    return _active(values.where(active, 0), indices.where(active, 0), x)


def decode(values: Tensor, indices: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return bias + the sum over j of values[..., j] * weight[indices[..., j]], (..., D).

    Gradients flow to values, weight and bias. The sums are made in the weight's dtype, to which
    ``values`` are converted.

    Args:
        values: (..., k).
        indices: (..., k) int64, 0 to L - 1.
        weight: (L, D); of another layout it is copied.
        bias: (D,) or None.

    Raises:
        ValueError: a shape is wrong, or an index out of range.
        TypeError: a dtype is wrong.
    """
    k = values.shape[-1]
    flat, places = values.to(weight.dtype).reshape(-1, k), indices.reshape(-1, k)
    if k >= LEAST_ACTIVE and dense_is_faster(occurs := occurring(places, len(weight)), k):
        rows = decode_dense(flat, places, weight, occurs)
        rows = rows if bias is None else rows + bias
    else:
        rows = sparse_decode(flat, places, weight, bias)
    return rows.reshape(*values.shape[:-1], weight.shape[1])


_Bias = TypeVar("_Bias", Tensor, Tensor | None)


def as_autocast(x: Tensor, weight: Tensor, bias: _Bias) -> tuple[Tensor, Tensor, _Bias]:
    """Return these in autocast's dtype, if it is enabled for x's device."""
    if not torch.is_autocast_enabled(x.device.type):
        return x, weight, bias
    dtype = torch.get_autocast_dtype(x.device.type)
    return x.to(dtype), weight.to(dtype), bias if bias is None else bias.to(dtype)


def _active(values: Tensor, indices: Tensor, x: Tensor) -> Active:
    shape = (*x.shape[:-1], values.shape[1])
    return Active(values.reshape(shape), indices.clamp(min=0).reshape(shape))
