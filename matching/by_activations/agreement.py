"""Where a matching by activations and one of weights give a latent the same partner."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..matching import Matching

BINS = 10
"""Of similarity, from 0 to 1; the first holds what is below 0 too, the last what is above 1."""


def agreement(
    activations: Matching, together: NDArray[np.int64], weights: Matching
) -> dict[str, Any]:
    """Compare partners by activations with those by weights.

    Pairs by activations whose latents are never active together count as unmatched, and are left
    out of the comparison.

    Args:
        activations: a matching by activations.
        together: (M,) on how many tokens both latents of each of its pairs are active.
        weights: a matching of the same two SAEs' decoders or encoders.

    Returns:
        ``pairs``: how many pairs are compared. ``same``: in how many of them the latent of the
        smaller SAE has the same partner by weights. ``by_weights`` and ``by_activations``: the same
        two numbers by the cosine of its pair by weights, and by the similarity of its pair by
        activations: ``{"from": (10,), "pairs": (10,), "same": (10,)}``.

    Raises:
        ValueError: the two are of SAEs of other sizes.
    """
    for name in ("row_price", "col_price"):
        sizes = [len(getattr(matching, name)) for matching in (activations, weights)]
        if sizes[0] != sizes[1]:
            raise ValueError(
                f"weights: expected a matching of {sizes[0]:,} latents, got one of {sizes[1]:,}"
            )
    if len(activations.row_price) > len(activations.col_price):
        # From the smaller side, all of whose latents are matched by both.
        together = together[np.argsort(activations.cols)]
        activations, weights = activations.swapped(), weights.swapped()
    met = together > 0
    same = (activations.cols == weights.cols)[met]
    return {
        "pairs": len(same),
        "same": int(same.sum()),
        "by_weights": _binned(weights.cosine[met], same),
        "by_activations": _binned(activations.cosine[met], same),
    }


def _binned(similarity: NDArray[np.float64], same: NDArray[np.bool_]) -> dict[str, list[Any]]:
    place = np.clip(np.floor(similarity * BINS), 0, BINS - 1).astype(np.int64)
    return {
        "from": [step / BINS for step in range(BINS)],
        "pairs": np.bincount(place, minlength=BINS).tolist(),
        "same": np.bincount(place[same], minlength=BINS).tolist(),
    }
