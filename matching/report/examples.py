"""Five latents, one a fifth of the decoder's cosines, as in the paper's Table 1."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..figures.pairs import Pair
from .overview import Variables, linked

FIFTHS = 5


def examples(pair: Pair, *, browser: bool) -> list[Variables]:
    """Return one matched latent for each fifth of the cosines from 0 to 1, if there is any in it.

    It is the one whose cosine is nearest to the middle of the fifth; of several, the first.

    Raises:
        FileNotFoundError, ValueError: a matching is gone or damaged.
    """
    side = next(iter(pair.summary["sides"]))
    matching = pair.matching(side)
    other = _by_latent(pair, "encoder") if side == "decoder" else {}
    rows = []
    for fifth in range(FIFTHS):
        low, high = fifth / FIFTHS, (fifth + 1) / FIFTHS
        inside = np.flatnonzero((matching.cosine > low) & (matching.cosine <= high))
        if inside.size:
            distance = np.abs(matching.cosine[inside] - (low + high) / 2)
            place = inside[int(distance.argmin())]
            latent = int(matching.rows[place])
            rows.append(
                {
                    "from": low,
                    "to": high,
                    "latent": latent,
                    "partner": int(matching.cols[place]),
                    "cosine": float(matching.cosine[place]),
                    "other": other.get(latent),
                    "link": linked(browser, pair.a, pair.b, latent=str(latent)),
                }
            )
    return rows


def _by_latent(pair: Pair, side: str) -> Mapping[int, Any]:
    if side not in pair.summary["sides"]:
        return {}
    matching = pair.matching(side)
    return dict(zip(matching.rows.tolist(), matching.cosine.tolist(), strict=True))
