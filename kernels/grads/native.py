"""Gradients by latent in C++, on a CPU, in float32. Half-precision inputs are converted first."""

import torch

from .. import extension as _native
from ..arrays import array, float_array
from .interface import LatentGradsInputs


def latent_grads(inputs: LatentGradsInputs) -> None:
    """See api.latent_grads."""
    sources = (inputs.values, inputs.d_values, inputs.x, inputs.g)
    outputs = (inputs.dW_dec, inputs.dW_enc, inputs.db_enc, inputs.fired)
    values, d_values, x, g = (None if t is None else float_array(t) for t in sources)
    _native.latent_grads(
        values,
        d_values,
        array(inputs.indices),
        None if inputs.row_offsets is None else array(inputs.row_offsets),
        x,
        g,
        inputs.accumulate,
        torch.get_num_threads(),
        inputs.num_latents,
        *(None if t is None else t.detach().numpy() for t in outputs),
    )
