"""BatchTopK: the k N largest positive scores of a batch of N tokens (arXiv 2412.06410, section 3).

After training a latent is active where its score is above one threshold, the running mean of the
smallest score that a batch kept.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from ....kernels.topk import CSR, linear_above, linear_topk
from ...config import SAEConfig
from ...model import SAE
from ...train_config import TrainConfig
from ..places import Listed
from .affine import encoder_bias
from .interface import Chosen
from .selected import Selected

SLACK = 0.9
"""How far below the smallest score of the last batch the next one's are listed."""


class BatchTopK(Selected):
    """The latents of a whole batch compete; a token may have none."""

    def __init__(self, sae_config: SAEConfig, config: TrainConfig) -> None:
        super().__init__(sae_config, config)
        self.state = {"smallest": 0.0}  # positive score kept by the last batch; 0: none so far

    def choose(self, sae: SAE, x: Tensor, stacked: Chosen | None) -> Chosen:
        """See `Selected`."""
        weight = sae.encoder.weight
        bias = encoder_bias(sae, weight, sae.encoder.bias)
        floor = SLACK * self.state["smallest"]
        chosen = batch_topk(x, weight, bias, self.k, floor or None)
        values = chosen.values
        self.state["smallest"] = float(values.amin()) if len(values) else 0.0
        return chosen

    def after_step(self, sae: SAE) -> None:
        """Move the threshold towards the smallest score kept; the first is taken whole."""
        smallest = self.state["smallest"]
        if smallest and sae.threshold is not None:
            before, keep = float(sae.threshold[0]), self.config.threshold_decay
            after = keep * before + (1 - keep) * smallest if before else smallest
            sae.threshold.data.fill_(after)


def batch_topk(
    x: Tensor, weight: Tensor, bias: Tensor, k: int, floor: float | None = None
) -> Chosen:
    """Return the k N largest positive scores of a batch, or all positive ones if there are fewer.

    Where equal scores compete for the last places, those of earlier tokens, and of lower latents,
    win. The result is exact: the scores above a floor are listed, and if these are too few, they
    are listed once more above a floor that is surely low enough.

    Args:
        x: (N, D).
        weight: (L, D).
        bias: (L,).
        k: of a token, on average.
        floor: 0 or more, which most often is low enough; None: there is no guess.

    Returns:
        Compressed rows, whose latents ascend within each token.
    """
    number = k * len(x)
    found = None if floor is None else linear_above(x, weight, bias, floor)
    if found is None or len(found.values) < number:
        found = linear_above(x, weight, bias, _surely_below(x, weight, bias, k))
    return _largest(found, number, len(weight))


def _surely_below(x: Tensor, weight: Tensor, bias: Tensor, k: int) -> float:
    """Return a floor below the k N largest positive scores, or 0.

    The k N-th largest of some of the scores is not above that of all.
    """
    some = linear_topk(x, weight, bias, min(2 * k, len(weight))).values.flatten()
    if len(some) < k * len(x) or not len(some):
        return 0.0
    least = some.kthvalue(len(some) - k * len(x) + 1).values
    return float(torch.nextafter(least, torch.full_like(least, -torch.inf)).clamp(min=0))


def _largest(found: CSR, number: int, num_latents: int) -> Chosen:
    offsets, indices, values, _ = found
    if len(values) > number:
        last = values.kthvalue(len(values) - number + 1).values
        kept = values > last
        ties = (values == last).nonzero().squeeze(1)[: number - int(kept.sum())]
        kept[ties] = True
        offsets = pad(kept.cumsum(0), (1, 0))[offsets]
        indices, values = indices[kept], values[kept]
    return Chosen(Listed(indices, offsets, num_latents), values)
