"""ReLU with an L1 penalty, weighted by the decoder's norms where these are free.

Bricken et al. 2023 (unit norms), Anthropic's update of April 2024 (free norms):
https://transformer-circuits.pub/2024/april-update. With v the active latents' values and w_l the
norm of decoder row l, or 1, the penalty is sum v w; its gradient for a score is w.
"""

import torch
from torch import Tensor

from ...model import SAE
from ..gradients import Gradients
from ..places import Places
from .affine import add_output
from .interface import Batch, Losses
from .thresholded import Thresholded, add_l1


class ReLU(Thresholded):
    """All positive scores are active."""

    def add_places(
        self, sae: SAE, batch: Batch, seen: Tensor, places: Places, scores: Tensor,
        gradients: Gradients,
    ) -> Losses:  # fmt: skip
        """See `Thresholded`."""
        active, values = scores > 0, torch.relu(scores)
        found = places.error(values, sae.W_dec, sae.b_dec, batch.target, 2 / batch.variance)
        slope, penalty = add_l1(sae, batch, places, values, gradients)
        gradients.add(places, values, (found.d_values + slope) * active, seen, found.g)
        add_output(sae, batch.x, found.g, gradients)
        fvu = found.squares.sum() / batch.variance
        return Losses(places.firings(active), fvu, {"l1_loss": penalty})
