"""The best cosine of each latent, whether or not the candidate lists prove it."""

import numpy as np
from numpy.typing import NDArray

from ...common.progress import silent
from .prices import CosineBound, price
from .selection import Selection

_ROUNDING = 1e-13  # of a cosine


def row_maxima(
    a: Selection, b: Selection, listed: NDArray[np.float64], bound: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the largest cosine of each row of ``a`` with any of ``b``, (n_A,).

    Most rows have it in the graph, well above what is known of the pairs outside. Where more rows
    of ``b`` than a list holds are as good except for float32's rounding, they are looked at anew.

    Args:
        a: n_A rows.
        b: n_B rows.
        listed: (n_A,) the best of each row's pairs in the graph.
        bound: (n_A,) what no pair outside the graph exceeds.
    """
    best = listed.copy()
    unsure = np.flatnonzero(bound > best)
    part, nothing = Selection(a.stored, a.index[a.place(unsure)]), np.zeros(len(b))
    complete = not len(unsure)
    while not complete:
        known = [CosineBound(bound[unsure], nothing)]
        prices = best[unsure], nothing
        found = price(part, b, prices, [-_ROUNDING], known, len(a) + len(b), silent)
        np.maximum.at(best, unsure[found.pairs.rows], found.pairs.weights)
        complete = found.complete
    return best
