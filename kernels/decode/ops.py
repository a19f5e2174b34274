"""The custom ops of the sparse products: schemas, fakes, and gradients. Never imports triton."""

from typing import Any

from torch import Tensor

from ..custom_op import cast, define_op, first_order_only, no_backward
from ..exactness import sum_dtype
from ..grads.interface import LatentGradsInputs
from ..grads.ops import latent_grads
from .interface import DecodeErrorInputs, GatherDotInputs, SparseDecodeInputs, SparseProducts


def implementation(backend: str) -> SparseProducts:
    """Return the module that serves "reference", "native" or "triton", and import it only now."""
    if backend == "native":
        from . import native

        return native
    if backend == "triton":
        from . import triton

        return triton
    assert backend == "reference", backend
    from . import reference

    return reference


def _sparse_decode(
    values: Tensor,
    indices: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    row_offsets: Tensor | None,
    backend: str,
) -> Tensor:
    inputs = SparseDecodeInputs(values, indices, weight, bias, row_offsets)
    return implementation(backend).sparse_decode(inputs)


def _sparse_decode_fake(*arguments: Any) -> Tensor:
    *fields, _ = arguments
    inputs = SparseDecodeInputs(*fields)
    offsets = inputs.row_offsets
    rows = inputs.indices.shape[0] if offsets is None else offsets.shape[0] - 1
    return inputs.weight.new_empty((rows, inputs.weight.shape[1]))


def _sparse_decode_setup(ctx: Any, inputs: tuple[Any, ...], **_: Any) -> None:
    *fields, ctx.backend = inputs
    given = SparseDecodeInputs(*fields)
    ctx.save_for_backward(given.values, given.indices, given.weight, given.row_offsets)


def _sparse_decode_backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
    first_order_only()
    values, indices, weight, row_offsets = ctx.saved_tensors
    needs_values, _, needs_weight, needs_bias, *_ = ctx.needs_input_grad
    d_values = None
    if needs_values:
        d_values = gather_dot(*GatherDotInputs(g, indices, weight, row_offsets), ctx.backend)
    dW = None
    if needs_weight:
        dW = weight.new_empty(weight.shape, dtype=sum_dtype(weight.dtype))
        sums = LatentGradsInputs(
            indices, weight.shape[0], values=values, g=g, dW_dec=dW, row_offsets=row_offsets
        )
        latent_grads(*sums, ctx.backend)
    return d_values, None, cast(dW, weight), g.sum(0) if needs_bias else None, None, None


def _gather_dot(
    rows: Tensor, indices: Tensor, weight: Tensor, row_offsets: Tensor | None, backend: str
) -> Tensor:
    inputs = GatherDotInputs(rows, indices, weight, row_offsets)
    return implementation(backend).gather_dot(inputs)


def _gather_dot_fake(rows: Tensor, indices: Tensor, *_: Any) -> Tensor:
    return rows.new_empty(indices.shape)


def _decode_error(
    values: Tensor,
    indices: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    scale: Tensor,
    row_offsets: Tensor | None,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    inputs = DecodeErrorInputs(values, indices, weight, bias, target, scale, row_offsets)
    return implementation(backend).decode_error(inputs)


def _decode_error_fake(*arguments: Any) -> tuple[Tensor, ...]:
    *fields, _ = arguments
    inputs = DecodeErrorInputs(*fields)
    squares = inputs.scale.new_empty((inputs.target.shape[0],))
    g = inputs.target.new_empty(inputs.target.shape)
    return squares, g, inputs.values.new_empty(inputs.values.shape)


sparse_decode = define_op(
    "sparse_decode", _sparse_decode, _sparse_decode_fake,
    backward=_sparse_decode_backward, setup=_sparse_decode_setup,
)  # fmt: skip
gather_dot = define_op(
    "gather_dot", _gather_dot, _gather_dot_fake, backward=no_backward("gather_dot")
)
decode_error = define_op(
    "decode_error", _decode_error, _decode_error_fake, backward=no_backward("decode_error")
)
