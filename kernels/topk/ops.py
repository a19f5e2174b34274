"""The custom ops of the scans: schemas, fakes for tracing, and gradients. Never imports triton."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..custom_op import cast, define_op, first_order_only, stats_fake
from ..decode.interface import SparseDecodeInputs
from ..decode.ops import sparse_decode
from ..exactness import sum_dtype
from ..grads.interface import LatentGradsInputs
from ..grads.ops import latent_grads
from .interface import (
    Above,
    LinearAboveInputs,
    LinearTopKInputs,
    Listed,
    MutualTopKInputs,
    PairsAboveInputs,
    Ranked,
    RankedBothWays,
    Scans,
)


def implementation(backend: str) -> Scans:
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


def _linear_topk(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    packed: Sequence[Tensor],
    k: int,
    floor: Tensor,
    mask: Tensor | None,
    groups: int,
    backend: str,
) -> Ranked:
    inputs = LinearTopKInputs(x, weight, bias, packed, k, floor, mask, groups)
    return implementation(backend).linear_topk(inputs)


def _linear_topk_fake(*arguments: Any) -> tuple[Tensor, ...]:
    *fields, _ = arguments
    inputs = LinearTopKInputs(*fields)
    values = inputs.x.new_empty((inputs.x.shape[0], inputs.groups, inputs.k))
    return values, torch.empty_like(values, dtype=torch.int64), *stats_fake(values)


def _linear_topk_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *fields, ctx.backend = inputs
    given = LinearTopKInputs(*fields)
    _, indices, *_ = output
    ctx.save_for_backward(given.x, given.weight, given.bias, indices)
    ctx.packed, ctx.groups = len(given.packed), given.groups


def _linear_topk_backward(ctx: Any, d_values: Tensor, *_: Any) -> tuple[Any, ...]:
    first_order_only()
    x, weight, bias, indices = ctx.saved_tensors
    latents = weight.shape[0] // ctx.groups
    first = torch.arange(ctx.groups, device=x.device)[:, None] * latents  # (S, 1)
    stacked = torch.where(indices < 0, indices, indices + first).flatten(1)  # (N, S * k)
    d_values = d_values.flatten(1)
    gradients = _input_gradients(ctx, x, weight, bias, d_values, stacked, None)
    return *gradients, [None] * ctx.packed, *[None] * 5


def _input_gradients(
    ctx: Any,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    d_values: Tensor,
    indices: Tensor,
    row_offsets: Tensor | None,
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Return the gradients of x, weight and bias that are needed, from those of the scores.

    d_values and indices are (N, k), or (P,) with row_offsets (N + 1,).
    """
    needs_x, needs_weight, needs_bias = ctx.needs_input_grad[:3]
    dx = None
    if needs_x:
        product = SparseDecodeInputs(d_values, indices, weight, None, row_offsets)
        dx = sparse_decode(*product, ctx.backend)
    dtype = sum_dtype(x.dtype)
    dW = weight.new_empty(weight.shape, dtype=dtype) if needs_weight else None
    db = None
    if needs_bias:
        assert bias is not None
        db = bias.new_empty(bias.shape, dtype=dtype)
    if needs_weight or needs_bias:
        sums = LatentGradsInputs(
            indices, weight.shape[0], d_values=d_values, x=x, dW_enc=dW, db_enc=db,
            row_offsets=row_offsets,
        )  # fmt: skip
        latent_grads(*sums, ctx.backend)
    return dx, cast(dW, x), cast(db, x)


def _mutual_topk(
    a: Tensor,
    b: Tensor,
    packed: Sequence[Tensor],
    m: int,
    row_floor: Tensor,
    col_floor: Tensor,
    exact: bool,
    backend: str,
) -> RankedBothWays:
    inputs = MutualTopKInputs(a, b, packed, m, row_floor, col_floor, exact)
    return implementation(backend).mutual_topk(inputs)


def _mutual_topk_fake(*arguments: Any) -> tuple[Tensor, ...]:
    *fields, _ = arguments
    inputs = MutualTopKInputs(*fields)
    sides = [side.new_empty((side.shape[0], inputs.m)) for side in (inputs.a, inputs.b)]
    rows, cols = ((side, torch.empty_like(side, dtype=torch.int64)) for side in sides)
    return *rows, *cols, *stats_fake(inputs.a)


def _pairs_above(
    a: Tensor,
    b: Tensor,
    packed: Sequence[Tensor],
    row_price: Tensor,
    col_price: Tensor,
    margin: float,
    tiles: Tensor | None,
    capacity: int,
    exact: bool,
    backend: str,
) -> Listed:
    inputs = PairsAboveInputs(a, b, packed, row_price, col_price, margin, tiles, capacity, exact)
    return implementation(backend).pairs_above(inputs)


def _pairs_above_fake(a: Tensor, *_: Any) -> tuple[Tensor, ...]:
    pairs = torch.library.get_ctx().new_dynamic_size()
    rows, cols = (a.new_empty((pairs,), dtype=torch.int64) for _ in range(2))
    return rows, cols, a.new_empty((), dtype=torch.int64), *stats_fake(a)


def _linear_above(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    packed: Sequence[Tensor],
    threshold: Tensor,
    backend: str,
) -> Above:
    inputs = LinearAboveInputs(x, weight, bias, packed, threshold)
    return implementation(backend).linear_above(inputs)


def _linear_above_fake(x: Tensor, *_: Any) -> tuple[Tensor, ...]:
    places = torch.library.get_ctx().new_dynamic_size()
    row_offsets = x.new_empty((x.shape[0] + 1,), dtype=torch.int64)
    values = x.new_empty((places,))
    return values, row_offsets.new_empty((places,)), row_offsets, *stats_fake(x)


def _linear_above_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *fields, ctx.backend = inputs
    given = LinearAboveInputs(*fields)
    _, indices, row_offsets, *_ = output
    ctx.save_for_backward(given.x, given.weight, given.bias, indices, row_offsets)
    ctx.packed = len(given.packed)


def _linear_above_backward(ctx: Any, d_values: Tensor, *_: Any) -> tuple[Any, ...]:
    first_order_only()
    x, weight, bias, indices, row_offsets = ctx.saved_tensors
    gradients = _input_gradients(ctx, x, weight, bias, d_values, indices, row_offsets)
    return *gradients, [None] * ctx.packed, None, None


linear_topk = define_op(
    "linear_topk", _linear_topk, _linear_topk_fake,
    backward=_linear_topk_backward, setup=_linear_topk_setup,
)  # fmt: skip
# api.py detaches what these two take: they have no gradient.
mutual_topk = define_op("mutual_topk", _mutual_topk, _mutual_topk_fake)
pairs_above = define_op("pairs_above", _pairs_above, _pairs_above_fake)
linear_above = define_op(
    "linear_above", _linear_above, _linear_above_fake,
    backward=_linear_above_backward, setup=_linear_above_setup,
)  # fmt: skip
