"""The custom op of the gradients by latent: its schema and its fake. Never imports triton."""

from typing import Any

from torch import Tensor

from ..custom_op import define_op
from .interface import LatentGradsInputs, SparseGradients


def implementation(backend: str) -> SparseGradients:
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


def _latent_grads(
    indices: Tensor,
    num_latents: int,
    values: Tensor | None,
    d_values: Tensor | None,
    x: Tensor | None,
    g: Tensor | None,
    dW_dec: Tensor | None,
    dW_enc: Tensor | None,
    db_enc: Tensor | None,
    fired: Tensor | None,
    accumulate: bool,
    row_offsets: Tensor | None,
    backend: str,
) -> None:
    inputs = LatentGradsInputs(
        indices, num_latents, values, d_values, x, g, dW_dec, dW_enc, db_enc, fired, accumulate,
        row_offsets,
    )  # fmt: skip
    implementation(backend).latent_grads(inputs)


def _latent_grads_fake(*_: Any) -> None:
    """Return nothing: the outputs exist already."""


# api.py detaches what it takes: it has no gradient.
latent_grads = define_op(
    "latent_grads", _latent_grads, _latent_grads_fake,
    mutated=("dW_dec", "dW_enc", "db_enc", "fired"),
)  # fmt: skip
