"""The public gradients by latent. Checks the arguments, chooses the backend, and calls the op."""

from typing import NamedTuple

import torch
from torch import Tensor

from .. import checks
from ..backends import Backend, resolve_backend
from ..exactness import sum_dtype
from . import ops
from .interface import LatentGradsInputs


class LatentGrads(NamedTuple):
    """Sums over the non-zeros of each latent, in float32 (float64 for float64 inputs)."""

    dW_dec: Tensor
    """(L, d_out): sum of values[n, j] * g[n] over the places (n, j) that name the latent."""
    dW_enc: Tensor
    """(L, d_in): sum of d_values[n, j] * x[n]."""
    db_enc: Tensor
    """(L,): sum of d_values[n, j]."""
    fired: Tensor
    """(L,) int64: the number of rows n that name the latent."""


def latent_grads(
    values: Tensor,
    d_values: Tensor,
    indices: Tensor,
    x: Tensor,
    g: Tensor,
    num_latents: int,
    *,
    row_offsets: Tensor | None = None,
    out: LatentGrads | None = None,
    accumulate: bool = True,
    count: bool = True,
    backend: Backend = "auto",
) -> LatentGrads:
    """Sum the gradients of an autoencoder's weights, from an index of each latent's non-zeros.

    The index is a stable sort by latent. Each sum runs over the rows in their order, so that the
    result has the same bits every time, and no (N, k, D) tensor is made. There are no gradients.

    Args:
        values: (N, k) float32, bfloat16, float16 or float64 (float64: reference only).
        d_values: (N, k), values' dtype: dLoss/dvalues (see `gather_dot`).
        indices: (N, k) int64, -1 to L - 1; -1 adds nothing, whatever its values are.
        x: (N, d_in), values' dtype: the encoder's input.
        g: (N, d_out), values' dtype: dLoss/dreconstruction.
        num_latents: L.
        row_offsets: None, or (N + 1,) int64, ascending from 0 to P: values, d_values and indices
            are then (P,), and row n has the places row_offsets[n] to row_offsets[n + 1] - 1.
        out: contiguous tensors of the returned shapes and dtypes, to write the results to.
        accumulate: if True, add to `out`, as a second loss term with its own g (AuxK, Multi-TopK)
            needs. If False, overwrite `out`, so that a training loop may use its memory again.
        count: if False, leave `fired` as it is (0 without `out`): AuxK's term names dead latents,
            which have not fired.
        backend: "auto" goes by x's device and dtype; "native" needs CPU tensors.

    Returns:
        LatentGrads: new tensors, or `out`.

    Raises:
        ValueError: a shape, a device, num_latents, row_offsets or backend is wrong, or an index is
            out of range.
        TypeError: a dtype is wrong.

    """
    checks.check_floats("values", values, 2 if row_offsets is None else 1)
    checks.check_floats("x", x, 2)
    checks.check_floats("g", g, 2)
    rows = values.shape[0] if row_offsets is None else row_offsets.shape[0] - 1
    for name, tensor, shape in (
        ("d_values", d_values, tuple(values.shape)),
        ("x", x, (rows, x.shape[1])),
        ("g", g, (rows, g.shape[1])),
    ):
        checks.check_shape(name, tensor, shape)
        checks.check_like(name, tensor, "values", values)
    checks.check_indices("indices", indices, tuple(values.shape))
    checks.check_device("indices", indices, "values", values)
    if row_offsets is not None:
        checks.check_row_offsets(row_offsets, indices)
    if num_latents < 1:
        raise ValueError(f"num_latents: expected 1 or more, got {num_latents}")
    chosen = resolve_backend("latent_grads", backend, x)
    if out is None:
        out, accumulate = _empty(x, g, num_latents), False
        if not count:
            out.fired.zero_()
    else:
        _check_out(out, x, g, num_latents)
    inputs = LatentGradsInputs(
        indices, num_latents, values.detach(), d_values.detach(), x.detach(), g.detach(),
        *out[:3], out.fired if count else None, accumulate, row_offsets,
    )  # fmt: skip
    ops.latent_grads(*inputs, chosen)
    return out


def _empty(x: Tensor, g: Tensor, num_latents: int) -> LatentGrads:
    dtype = sum_dtype(x.dtype)
    dec, enc = (t.new_empty((num_latents, t.shape[1]), dtype=dtype) for t in (g, x))
    fired = enc.new_empty((num_latents,), dtype=torch.int64)
    return LatentGrads(dec, enc, enc.new_empty((num_latents,)), fired)


def _check_out(out: LatentGrads, x: Tensor, g: Tensor, num_latents: int) -> None:
    dtype = sum_dtype(x.dtype)
    shapes = ((num_latents, g.shape[1]), (num_latents, x.shape[1]), (num_latents,), (num_latents,))
    for (name, tensor), shape in zip(out._asdict().items(), shapes, strict=True):
        checks.check_shape(f"out.{name}", tensor, shape)
        checks.check_dtype(f"out.{name}", tensor, torch.int64 if name == "fired" else dtype)
        checks.check_device(f"out.{name}", tensor, "x", x)
        if not tensor.is_contiguous():
            raise ValueError(f"out.{name}: expected a contiguous tensor")
