"""GroupMax: the largest positive score of each of k equal groups of latents, as sparsify has it."""

from torch import Tensor

from ...active_latents import group_max
from ...model import SAE
from ..places import Listed
from .affine import encoder_bias
from .interface import Chosen
from .selected import Selected


class GroupMax(Selected):
    """One latent of each group, or none where no score is positive."""

    def choose(self, sae: SAE, x: Tensor, stacked: Chosen | None) -> Chosen:
        """See `Selected`."""
        weight = sae.encoder.weight
        top = group_max(x, weight, encoder_bias(sae, weight, sae.encoder.bias), self.k)
        return Chosen(Listed(top.indices, None, len(weight)), top.values)
