"""`certainty`: bounds on what the optimum loses if a pair of the matching is forbidden."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ...common.progress import Progress, silent
from ..assignment import extension as _native
from ..matching import Matching
from ..rows import Matrix, StoredRows, check_widths
from ..solver.selection import whole
from .circuits import Circuits, circuits_of
from .steps import cheapest_steps

EXACT = 1e-6
"""The two bounds of a pair count as equal within this: in cosines, as the objective."""

LITTLE = 0.01  # of a cosine: what a pair may be worth and still count as replaceable
_LISTED = 13  # columns of each row, rows of each column; 33 tell little more and take long
_MOST_SETTLED = 500
_ROUNDING = 1e-12  # of a sum of a few hundred reduced costs in float64


@dataclass(frozen=True, eq=False)
class Certainty:
    """For each pair of a matching, bounds on the fall of the optimum if the pair is forbidden.

    The fall is P - P', where P is the largest sum of cosines of all one-to-one maps of the whole
    smaller side, and P' that of all such maps without the pair. It is 0 where another optimum does
    without the pair, and infinity where no other map exists (one latent on each side).
    """

    rows: NDArray[np.int64]
    """(M,) latents of A, as in the matching."""
    cols: NDArray[np.int64]
    """(M,) their matches in B."""
    lower: NDArray[np.float64]
    """(M,) the fall is not below this; 0 or more."""
    upper: NDArray[np.float64]
    """(M,) the fall is not above this: a map without the pair was found that loses so much.
    Infinity where none was found."""

    @property
    def exact(self) -> NDArray[np.bool_]:
        """(M,) whether both bounds are equal within 1e-6."""
        known = np.isfinite(self.lower)  # otherwise both are infinite
        width = np.subtract(self.upper, self.lower, out=np.zeros(len(known)), where=known)
        exact: NDArray[np.bool_] = width <= EXACT
        return exact

    def summary(self) -> dict[str, float]:
        """Return shares of the pairs, by what their bounds say.

        Returns:
            ``{"exact", "replaceable", "needed"}``: the shares of the pairs with equal bounds, with
            an upper bound of at most 0.01, and with a lower bound above 0.01.
        """
        shares = {
            "exact": self.exact,
            "replaceable": self.upper <= LITTLE,
            "needed": self.lower > LITTLE,
        }
        return {name: float(of.mean()) for name, of in shares.items()}


def certainty(
    a: Matrix, b: Matrix, matching: Matching, *, progress: Progress | None = None
) -> Certainty:
    """Bound for each matched pair how much the optimum falls if the pair is forbidden.

    Without the pair (i, j), latent i takes another column, whose latent takes another one, and so
    on, until a latent takes column j; in dictionaries of unequal size, also until one takes a free
    column, with column j left free or filled from another. The loss is the sum of the reduced costs
    u_k + v_l - S_kl of what is newly matched, and the prices of the columns left free (Burkard,
    Dell'Amico and Martello, "Assignment Problems", SIAM 2009, section 4.1): so the cheapest of such
    changes is a shortest path. One scan finds for each latent the 12 others of least reduced
    cost, on both sides; there two searches of 500 latents at most try to meet. What they find is
    the upper bound, and what they prove to be the least that any other change costs is the lower
    one. The matching's gap is taken off the one and added to the other.

    Args:
        a: (L_A, D) the dictionaries that were matched, as `match` takes them.
        b: (L_B, D).
        matching: their matching with its prices. They are trusted: `verify` checks them.
        progress: told of the phases "candidates", in pairs scanned, and "paths", in latents.

    Returns:
        The bounds, in the matching's order of pairs.

    Raises:
        TypeError, ValueError: ``a`` or ``b`` are no dictionaries of one width, as for `match`, or
            the matching is of dictionaries of other sizes or not one to one.
    """
    stored = [StoredRows(rows, name, matching.absolute) for rows, name in ((a, "a"), (b, "b"))]
    return certainty_of_rows(stored[0], stored[1], matching, progress or silent)


def certainty_of_rows(
    a: StoredRows, b: StoredRows, matching: Matching, progress: Progress
) -> Certainty:
    """As `certainty`, for rows that are already validated."""
    check_widths(a, b)
    _check_form(matching, (a.num_latents, b.num_latents))
    if a.num_latents > b.num_latents:
        swapped = certainty_of_rows(b, a, matching.swapped(), progress)
        order = np.argsort(swapped.cols)
        rows, cols = swapped.cols[order], swapped.rows[order]
        return Certainty(rows, cols, swapped.lower[order], swapped.upper[order])
    lower, upper = _cheapest(_circuits(a, b, matching, progress), len(matching.rows), progress)
    slack = max(0.0, matching.gap) + _ROUNDING
    lower = np.maximum(lower - slack, 0.0)
    return Certainty(matching.rows, matching.cols, lower, upper + slack)


def _check_form(matching: Matching, sizes: tuple[int, int]) -> None:
    matched = len(matching.row_price), len(matching.col_price)
    if sizes != matched or len(matching.rows) != min(sizes):
        raise ValueError(
            f"matching: expected one of {sizes[0]:,} and {sizes[1]:,} latents, "
            f"got {len(matching.rows):,} pairs of {matched[0]:,} and {matched[1]:,}"
        )
    for name, size in zip(("rows", "cols"), sizes, strict=True):
        latents = getattr(matching, name)
        if len(np.unique(latents)) != len(latents) or latents.min() < 0 or latents.max() >= size:
            raise ValueError(f"matching: {name} must name latents below {size:,}, each once")
    if (np.diff(matching.rows) < 0).any():
        raise ValueError("matching: rows must ascend")


def _circuits(a: StoredRows, b: StoredRows, matching: Matching, progress: Progress) -> Circuits:
    """Return the graph of all changes, where every row is matched: L_A <= L_B."""
    problem = whole(a), whole(b), (matching.row_price, matching.col_price)
    steps = cheapest_steps(problem, matching.rows, matching.cols, _LISTED, progress)
    return circuits_of(matching.cols, matching.col_price, *steps)


def _cheapest(
    circuits: Circuits, pairs: int, progress: Progress
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    lower, upper = np.empty(pairs), np.empty(pairs)
    progress("paths", 0, pairs, "latents")
    _native.cheapest_cycles(
        *circuits.leaving, *circuits.entering, _MOST_SETTLED, torch.get_num_threads(), lower, upper
    )
    progress("paths", pairs, pairs, "latents")
    return lower, upper
