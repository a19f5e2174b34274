"""The custom op of the TopK autoencoder: schema, fake, and gradients. Never imports triton."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..custom_op import cast, define_op, first_order_only, stats_fake
from ..decode.ops import gather_dot, sparse_decode
from ..exactness import sum_dtype
from ..grads.interface import LatentGradsInputs
from ..grads.ops import latent_grads
from .interface import AutoencodeInputs, Autoencoder, Parts


def implementation(backend: str) -> Autoencoder:
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


def _topk_autoencode(
    x: Tensor,
    W_enc: Tensor,
    b_enc: Tensor | None,
    packed: Sequence[Tensor],
    W_dec: Tensor,
    b_dec: Tensor | None,
    k: int,
    backend: str,
) -> Parts:
    inputs = AutoencodeInputs(x, W_enc, b_enc, packed, W_dec, b_dec, k)
    return implementation(backend).topk_autoencode(inputs)


def _topk_autoencode_fake(*arguments: Any) -> tuple[Tensor, ...]:
    *fields, _ = arguments
    inputs = AutoencodeInputs(*fields)
    x = inputs.x
    values = x.new_empty((x.shape[0], inputs.k))
    squares = x.new_empty((x.shape[0],), dtype=sum_dtype(x.dtype))
    indices = torch.empty_like(values, dtype=torch.int64)
    recon = x.new_empty(x.shape)
    return recon, values, indices, squares, torch.empty_like(squares), *stats_fake(x)


def _topk_autoencode_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *fields, ctx.backend = inputs
    given = AutoencodeInputs(*fields)
    recon, values, indices, *_ = output
    ctx.save_for_backward(given.x, given.W_enc, given.b_enc, given.W_dec, recon, values, indices)
    ctx.packed = len(given.packed)
    # The gradient of an unused output is then None, not 0: infinity times 0 would be NaN.
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
    first_order_only()
    x, W_enc, b_enc, W_dec, recon, values, indices = ctx.saved_tensors
    needs_x, needs_W_enc, needs_b_enc, _, needs_W_dec, needs_b_dec = ctx.needs_input_grad[:6]
    dtype = sum_dtype(x.dtype)
    # The gradient that reaches recon by way of squares; x gets its opposite.
    pull = None if d_squares is None else 2 * d_squares[:, None] * (recon.to(dtype) - x)
    g = cast(_plus(d_recon, pull), x)
    through = None if g is None else gather_dot(g, indices, W_dec, None, ctx.backend)
    dv = _plus(through, d_values)
    dW_enc = W_enc.new_empty(W_enc.shape, dtype=dtype) if needs_W_enc and dv is not None else None
    db_enc = b_enc.new_empty(b_enc.shape, dtype=dtype) if needs_b_enc and dv is not None else None
    dW_dec = W_dec.new_empty(W_dec.shape, dtype=dtype) if needs_W_dec and g is not None else None
    if any(out is not None for out in (dW_dec, dW_enc, db_enc)):
        sums = LatentGradsInputs(
            indices, len(W_enc), values, dv, x, g, dW_dec=dW_dec, dW_enc=dW_enc, db_enc=db_enc
        )
        latent_grads(*sums, ctx.backend)
    db_dec = g.sum(0) if needs_b_dec and g is not None else None
    dx = None
    if needs_x:
        dx = None if dv is None else sparse_decode(dv, indices, W_enc, None, None, ctx.backend)
        dx = _plus(dx, None if pull is None else -pull)
        dx = cast(_plus(dx, _through_deviations(x.to(dtype), d_deviations)), x)
    encoder = cast(dW_enc, x), cast(db_enc, x)
    return dx, *encoder, [None] * ctx.packed, cast(dW_dec, x), db_dec, None, None


def _through_deviations(x: Tensor, d_deviations: Tensor | None) -> Tensor | None:
    """Return dLoss/dx by way of |x[n] - mean|^2: each row moves the mean of all rows."""
    if d_deviations is None:
        return None
    own = 2 * d_deviations[:, None] * (x - x.mean(0))
    return own - own.mean(0)


def _plus(left: Tensor | None, right: Tensor | None) -> Tensor | None:
    """Return the sum of two gradients; None is no gradient."""
    if left is None or right is None:
        return right if left is None else left
    return left + right


topk_autoencode = define_op(
    "topk_autoencode", _topk_autoencode, _topk_autoencode_fake,
    backward=_topk_autoencode_backward, setup=_topk_autoencode_setup,
)  # fmt: skip
