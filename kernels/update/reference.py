"""Adam by latent in torch, for any float dtype and device: the specification.

It writes the gradient out, and serves float64 and tensors that are not on a CPU.
"""

import torch
from torch import Tensor

from ..backends import resolve_backend
from ..exactness import exact_products
from ..grads.interface import LatentGradsInputs
from ..grads.ops import latent_grads
from .interface import AdamInputs, Gradient
from .rounding import random_bits, round_at_random

TINY = 2.0**-126  # the least normal number in float32
CHUNK_ELEMENTS = 1 << 22  # the most numbers that are updated at once


def latent_adam(inputs: AdamInputs) -> None:
    """See api.latent_adam."""
    weight = inputs.gradient.weight
    gradient = _gradient(inputs.gradient, inputs.sums, inputs.fired)
    with exact_products(weight.device):
        torch.mv(weight.T, inputs.sums, out=inputs.weighted)
    step = max(1, CHUNK_ELEMENTS // max(1, weight.shape[1]))
    for first in range(0, weight.shape[0], step):
        _update(inputs, gradient[first : first + step], first)


def latent_squares(inputs: Gradient) -> Tensor:
    """See api.latent_squares."""
    latents = inputs.weight.shape[0]
    sums = inputs.weight.new_empty(latents)
    gradient = _gradient(inputs, sums, sums.new_empty(latents, dtype=torch.int64))
    norm: Tensor = torch.linalg.vector_norm(gradient, dtype=torch.float64)
    return norm.square()


def _gradient(inputs: Gradient, sums: Tensor, fired: Tensor) -> Tensor:
    """Return the gradient, (L, D); write the sums of the scales and the first term's rows."""
    weight = inputs.weight
    gradient = torch.zeros_like(weight)
    sums.zero_()
    fired.zero_()
    # Triton's sums are the fastest on its GPUs; elsewhere torch serves.
    backend = resolve_backend("latent_grads", "auto", weight) if weight.is_cuda else "reference"
    for i, term in enumerate(inputs.terms):
        sources = LatentGradsInputs(
            term.indices, weight.shape[0], d_values=term.scales, x=term.rows, dW_enc=gradient,
            db_enc=sums, fired=None if i else fired, accumulate=True, row_offsets=term.row_offsets,
        )  # fmt: skip
        latent_grads(*sources, backend)
    if inputs.decay is not None:
        gradient.addcmul_(inputs.decay[:, None], weight)
    if inputs.unit_rows:
        along = (gradient * weight).sum(1, keepdim=True)
        gradient.addcmul_(along, weight, value=-1)
    return gradient


def _update(inputs: AdamInputs, gradient: Tensor, first: int) -> None:
    """Update the rows from `first` on by their rows of the gradient."""
    rule, part = inputs.rule, slice(first, first + gradient.shape[0])
    weight = inputs.gradient.weight[part]
    g = gradient * rule.scale
    mean, square = inputs.exp_avg[part].to(g.dtype), inputs.exp_avg_sq[part].to(g.dtype)
    mean = _normal_or_zero(mean + rule.take * (g - mean))
    square = _normal_or_zero(rule.keep_square * square + rule.take_square * g.square())
    weight -= rule.step * mean / (rule.root * square.sqrt() + rule.eps)
    if inputs.gradient.unit_rows:
        norm = torch.linalg.vector_norm(weight, dim=1, keepdim=True)
        weight /= norm.where(norm > 0, 1)
    if inputs.exp_avg.dtype == torch.bfloat16:
        random = random_bits(inputs.key, first, g)
        mean = round_at_random(mean.float(), random & 0xFFFF)
        square = round_at_random(square.float(), random >> 16)
    inputs.exp_avg[part], inputs.exp_avg_sq[part] = mean, square


def _normal_or_zero(numbers: Tensor) -> Tensor:
    return numbers.masked_fill(numbers.abs() < TINY, 0)
