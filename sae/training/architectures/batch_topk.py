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
        chosen = self.choose_above(x, weight, bias, floor or None)
        values = chosen.values
        self.state["smallest"] = float(values.amin()) if len(values) else 0.0
        return chosen

    def choose_above(self, x: Tensor, weight: Tensor, bias: Tensor, floor: float | None) -> Chosen:
        """Return the largest scores of the batch; see `batch_topk`."""
        return batch_topk(x, weight, bias, self.k * len(x), floor)

    def after_step(self, sae: SAE) -> None:
        """Move the threshold towards the smallest score kept; the first is taken whole."""
        smallest = self.state["smallest"]
        if smallest and sae.threshold is not None:
            before, keep = float(sae.threshold[0]), self.config.threshold_decay
            after = keep * before + (1 - keep) * smallest if before else smallest
            sae.threshold.data.fill_(after)


def batch_topk(
    x: Tensor, weight: Tensor, bias: Tensor, number: int, floor: float | None = None
) -> Chosen:
    """Return the ``number`` largest positive scores of a batch, or all if there are fewer.

    Where equal scores compete for the last places, those of earlier tokens, and of lower latents,
    win. The result is exact: the scores above a floor are listed, and if these are too few, they
    are listed once more above a floor that is surely low enough.

    Args:
        x: (N, D).
        weight: (L, D).
        bias: (L,).
        number: of scores to keep, of all tokens together.
        floor: 0 or more, which most often is low enough; None: there is no guess.

    Returns:
        Compressed rows, whose latents ascend within each token.
    """
    found = None if floor is None else linear_above(x, weight, bias, floor)
    if found is None or len(found.values) < number:
        found = linear_above(x, weight, bias, surely_below(x, weight, bias, number))
    last, ties = cut_of(found.values, number)
    return above(found, last, ties, len(weight))


def surely_below(x: Tensor, weight: Tensor, bias: Tensor, number: int) -> float:
    """Return a floor below the ``number`` largest positive scores, or 0.

    The one of that rank among some of the scores is not above that among all.
    """
    width = min(2 * -(-number // max(len(x), 1)), len(weight))
    some = linear_topk(x, weight, bias, max(width, 1)).values.flatten()
    if len(some) < number or not number:
        return 0.0
    least = some.kthvalue(len(some) - number + 1).values
    return float(torch.nextafter(least, torch.full_like(least, -torch.inf)).clamp(min=0))


def cut_of(values: Tensor, number: int) -> tuple[float, int]:
    """Return above which value, and how many that equal it, the ``number`` largest ones are.

    Without so many values all are above minus infinity.
    """
    if len(values) <= number:
        return -torch.inf, 0
    last = values.kthvalue(len(values) - number + 1).values
    return float(last), number - int((values > last).sum())


def above(found: CSR, last: float, ties: int, num_latents: int) -> Chosen:
    """Return of the scores those above ``last``, and the first ``ties`` that equal it."""
    offsets, indices, values, _ = found
    if last > -torch.inf:
        kept = values > last
        kept[(values == last).nonzero().squeeze(1)[:ties]] = True
        offsets = pad(kept.cumsum(0), (1, 0))[offsets]
        indices, values = indices[kept], values[kept]
    return Chosen(Listed(indices, offsets, num_latents), values)
