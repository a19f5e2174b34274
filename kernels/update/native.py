"""Adam by latent in C++, on a CPU, in float32, with moments in float32 or bfloat16."""

from typing import Any

import torch
from torch import Tensor

from .. import extension as _native
from ..arrays import array
from .interface import AdamInputs, Gradient


def latent_adam(inputs: AdamInputs) -> None:
    """See api.latent_adam."""
    halves = inputs.exp_avg.dtype == torch.bfloat16
    moments = (inputs.exp_avg, inputs.exp_avg_sq)
    exp_avg, exp_avg_sq = (_bits(t) if halves else t.numpy() for t in moments)
    gradient = inputs.gradient
    _native.latent_adam(
        gradient.weight.numpy(),
        exp_avg,
        exp_avg_sq,
        _terms(gradient),
        _decay(gradient),
        gradient.unit_rows,
        list(inputs.rule),
        inputs.key if halves else None,
        torch.get_num_threads(),
        inputs.sums.numpy(),
        inputs.weighted.numpy(),
        inputs.fired.numpy(),
    )


def latent_squares(inputs: Gradient) -> Tensor:
    """See api.latent_squares."""
    total = _native.latent_squares(
        inputs.weight.numpy(),
        _terms(inputs),
        _decay(inputs),
        inputs.unit_rows,
        torch.get_num_threads(),
    )
    return torch.tensor(total, dtype=torch.float64)


def _terms(inputs: Gradient) -> list[Any]:
    return [
        (
            array(term.scales),
            array(term.indices),
            None if term.row_offsets is None else array(term.row_offsets),
            array(term.rows),
        )
        for term in inputs.terms
    ]


def _decay(inputs: Gradient) -> Any:
    return None if inputs.decay is None else array(inputs.decay)


def _bits(tensor: Tensor) -> Any:
    """Return bfloat16 numbers as numpy's uint16, in the same memory."""
    return tensor.view(torch.uint16).numpy()
