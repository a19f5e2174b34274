"""SAEs that choose a number of latents: topk, batch_topk and groupmax, nested prefixes, AuxK.

TopK and AuxK: Gao et al., arXiv 2406.04093, sections 2.3 and A.2; nested prefixes (Matryoshka):
Bussmann et al., arXiv 2503.17547, section 3. AuxK's error is not differentiated, its values are
rectified, and it is divided by the batch's variance and scaled by min(dead / aux_k, 1), as in
sparsify; its gradient reaches the encoder too.
"""

from itertools import pairwise

import torch
from torch import Tensor

from ....kernels.decode import csr_decode, decode_error, gather_dot, sparse_decode
from ....kernels.topk import linear_topk
from ...config import SAEConfig
from ...model import SAE
from ...train_config import TrainConfig
from ..gradients import Gradients
from ..places import Listed
from .affine import add_output, encoder_bias, encoder_input, skipped
from .interface import Batch, Chosen, Losses


class Selected:
    """The loss of all SAEs whose latents are chosen; a subclass chooses them."""

    stacked_k = 0

    def __init__(self, sae_config: SAEConfig, config: TrainConfig) -> None:
        self.k = sae_config.k
        self.config = config
        self.state: dict[str, float] = {}

    def initialise(self, sae: SAE) -> None:
        """Nothing but the usual parameters."""

    def after_step(self, sae: SAE) -> None:
        """Nothing follows."""

    def choose(self, sae: SAE, x: Tensor, stacked: Chosen | None) -> Chosen:
        """Return the active latents of the encoder's inputs ``x`` (N, d_in)."""
        raise NotImplementedError

    def backward(
        self, sae: SAE, batch: Batch, stacked: Chosen | None, gradients: Gradients
    ) -> Losses:
        """See `Architecture`: the FVU, or the sum of the prefixes' FVUs, and AuxK."""
        chosen = self.choose(sae, batch.x, stacked)
        seen = encoder_input(sae, batch.x)
        target = skipped(sae, batch)
        if sae.config.prefixes:
            parts, error, g = _nested(sae, batch, chosen, seen, target, gradients)
        else:
            parts, error, g = _whole(sae, batch, chosen, seen, target, gradients)
        add_output(sae, batch.x, g, gradients)
        if self.config.aux:
            loss = self._auxk(sae, batch, seen, error, gradients)
            parts["auxk_loss"] = loss
        fvu = parts.pop("fvu")
        return Losses(chosen.places.firings(chosen.values > 0), fvu, parts)

    def _auxk(
        self, sae: SAE, batch: Batch, seen: Tensor, error: Tensor, gradients: Gradients
    ) -> Tensor:
        """Add AuxK for the reconstruction's ``error`` (N, d_out); return the loss."""
        dead = batch.dead.nonzero().squeeze(1)  # (number of dead latents,)
        aux_k = self.config.aux_k or max(sae.config.d_in // 2, 1)
        if not len(dead):
            return error.new_zeros(())
        weight = sae.encoder.weight[dead]
        bias = encoder_bias(sae, weight, sae.encoder.bias[dead])
        top = linear_topk(batch.x, weight, bias, min(aux_k, len(dead)))
        factor = self.config.aux * min(len(dead) / aux_k, 1.0) / batch.variance
        # The dead latents are to rebuild what is missing: the target less the reconstruction.
        found = decode_error(top.values, top.indices, sae.W_dec[dead], None, -error, 2 * factor)
        indices = dead[top.indices.clamp(min=0)].where(top.indices >= 0, -1)
        places = Listed(indices, None, sae.config.num_latents)
        gradients.add(places, top.values, found.d_values, seen, found.g)
        return factor * found.squares.sum()


def _whole(
    sae: SAE, batch: Batch, chosen: Chosen, seen: Tensor, target: Tensor, gradients: Gradients
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Add the FVU's gradients for the latents; return it, the error and g, both (N, d_out)."""
    places, values = chosen
    found = places.error(values, sae.W_dec, sae.b_dec, target, 2 / batch.variance)
    gradients.add(places, values, found.d_values, seen, found.g)
    error = found.g * (batch.variance / 2)
    return {"fvu": found.squares.sum() / batch.variance}, error, found.g


def _nested(
    sae: SAE, batch: Batch, chosen: Chosen, seen: Tensor, target: Tensor, gradients: Gradients
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Do the same for the sum of all prefixes' FVUs.

    A latent takes part in its own prefix and in all longer ones: the error's gradient that it sees
    is the sum of theirs.
    """
    places, values = chosen
    groups = list(pairwise((0, *sae.config.prefixes)))
    error = sae.b_dec - target
    inside, parts, errors = [], {}, []
    for first, last in groups:
        own = (places.indices >= first) & (places.indices < last)
        inside.append(
            Listed((places.indices - first).where(own, -1), places.row_offsets, last - first)
        )
        error = error + _decode(values, inside[-1], sae.W_dec[first:last])
        errors.append(error)
        name = "fvu" if last == groups[-1][1] else f"fvu_{last}"
        parts[name] = error.square().sum(dim=1).sum() / batch.variance
    g = torch.zeros_like(error)
    for (first, last), listed, error_of_prefix in reversed(
        list(zip(groups, inside, errors, strict=True))
    ):
        g = g + error_of_prefix * (2 / batch.variance)
        d_values = gather_dot(
            g, listed.indices, sae.W_dec[first:last], row_offsets=listed.row_offsets
        )
        gradients.add(listed, values, d_values, seen, g, first=first)
    return parts, errors[-1], g


def _decode(values: Tensor, places: Listed, weight: Tensor) -> Tensor:
    if places.row_offsets is None:
        return sparse_decode(values, places.indices, weight)
    return csr_decode(places.row_offsets, places.indices, values, weight)
