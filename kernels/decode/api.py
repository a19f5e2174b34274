"""The public sparse products. They check arguments, choose the backend, and call the op."""

from typing import NamedTuple

from torch import Tensor

from .. import checks
from ..backends import Backend, resolve_backend
from ..exactness import sum_dtype
from . import ops
from .interface import DecodeErrorInputs, GatherDotInputs, SparseDecodeInputs


class DecodedError(NamedTuple):
    """The result of `decode_error`, where e is the reconstruction less the target."""

    squares: Tensor
    """(N,) float32 (float64 for float64): the sum of e[n] ** 2."""
    g: Tensor
    """(N, D) in values' dtype: scale * e."""
    d_values: Tensor
    """(N, k) in values' dtype: `<g[n], weight[indices[n, j]]>`, 0 where the index is -1."""


def sparse_decode(
    values: Tensor,
    indices: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    backend: Backend = "auto",
) -> Tensor:
    """Compute bias + the sum over j of values[n, j] * weight[indices[n, j]], for each row n.

    Sums are float32 (float64 for float64). An index of -1 adds nothing, whatever its value and the
    weight are. An index that occurs twice in a row adds twice. Gradients flow to values, weight
    and bias.

    Args:
        values: (N, k) float32, bfloat16, float16 or float64 (float64: reference only).
        indices: (N, k) int64, -1 to L - 1.
        weight: (L, D), values' dtype.
        bias: (D,), values' dtype, or None.
        backend: "auto" goes by weight's device and dtype; "native" needs CPU tensors.

    Returns:
        (N, D) in values' dtype.

    Raises:
        ValueError: a shape, a device or backend is wrong, or an index is out of range.
        TypeError: a dtype is wrong.

    """
    _check_decode(values, indices, weight, bias)
    chosen = resolve_backend("sparse_decode", backend, weight)
    inputs = SparseDecodeInputs(values, indices, weight, bias)
    result: Tensor = ops.sparse_decode(*inputs, chosen)
    return result


def csr_decode(
    row_offsets: Tensor,
    indices: Tensor,
    values: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    backend: Backend = "auto",
) -> Tensor:
    """Compute the same as `sparse_decode` from compressed rows, such as `linear_above` returns.

    `csr_decode(*scores[:3], W_dec, b_dec)` decodes the result of `linear_above`. Gradients flow to
    values, weight and bias.

    Args:
        row_offsets: (N + 1,) int64, ascending from 0 to P: row n has the places row_offsets[n] to
            row_offsets[n + 1] - 1.
        indices: (P,) int64, -1 to L - 1; -1 adds nothing.
        values: (P,) float32, bfloat16, float16 or float64 (float64: reference only).
        weight: (L, D), values' dtype.
        bias: (D,), values' dtype, or None.
        backend: "auto" goes by weight's device and dtype; "native" needs CPU tensors.

    Returns:
        (N, D) in values' dtype.

    Raises:
        ValueError: a shape, a device, row_offsets or backend is wrong, or an index is out of range.
        TypeError: a dtype is wrong.

    """
    _check_decode(values, indices, weight, bias, row_offsets)
    chosen = resolve_backend("csr_decode", backend, weight)
    inputs = SparseDecodeInputs(values, indices, weight, bias, row_offsets)
    result: Tensor = ops.sparse_decode(*inputs, chosen)
    return result


def gather_dot(
    rows: Tensor,
    indices: Tensor,
    weight: Tensor,
    *,
    row_offsets: Tensor | None = None,
    backend: Backend = "auto",
) -> Tensor:
    """Compute `<rows[n], weight[indices[n, j]]>` for each n and j; 0 where the index is -1.

    If rows is the loss's gradient for the result of `sparse_decode`, this is its gradient for the
    values. The function itself has no gradient: a backward pass through it raises.

    Args:
        rows: (N, D) float32, bfloat16, float16 or float64 (float64: reference only).
        indices: (N, k) int64, -1 to L - 1.
        weight: (L, D), rows' dtype.
        row_offsets: None, or (N + 1,) int64: indices are then (P,), in compressed rows as those of
            `csr_decode`.
        backend: "auto" goes by weight's device and dtype; "native" needs CPU tensors.

    Returns:
        (N, k), or (P,), in rows' dtype.

    Raises:
        ValueError: a shape, a device, row_offsets or backend is wrong, or an index is out of range.
        TypeError: a dtype is wrong.

    """
    checks.check_floats("rows", rows, 2)
    _check_lookup(indices, weight, "rows", rows, row_offsets)
    if row_offsets is None:
        checks.check_indices("indices", indices, (rows.shape[0], indices.shape[1]))
    else:
        checks.check_shape("row_offsets", row_offsets, (rows.shape[0] + 1,))
    checks.check_shape("weight", weight, (weight.shape[0], rows.shape[1]))
    chosen = resolve_backend("gather_dot", backend, weight)
    result: Tensor = ops.gather_dot(*GatherDotInputs(rows, indices, weight, row_offsets), chosen)
    return result


def decode_error(
    values: Tensor,
    indices: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    scale: Tensor,
    *,
    row_offsets: Tensor | None = None,
    backend: Backend = "auto",
) -> DecodedError:
    """Compute the error of a reconstruction and its gradient for the values, in one pass.

    With e = sparse_decode(values, indices, weight, bias) - target and g = scale * e, it returns
    the sum of squares of each row of e, g, and gather_dot(g, indices, weight), but reads each row
    of weight from memory once. For float32 and float64, g and d_values have the same bits as from
    those functions. For half precision, only the results are rounded. The function itself has no
    gradient: a backward pass through it raises.

    For the loss sum(e ** 2) / V, take scale = 2 / V: g is then its gradient for the reconstruction.

    Args:
        values: (N, k) float32, bfloat16, float16 or float64 (float64: reference only).
        indices: (N, k) int64, -1 to L - 1; -1 adds nothing.
        weight: (L, D), values' dtype.
        bias: (D,), values' dtype, or None.
        target: (N, D), values' dtype.
        scale: () float32 (float64 for float64).
        row_offsets: None, or (N + 1,) int64: values and indices are then (P,), in compressed rows
            as those of `csr_decode`.
        backend: "auto" goes by weight's device and dtype; "native" needs CPU tensors.

    Returns:
        DecodedError: squares (N,), g (N, D) and d_values (N, k) or (P,).

    Raises:
        ValueError: a shape, a device, row_offsets or backend is wrong, or an index is out of range.
        TypeError: a dtype is wrong.

    """
    _check_decode(values, indices, weight, bias, row_offsets)
    rows = values.shape[0] if row_offsets is None else row_offsets.shape[0] - 1
    checks.check_shape("target", target, (rows, weight.shape[1]))
    checks.check_like("target", target, "values", values)
    checks.check_shape("scale", scale, ())
    checks.check_dtype("scale", scale, sum_dtype(values.dtype))
    checks.check_device("scale", scale, "values", values)
    chosen = resolve_backend("decode_error", backend, weight)
    inputs = DecodeErrorInputs(values, indices, weight, bias, target, scale, row_offsets)
    return DecodedError(*ops.decode_error(*inputs, chosen))


def _check_decode(
    values: Tensor,
    indices: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    row_offsets: Tensor | None = None,
) -> None:
    checks.check_floats("values", values, 2 if row_offsets is None else 1)
    _check_lookup(indices, weight, "values", values, row_offsets)
    checks.check_indices("indices", indices, tuple(values.shape))
    if bias is not None:
        checks.check_shape("bias", bias, (weight.shape[1],))
        checks.check_like("bias", bias, "values", values)


def _check_lookup(
    indices: Tensor,
    weight: Tensor,
    other_name: str,
    other: Tensor,
    row_offsets: Tensor | None,
) -> None:
    checks.check_floats("weight", weight, 2)
    if weight.shape[0] == 0:
        raise ValueError(f"weight: expected at least one latent, got shape {tuple(weight.shape)}")
    checks.check_like("weight", weight, other_name, other)
    checks.check_dims("indices", indices, 2 if row_offsets is None else 1)
    checks.check_device("indices", indices, other_name, other)
    if row_offsets is not None:
        checks.check_row_offsets(row_offsets, indices)
