"""The custom ops: schemas, shapes for tracing (fakes), and gradients. Never imports triton.

Every op takes the name of the backend that api.py chose and calls the function of its own name in
<folder>/<backend>.py, imported at the first call. Arguments are as the public functions
document them, with these differences: `packed` lists what `pack` prepared (or nothing), floors
are tensors in the scores' dtype, one for each row, and results with groups are always (N, S, k).
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

FOLDER = {
    "linear_topk": "topk",
    "mutual_topk": "topk",
    "pairs_above": "topk",
    "sparse_decode": "decode",
    "gather_dot": "decode",
    "decode_error": "decode",
    "latent_grads": "grads",
    "topk_autoencode": "autoencode",
}


def sum_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype of scores and sums for inputs of `dtype`: float32, or float64."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def _implementation(op: str, backend: str) -> Callable[..., Any]:
    module = import_module(f".{FOLDER[op]}.{backend}", __package__)
    implementation: Callable[..., Any] = getattr(module, op)
    return implementation


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
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    result: tuple[Tensor, Tensor, Tensor, Tensor]
    run = _implementation("linear_topk", backend)
    result = run(x, weight, bias, packed, k, floor, mask, groups)
    return result


def _linear_topk_fake(
    x: Tensor, _weight: Tensor, _bias: Tensor | None, _packed: Sequence[Tensor], k: int,
    _floor: Tensor, _mask: Tensor | None, groups: int, _backend: str,
) -> tuple[Tensor, ...]:  # fmt: skip
    values = x.new_empty((x.shape[0], groups, k))
    return values, torch.empty_like(values, dtype=torch.int64), *_stats_fake(x)


def _linear_topk_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, weight, bias, packed, _, _, _, groups, backend = inputs
    ctx.save_for_backward(x, weight, bias, output[1])
    ctx.packed, ctx.groups, ctx.backend = len(packed), groups, backend


def _linear_topk_backward(ctx: Any, d_values: Tensor, *_: Any) -> tuple[Any, ...]:
    _first_order_only()
    x, weight, bias, indices = ctx.saved_tensors
    latents = weight.shape[0] // ctx.groups
    first = torch.arange(ctx.groups, device=x.device)[:, None] * latents  # (S, 1)
    stacked = torch.where(indices < 0, indices, indices + first).flatten(1)  # (N, S * k)
    d_values = d_values.flatten(1)
    needs_x, needs_weight, needs_bias = ctx.needs_input_grad[:3]
    dx = sparse_decode(d_values, stacked, weight, None, ctx.backend) if needs_x else None
    dtype = sum_dtype(x.dtype)
    dW = weight.new_empty(weight.shape, dtype=dtype) if needs_weight else None
    db = bias.new_empty(bias.shape, dtype=dtype) if needs_bias else None
    if needs_weight or needs_bias:
        latent_grads(
            None, d_values, stacked, x, None, weight.shape[0], None, dW, db, None, False,
            ctx.backend,
        )  # fmt: skip
    return dx, _cast(dW, x), _cast(db, x), [None] * ctx.packed, *[None] * 5


def _mutual_topk(
    a: Tensor,
    b: Tensor,
    packed: Sequence[Tensor],
    m: int,
    row_floor: Tensor,
    col_floor: Tensor,
    exact: bool,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    result: tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
    run = _implementation("mutual_topk", backend)
    result = run(a, b, packed, m, row_floor, col_floor, exact)
    return result


def _mutual_topk_fake(
    a: Tensor, b: Tensor, _packed: Sequence[Tensor], m: int, *_: Any
) -> tuple[Tensor, ...]:
    sides = [side.new_empty((side.shape[0], m)) for side in (a, b)]
    rows, cols = ((side, torch.empty_like(side, dtype=torch.int64)) for side in sides)
    return *rows, *cols, *_stats_fake(a)


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
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    result: tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
    run = _implementation("pairs_above", backend)
    result = run(a, b, packed, row_price, col_price, margin, tiles, capacity, exact)
    return result


def _pairs_above_fake(a: Tensor, *_: Any) -> tuple[Tensor, ...]:
    pairs = torch.library.get_ctx().new_dynamic_size()
    rows, cols = (a.new_empty((pairs,), dtype=torch.int64) for _ in range(2))
    return rows, cols, a.new_empty((), dtype=torch.int64), *_stats_fake(a)


def _sparse_decode(
    values: Tensor, indices: Tensor, weight: Tensor, bias: Tensor | None, backend: str
) -> Tensor:
    run: Callable[..., Tensor] = _implementation("sparse_decode", backend)
    return run(values, indices, weight, bias)


def _sparse_decode_fake(_values: Tensor, indices: Tensor, weight: Tensor, *_: Any) -> Tensor:
    return weight.new_empty((indices.shape[0], weight.shape[1]))


def _sparse_decode_setup(ctx: Any, inputs: tuple[Any, ...], **_: Any) -> None:
    values, indices, weight, _, backend = inputs
    ctx.save_for_backward(values, indices, weight)
    ctx.backend = backend


def _sparse_decode_backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
    _first_order_only()
    values, indices, weight = ctx.saved_tensors
    needs_values, _, needs_weight, needs_bias = ctx.needs_input_grad[:4]
    d_values = gather_dot(g, indices, weight, ctx.backend) if needs_values else None
    dW = None
    if needs_weight:
        dW = weight.new_empty(weight.shape, dtype=sum_dtype(weight.dtype))
        latent_grads(
            values, None, indices, None, g, weight.shape[0], dW, None, None, None, False,
            ctx.backend,
        )  # fmt: skip
    return d_values, None, _cast(dW, weight), g.sum(0) if needs_bias else None, None


def _gather_dot(rows: Tensor, indices: Tensor, weight: Tensor, backend: str) -> Tensor:
    run: Callable[..., Tensor] = _implementation("gather_dot", backend)
    return run(rows, indices, weight)


def _gather_dot_fake(rows: Tensor, indices: Tensor, _weight: Tensor, _backend: str) -> Tensor:
    return rows.new_empty(indices.shape)


def _first_order_only() -> None:
    # Gradients are recorded while going back with create_graph=True only.
    if torch.is_grad_enabled():
        raise NotImplementedError("create_graph: twinsae's ops have no second derivatives")


def _decode_error(
    values: Tensor,
    indices: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    scale: Tensor,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    result: tuple[Tensor, Tensor, Tensor]
    run = _implementation("decode_error", backend)
    result = run(values, indices, weight, bias, target, scale)
    return result


def _decode_error_fake(
    values: Tensor, _indices: Tensor, _weight: Tensor, _bias: Tensor | None, target: Tensor,
    scale: Tensor, _backend: str,
) -> tuple[Tensor, ...]:  # fmt: skip
    squares = scale.new_empty((values.shape[0],))
    return squares, target.new_empty(target.shape), values.new_empty(values.shape)


def _topk_autoencode(
    x: Tensor,
    W_enc: Tensor,
    b_enc: Tensor | None,
    packed: Sequence[Tensor],
    W_dec: Tensor,
    b_dec: Tensor | None,
    k: int,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    result: tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
    run = _implementation("topk_autoencode", backend)
    result = run(x, W_enc, b_enc, packed, W_dec, b_dec, k)
    return result


def _topk_autoencode_fake(
    x: Tensor, _W_enc: Tensor, _b_enc: Tensor | None, _packed: Sequence[Tensor], _W_dec: Tensor,
    _b_dec: Tensor | None, k: int, _backend: str,
) -> tuple[Tensor, ...]:  # fmt: skip
    values = x.new_empty((x.shape[0], k))
    squares = x.new_empty((x.shape[0],), dtype=sum_dtype(x.dtype))
    indices = torch.empty_like(values, dtype=torch.int64)
    recon = x.new_empty(x.shape)
    return recon, values, indices, squares, torch.empty_like(squares), *_stats_fake(x)


def _topk_autoencode_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, W_enc, b_enc, packed, W_dec, *_, backend = inputs
    ctx.save_for_backward(x, W_enc, b_enc, W_dec, *output[:3])
    ctx.packed, ctx.backend = len(packed), backend
    # An output that nobody used must not turn infinity into NaN by 0 times it.
    ctx.set_materialize_grads(False)


def _topk_autoencode_backward(
    ctx: Any,
    d_recon: Tensor | None,
    d_values: Tensor | None,
    _: None,
    d_squares: Tensor | None,
    d_deviations: Tensor | None,
    *__: None,
) -> tuple[Any, ...]:
    _first_order_only()
    x, W_enc, b_enc, W_dec, recon, values, indices = ctx.saved_tensors
    needs_x, needs_W_enc, needs_b_enc, _, needs_W_dec, needs_b_dec = ctx.needs_input_grad[:6]
    dtype = sum_dtype(x.dtype)
    pull = None if d_squares is None else 2 * d_squares[:, None] * (recon.to(dtype) - x)
    g = _cast(_plus(d_recon, pull), x)
    through = None if g is None else gather_dot(g, indices, W_dec, ctx.backend)
    dv = _plus(through, d_values)
    dW_enc = W_enc.new_empty(W_enc.shape, dtype=dtype) if needs_W_enc and dv is not None else None
    db_enc = b_enc.new_empty(b_enc.shape, dtype=dtype) if needs_b_enc and dv is not None else None
    dW_dec = W_dec.new_empty(W_dec.shape, dtype=dtype) if needs_W_dec and g is not None else None
    sums = dW_dec, dW_enc, db_enc
    if any(out is not None for out in sums):
        latent_grads(values, dv, indices, x, g, len(W_enc), *sums, None, False, ctx.backend)
    db_dec = g.sum(0) if needs_b_dec and g is not None else None
    dx = None
    if needs_x:
        dx = None if dv is None else sparse_decode(dv, indices, W_enc, None, ctx.backend)
        dx = _plus(dx, None if pull is None else -pull)
        dx = _cast(_plus(dx, _through_deviations(x.to(dtype), d_deviations)), x)
    encoder = _cast(dW_enc, x), _cast(db_enc, x)
    return dx, *encoder, [None] * ctx.packed, _cast(dW_dec, x), db_dec, None, None


def _through_deviations(x: Tensor, d_deviations: Tensor | None) -> Tensor | None:
    """Return dLoss/dx by way of |x[n] - mean|^2: each row moves the mean of all."""
    if d_deviations is None:
        return None
    own = 2 * d_deviations[:, None] * (x - x.mean(0))
    return own - own.mean(0)


def _plus(left: Tensor | None, right: Tensor | None) -> Tensor | None:
    if left is None or right is None:
        return right if left is None else left
    return left + right


def _no_backward(op: str) -> Callable[..., None]:
    def backward(*_: Any) -> None:
        raise NotImplementedError(f"{op}: there is no gradient through it")

    return backward


def _latent_grads(
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
    backend: str,
) -> None:
    """Write the outputs that are given, or add to them; inputs that none needs may be None."""
    run = _implementation("latent_grads", backend)
    run(values, d_values, indices, x, g, num_latents, dW_dec, dW_enc, db_enc, fired, accumulate)


def _latent_grads_fake(*_: Any) -> None:
    """Its outputs are there already."""


def _stats_fake(like: Tensor) -> tuple[Tensor, Tensor]:
    return like.new_empty((), dtype=torch.int64), like.new_empty((), dtype=torch.int64)


def _cast(tensor: Tensor | None, like: Tensor) -> Tensor | None:
    return None if tensor is None else tensor.to(like.dtype)


def _register() -> None:
    """Define the ops, once for the process: this file may be imported under a second name."""
    if hasattr(torch.ops.twinsae, "linear_topk"):
        return
    # Not custom_op: its first call imports torch._dynamo, which takes a second or two.
    library = torch.library
    for name, function, fake, mutated in (
        ("linear_topk", _linear_topk, _linear_topk_fake, ()),
        ("mutual_topk", _mutual_topk, _mutual_topk_fake, ()),
        ("pairs_above", _pairs_above, _pairs_above_fake, ()),
        ("sparse_decode", _sparse_decode, _sparse_decode_fake, ()),
        ("gather_dot", _gather_dot, _gather_dot_fake, ()),
        ("decode_error", _decode_error, _decode_error_fake, ()),
        ("latent_grads", _latent_grads, _latent_grads_fake, _OUTPUTS),
        ("topk_autoencode", _topk_autoencode, _topk_autoencode_fake, ()),
    ):
        op = f"twinsae::{name}"
        library.define(op, library.infer_schema(function, mutates_args=mutated))
        library.impl(op, "CompositeExplicitAutograd", function)
        library.register_fake(op, fake)
    for name, backward, setup in (
        ("linear_topk", _linear_topk_backward, _linear_topk_setup),
        ("sparse_decode", _sparse_decode_backward, _sparse_decode_setup),
        ("gather_dot", _no_backward("gather_dot"), None),
        ("decode_error", _no_backward("decode_error"), None),
        ("topk_autoencode", _topk_autoencode_backward, _topk_autoencode_setup),
    ):
        library.register_autograd(f"twinsae::{name}", backward, setup_context=setup)


_OUTPUTS = ("dW_dec", "dW_enc", "db_enc", "fired")
_register()
linear_topk = torch.ops.twinsae.linear_topk
mutual_topk = torch.ops.twinsae.mutual_topk
pairs_above = torch.ops.twinsae.pairs_above
sparse_decode = torch.ops.twinsae.sparse_decode
gather_dot = torch.ops.twinsae.gather_dot
decode_error = torch.ops.twinsae.decode_error
latent_grads = torch.ops.twinsae.latent_grads
topk_autoencode = torch.ops.twinsae.topk_autoencode
