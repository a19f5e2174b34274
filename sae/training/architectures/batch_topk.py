"""BatchTopK: the k N largest positive scores of a batch of N tokens (arXiv 2412.06410, section 3).

After training a latent is active where its score is above one threshold, the running mean of the
smallest score that a batch kept.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from ....kernels.topk import linear_topk
from ...config import SAEConfig
from ...model import SAE
from ...train_config import TrainConfig
from ..places import Listed
from .affine import encoder_bias
from .interface import Chosen
from .selected import Selected


class BatchTopK(Selected):
    """The latents of a whole batch compete; a token may have none."""

    def __init__(self, sae_config: SAEConfig, config: TrainConfig) -> None:
        super().__init__(sae_config, config)
        self.state = {"smallest": 0.0}  # positive score kept by the last batch; 0: none so far
        self.stacked_k = min(2 * self.k, sae_config.num_latents)

    def choose(self, sae: SAE, x: Tensor, stacked: Chosen | None) -> Chosen:
        """See `Selected`."""
        assert stacked is not None
        weight = sae.encoder.weight
        bias = encoder_bias(sae, weight, sae.encoder.bias)
        chosen = batch_topk(x, weight, bias, self.k * len(x), stacked)
        kept = chosen.values
        self.state["smallest"] = float(kept.amin()) if len(kept) else 0.0
        return chosen

    def after_step(self, sae: SAE) -> None:
        """Move the threshold towards the smallest score kept; the first is taken whole."""
        smallest = self.state["smallest"]
        if smallest and sae.threshold is not None:
            before, keep = float(sae.threshold[0]), self.config.threshold_decay
            after = keep * before + (1 - keep) * smallest if before else smallest
            sae.threshold.data.fill_(after)


def batch_topk(x: Tensor, weight: Tensor, bias: Tensor, number: int, found: Chosen) -> Chosen:
    """Return the ``number`` largest positive scores of a batch, or all if there are fewer.

    Where equal scores compete for the last places, those of earlier tokens, and of lower latents,
    win. The result is exact: a token whose largest scores of ``found`` might not be all that belong
    is scanned again for twice as many, until none is left.

    Args:
        x: (N, D).
        weight: (L, D).
        bias: (L,).
        number: of scores to keep.
        found: the largest positive scores of each token, (N, m), descending.

    Returns:
        Compressed rows, whose scores descend within each token.
    """
    num_latents = len(weight)
    values, indices = found.values, found.places.indices
    while True:
        floor = _kept_above(values, number)
        last = values[:, -1]
        # A token whose last score found is kept may have more of them.
        cut = ((last > 0) & (last >= floor)).nonzero().squeeze(1)
        wider = min(2 * values.shape[1], num_latents)
        if not len(cut) or wider == values.shape[1]:
            break
        more = linear_topk(x[cut], weight, bias, wider)
        columns = (0, wider - values.shape[1])
        values = pad(values, columns).index_copy(0, cut, more.values)
        indices = pad(indices, columns, value=-1).index_copy(0, cut, more.indices)
    flat = values.flatten()
    order = flat.sort(descending=True, stable=True).indices[:number]
    kept = torch.zeros_like(flat, dtype=torch.bool).index_fill(0, order, value=True) & (flat > 0)
    counts = kept.view(values.shape).sum(dim=1)
    offsets = pad(counts.cumsum(0), (1, 0))
    return Chosen(Listed(indices.flatten()[kept], offsets, num_latents), flat[kept])


def _kept_above(values: Tensor, number: int) -> Tensor:
    """Return the ``number``-th largest of ``values``, or 0 if there are fewer positive ones."""
    flat = values.flatten()
    if len(flat) <= number:
        return flat.new_zeros(())
    return flat.kthvalue(len(flat) - number + 1).values.clamp(min=0)
