"""The one threshold that gives an SAE a wanted L0, by exact selection in two passes.

Bit patterns of positive float32 numbers ascend as the numbers do. A first pass over all scores
counts them by their upper 16 bits, a second one those of one count by their lower 16. So the
threshold is the exact score of a rank, and the memory is that of 98,304 counts and one batch.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...common.blocks import slices
from ...kernels.topk import linear_above
from ...sae import SAE

_PLACES = 2**23  # scores at once, of which about half are positive: 12 bytes each

Scores = NDArray[np.float32]
Batches = Callable[[], Iterable[Tensor]]
"""Yields activations (n, D) of the same tokens, each time it is called."""


def score_of_rank(scores_above: Callable[[float], Iterable[Scores]], rank: int) -> float:
    """Return the score of this rank among the positive ones, or 0 if there are no more than that.

    Args:
        scores_above: called with a floor, yields arrays of float32 that hold all scores above the
            floor; the same scores each time.
        rank: 0 is the largest.
    """
    upper = np.zeros(2**15, dtype=np.int64)
    for scores in scores_above(0.0):
        upper += np.bincount(_bits(scores) >> 16, minlength=len(upper))
    high, before = _from_the_top(upper, rank)
    if high < 0:
        return 0.0
    edge = np.array(high << 16, dtype=np.int32).view(np.float32)
    lower = np.zeros(2**16, dtype=np.int64)
    for scores in scores_above(float(np.nextafter(edge, np.float32(0)))):
        bits = _bits(scores)
        lower += np.bincount(bits[bits >> 16 == high] & 0xFFFF, minlength=len(lower))
    low, _ = _from_the_top(lower, rank - before)
    return float(np.array(high << 16 | low, dtype=np.int32).view(np.float32))


def set_l0(sae: SAE, batches: Batches, l0: float) -> None:
    """Set all thresholds of a JumpReLU SAE to the least value that makes its mean L0 at most this.

    Without ties its L0 then is the multiple of 1 / tokens next to ``l0``; where fewer scores are
    positive the threshold is 0, and the L0 less.

    Args:
        sae: of activation "jumprelu", float32.
        batches: the N tokens.
        l0: mean number of active latents of a token, above 0.
    """
    bias = sae.encoder.bias - sae.encoder.weight @ sae.b_dec
    tokens = sum(len(x) for x in batches())
    size = max(_PLACES // sae.config.num_latents, 1)

    def scores_above(floor: float) -> Iterator[Scores]:
        for x in batches():
            for rows in slices(len(x), size):
                yield linear_above(x[rows], sae.encoder.weight, bias, floor).values.numpy()

    assert sae.threshold is not None
    with torch.no_grad():
        sae.threshold.fill_(score_of_rank(scores_above, round(l0 * tokens)))


def _bits(scores: Scores) -> NDArray[np.int32]:
    return scores.view(np.int32)


def _from_the_top(counts: NDArray[np.int64], rank: int) -> tuple[int, int]:
    """Return which count holds this rank, counted from the last, and how many lie above it.

    The count is -1 where all together do not.
    """
    above = np.cumsum(counts[::-1])
    place = int(np.searchsorted(above, rank, side="right"))
    if place == len(counts):
        return -1, int(above[-1])
    return len(counts) - 1 - place, int(above[place] - counts[::-1][place])
