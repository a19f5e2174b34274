"""TopK: the k largest positive scores of each token (arXiv 2406.04093, section 2.3)."""

from torch import Tensor

from ...config import SAEConfig
from ...model import SAE
from ...train_config import TrainConfig
from ..gradients import Gradients
from .affine import add_output, encoder_input, skipped
from .interface import Batch, Chosen, Losses
from .selected import Selected

MULTIPLE = 4  # of k, in Multi-TopK: section 4.3 there


class TopK(Selected):
    """With ``multi_topk`` the FVU with 4 k latents is part of the loss."""

    def __init__(self, sae_config: SAEConfig, config: TrainConfig) -> None:
        super().__init__(sae_config, config)
        self.stacked_k = self.k
        if config.multi_topk:
            self.stacked_k = min(MULTIPLE * self.k, sae_config.num_latents)

    def choose(self, sae: SAE, x: Tensor, stacked: Chosen | None) -> Chosen:
        """Return the first k, which are the largest."""
        assert stacked is not None
        places, values = stacked
        indices = places.indices.narrow(1, 0, self.k)
        return Chosen(places._replace(indices=indices), values.narrow(1, 0, self.k))

    def backward(
        self, sae: SAE, batch: Batch, stacked: Chosen | None, gradients: Gradients
    ) -> Losses:
        """See `Architecture`."""
        losses = super().backward(sae, batch, stacked, gradients)
        if not self.config.multi_topk:
            return losses
        assert stacked is not None
        places, values = stacked
        factor = self.config.multi_topk / batch.variance
        found = places.error(values, sae.W_dec, sae.b_dec, skipped(sae, batch), 2 * factor)
        gradients.add(places, values, found.d_values, encoder_input(sae, batch.x), found.g)
        add_output(sae, batch.x, found.g, gradients)
        losses.parts["multi_topk_loss"] = factor * found.squares.sum()
        return losses
