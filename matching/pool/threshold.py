"""The threshold that gives an SAE a wanted number of active latents."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ...kernels.topk import linear_topk, pack


@torch.no_grad()
def threshold_for(
    batches: Sequence[Tensor], weight: Tensor, bias: Tensor, l0: float
) -> tuple[float, float]:
    """Return the threshold above which ``l0`` scores a token lie on average, and that average.

    Scores are x @ weight.T + bias; those of 0 or less never count.

    Args:
        batches: (B, D) activations, which are read again until enough scores of each are known.
        weight: (L, D).
        bias: (L,).
        l0: active latents a token, above 0.

    Returns:
        The threshold, 0 or more, and the mean number of scores above it: ``l0`` to within one token
        and ties, or less where fewer scores are above 0.
    """
    tokens = sum(map(len, batches))
    wanted = round(l0 * tokens)
    packed, listed = pack(weight), 1
    while listed < 2 * l0:
        listed *= 2
    while True:
        listed = min(listed, len(weight))
        values = torch.cat([linear_topk(x, packed, bias, listed).values for x in batches])
        if wanted >= values.numel() and listed < len(weight):
            listed *= 2
            continue
        ordered = values.flatten().sort(descending=True).values
        threshold = _between(ordered, wanted)
        # A token whose last listed score is above the threshold may have more of them.
        if listed == len(weight) or not (values[:, -1] > threshold).any():
            return threshold, float((values > threshold).sum() / tokens)
        listed *= 2


def _between(ordered: Tensor, wanted: int) -> float:
    """Return a threshold above which the first ``wanted`` of falling scores lie, if they are > 0.

    It lies midway between two scores, so that another rounding of them changes nothing.
    """
    if wanted >= len(ordered):
        return 0.0
    above = ordered[wanted - 1] if wanted else 2 * ordered[0]
    return float((above + ordered[wanted]) / 2)
