"""Gated SAEs: one set of directions, a gate that opens and a magnitude (arXiv 2404.16014).

With h = <x - b_in, w> the gate's score is h + encoder.bias, the magnitude exp(r_mag) h + mag_bias.
The gate's step has no gradient: the gate learns from an L1 penalty on its positive scores u, and
from an auxiliary error, that of reconstructing with u in place of the values (sections 3.2 and 3.3
there). The decoder learns nothing from the latter two where its rows have unit norm, as in the
paper; it learns from both where they are free and weigh the penalty, as in SAELens.
"""

import torch
from torch import Tensor

from ...model import SAE
from ..gradients import Gradients
from ..places import Places
from .affine import add_output
from .interface import Batch, Losses
from .thresholded import Thresholded, add_l1


class Gated(Thresholded):
    """Places matter where the gate is open."""

    def add_places(
        self, sae: SAE, batch: Batch, seen: Tensor, places: Places, scores: Tensor,
        gradients: Gradients,
    ) -> Losses:  # fmt: skip
        """See `Thresholded`."""
        assert sae.r_mag is not None
        assert sae.mag_bias is not None
        gain = places.per_latent(sae.r_mag.exp())
        h = scores - places.per_latent(sae.encoder.bias)
        gates = torch.relu(scores)
        values = torch.relu(gain * h + places.per_latent(sae.mag_bias)) * (scores > 0)
        scale = 2 / batch.variance
        found = places.error(values, sae.W_dec, sae.b_dec, batch.target, scale)
        aux = places.error(gates, sae.W_dec, sae.b_dec, batch.target, scale)
        slope, penalty = add_l1(sae, batch, places, gates, gradients)
        d_magnitudes = found.d_values * (values > 0)
        d_gates = (aux.d_values + slope) * (scores > 0)
        gradients.add(places, values, d_magnitudes * gain + d_gates, seen, found.g)
        add_output(sae, batch.x, found.g, gradients)
        gradients.add_vector("encoder.bias", places.by_latent(d_gates))
        gradients.add_vector("mag_bias", places.by_latent(d_magnitudes))
        gradients.add_vector("r_mag", places.by_latent(d_magnitudes * h * gain))
        if not sae.config.normalize_decoder:
            gradients.add(places, gates, torch.zeros_like(gates), seen, aux.g)
            add_output(sae, batch.x, aux.g, gradients)
        fvu = found.squares.sum() / batch.variance
        parts = {"l1_loss": penalty, "gate_loss": aux.squares.sum() / batch.variance}
        return Losses(places.firings(values > 0), fvu, parts)
