"""Times the phases of one training step of a TopK SAE: what the kernels do, and the optimiser."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..kernels.decode import DecodedError, decode_error
from ..kernels.topk import TopK, linear_topk
from ..kernels.update import AdamStep, LatentTotals, Moments, Term, latent_adam
from ..sae.loss import total_variance
from .inputs import Inputs
from .measurement import OURS, PRODUCT, Measurement, Task, measure

COPY = "copy of weights, gradients, moments"
ADAM = AdamStep(lr=0.0, step=1)  # without a rate, so that every round has the same weights


class Phases:
    """The phases of a step on one batch; each reads the results of the last call of those before.

    They are measured on copies of the weights.
    """

    def __init__(self, inputs: Inputs) -> None:
        sae = inputs.sae
        self.k, self.x, self.variance = sae.config.k, inputs.x, total_variance(inputs.x)
        given = (sae.encoder.weight, sae.encoder.bias, sae.W_dec, sae.b_dec)
        self.W_enc, self.b_enc, self.W_dec, self.b_dec = (t.detach().clone() for t in given)
        self.moments = [
            Moments(torch.zeros_like(t), torch.zeros_like(t)) for t in (self.W_enc, self.W_dec)
        ]
        self.unit_rows = sae.config.normalize_decoder
        biases = [torch.nn.Parameter(t) for t in (self.b_enc, self.b_dec)]
        self.adam_of_biases = torch.optim.Adam(biases, lr=ADAM.lr, fused=True)
        self.encode()
        self.decode_error()
        self.encoder()

    def encode(self) -> TopK:
        """Find the active latents."""
        bias = self.b_enc - self.W_enc @ self.b_dec
        self.active = linear_topk(self.x, self.W_enc, bias, self.k)
        return self.active

    def decode_error(self) -> DecodedError:
        """Reconstruct the batch; compute the gradients of reconstructions and active values."""
        values, indices, _ = self.active
        scale = 2 / self.variance
        self.error = decode_error(values, indices, self.W_dec, self.b_dec, self.x, scale)
        return self.error

    def decoder(self) -> LatentTotals:
        """Update the decoder."""
        term = Term(self.active.values, self.active.indices, self.error.g)
        moments = self.moments[1]
        return latent_adam(self.W_dec, moments, [term], ADAM, unit_rows=self.unit_rows)

    def encoder(self) -> LatentTotals:
        """Update the encoder."""
        term = Term(self.error.d_values, self.active.indices, self.x - self.b_dec)
        self.totals = latent_adam(self.W_enc, self.moments[0], [term], ADAM)
        return self.totals

    def rest(self) -> Tensor:
        """Compute the loss and update the biases."""
        b_enc, b_dec = self.adam_of_biases.param_groups[0]["params"]
        b_enc.grad = self.totals.sums
        b_dec.grad = self.error.g.sum(dim=0) - self.totals.weighted
        self.adam_of_biases.step()
        return self.error.squares.sum() / self.variance

    def ways(self) -> dict[str, Callable[[], Any]]:
        """Return the phases in their order, by their names in the table."""
        return {
            "encode": self.encode,
            "decode and its error": self.decode_error,
            "update of the decoder": self.decoder,
            "update of the encoder": self.encoder,
            "loss and biases": self.rest,
        }


def bench_phases(inputs: Inputs, rounds: int) -> list[Measurement]:
    """Time a step as a whole, each of its phases, a copy of all it writes, and the product.

    The bar is that all phases except the encoder take at most 1.5 times as long as the copy.
    """
    phases = Phases(inputs)
    ways = phases.ways()

    def step() -> None:
        for phase in ways.values():
            phase()

    weights = (phases.W_enc, phases.W_dec)
    # Each of the two matrices has a gradient and two moments of its size.
    copies = [(t, torch.zeros_like(t)) for t in weights for _ in range(4)]

    def copy() -> None:
        for source, target in copies:
            target.copy_(source)

    shape, operations = inputs.shape, 2 * inputs.x.numel() * len(phases.W_enc)
    task = Task("phases of a step", shape.sizes, inputs.source, operations)
    product = partial(torch.matmul, inputs.x, phases.W_enc.T)
    measured = measure(task, {OURS: step, **ways, COPY: copy, PRODUCT: product}, rounds)
    whole = measured[0].seconds
    return [
        replace(one, notes=[f"{one.seconds / whole:.0%} of the step"]) if one.way in ways else one
        for one in measured
    ]
