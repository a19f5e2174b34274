"""Gradients by latent in C++ (CPU, float32). Half-precision inputs are converted first, whole."""

import torch
from torch import Tensor

from .. import _native
from ..arrays import array, float_array


def latent_grads(
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
) -> None:
    """See ops._latent_grads."""
    inputs = [None if t is None else float_array(t) for t in (values, d_values, x, g)]
    outputs = [None if t is None else t.detach().numpy() for t in (dW_dec, dW_enc, db_enc, fired)]
    _native.latent_grads(
        inputs[0],
        inputs[1],
        array(indices),
        inputs[2],
        inputs[3],
        accumulate,
        torch.get_num_threads(),
        num_latents,
        *outputs,
    )
