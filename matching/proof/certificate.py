"""`verify`: an independent proof that a matching is what it says, and optimal."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...common.progress import Progress, silent
from ..matching import GAP_PER_PAIR, Matching
from ..rows import Matrix, StoredRows, check_widths
from .full_pass import Claims, FullPass

COSINE_TOLERANCE = 1e-7
"""Recorded cosines are float32 in the file: at most 2^-25 = 3e-8 from the float64 ones."""

PRICE_LIMIT = 1e6
"""Prices beyond it leave sums in float64 no 1e-9; those of cosines stay within a few units."""

_ARRAYS = ("rows", "cols", "cosine", "row_price", "col_price", "row_max", "col_max")


@dataclass(frozen=True)
class Certificate:
    """What `verify` found. The numbers are NaN where the matching's form left nothing to measure.

    A matching is valid when it is one to one and complete, its recorded numbers are true, and its
    prices prove that no other matching is better by more than 1e-9 a pair.
    """

    reasons: tuple[str, ...]
    """Everything that is wrong; empty for a valid matching."""
    objective: float = math.nan
    """P, the sum of the matched cosines, recomputed."""
    upper_bound: float = math.nan
    """D = sum u + sum v + M * max(0, worst violation), recomputed."""
    worst_violation: float = math.nan
    """max over all pairs of S_ij - (u_i + v_j)."""

    @property
    def valid(self) -> bool:
        """Whether nothing is wrong."""
        return not self.reasons

    @property
    def gap(self) -> float:
        """D - P."""
        return self.upper_bound - self.objective


def verify(
    a: Matrix, b: Matrix, matching: Matching, *, progress: Progress | None = None
) -> Certificate:
    """Check a matching and its prices against the dictionaries, trusting nothing in it.

    All pairs are looked at once, in float32 tiles with a proved bound on their rounding; what that
    cannot rule out is multiplied again in float64, from which every number and every judgement
    comes. Memory does not grow with the dictionaries, and nothing of the solver is used. That
    feasible prices bound every matching from above is weak duality of linear programming (for
    example Burkard, Dell'Amico and Martello, "Assignment Problems", SIAM, chapter 4).

    Args:
        a: (L_A, D) the dictionaries that were matched, as `match` takes them.
        b: (L_B, D).
        matching: what is said about them.
        progress: told how far the pass has come.

    Returns:
        The certificate. A wrong matching is no error: its ``reasons`` say what is wrong.

    Raises:
        TypeError, ValueError: ``a`` or ``b`` are no dictionaries of one width, as for `match`.
    """
    stored_a, stored_b = StoredRows(a, "a"), StoredRows(b, "b")
    check_widths(stored_a, stored_b)
    return verify_rows(stored_a, stored_b, matching, progress=progress)


def verify_rows(
    a: StoredRows, b: StoredRows, matching: Matching, *, progress: Progress | None
) -> Certificate:
    """As `verify`, for rows that are already validated."""
    reasons = wrong_form(matching, a.num_latents, b.num_latents)
    if reasons:
        return Certificate(tuple(reasons))
    look = FullPass(
        a,
        b,
        Claims(
            row_price=matching.row_price,
            col_price=matching.col_price,
            absolute=matching.absolute,
            row_floor=matching.row_max - COSINE_TOLERANCE,
            col_floor=matching.col_max - COSINE_TOLERANCE,
        ),
    )
    cosine = look.look_at(matching.rows, matching.cols)
    look.run(progress or silent)
    return judged(matching, Measured(cosine, look.row_max, look.col_max, look.worst_violation))


class Measured(NamedTuple):
    """What a pass over all pairs found of a matching of good form."""

    cosine: NDArray[np.float64]  # (M,)
    row_max: NDArray[np.float64]  # (L_A,)
    col_max: NDArray[np.float64]  # (L_B,)
    worst_violation: float


def judged(matching: Matching, found: Measured) -> Certificate:
    """Return the certificate of a matching of good form, from what was found anew."""
    objective = math.fsum(found.cosine)
    prices = math.fsum(matching.row_price) + math.fsum(matching.col_price)
    upper_bound = prices + len(found.cosine) * max(0.0, found.worst_violation)
    reasons = [
        *_prices(matching),
        *_differing("cosine", matching.cosine, found.cosine),
        *_differing("row_max", matching.row_max, found.row_max),
        *_differing("col_max", matching.col_max, found.col_max),
        *_totals(matching, objective, upper_bound, found.worst_violation),
    ]
    return Certificate(tuple(reasons), objective, upper_bound, found.worst_violation)


def wrong_form(matching: Matching, num_a: int, num_b: int) -> list[str]:
    """Return what keeps the matching from being a complete one-to-one map of this size."""
    pairs = min(num_a, num_b)
    sizes = dict(zip(_ARRAYS, (pairs, pairs, pairs, num_a, num_b, num_a, num_b), strict=True))
    reasons = []
    for name, size in sizes.items():
        values = getattr(matching, name)
        if len(values) != size:
            reasons.append(f"{name} has {len(values):,} entries, not {size:,}")
        if not np.isfinite(values).all():
            reasons.append(f"{name} holds NaN or an infinity")
        elif (np.abs(values) > PRICE_LIMIT).any() and name.endswith("price"):
            reasons.append(f"{name} goes beyond {PRICE_LIMIT:,.0f} either way")
    for name, limit in (("rows", num_a), ("cols", num_b)):
        values = getattr(matching, name)
        if ((values < 0) | (values >= limit)).any():
            reasons.append(f"{name} names a latent outside 0 to {limit - 1:,}")
        if len(np.unique(values)) != len(values):
            reasons.append(f"{name} names a latent twice")
    if (np.diff(matching.rows) < 0).any():
        reasons.append("rows do not ascend")
    return reasons


def _prices(matching: Matching) -> list[str]:
    """Return what is wrong with the signs of the larger side's prices."""
    num_a, num_b = len(matching.row_price), len(matching.col_price)
    if num_a == num_b:
        return []
    name, prices, matched = (
        ("col_price", matching.col_price, matching.cols)
        if num_a < num_b
        else ("row_price", matching.row_price, matching.rows)
    )
    unmatched = np.delete(prices, matched)
    reasons = []
    if prices.min() < 0:
        reasons.append(f"{name} is negative, down to {prices.min():.3g}")
    if unmatched.any():
        reasons.append(f"{name} is not 0 for {np.count_nonzero(unmatched):,} unmatched latents")
    return reasons


def _differing(name: str, recorded: NDArray[np.float64], found: NDArray[np.float64]) -> list[str]:
    error = np.abs(recorded - found)
    if error.max() <= COSINE_TOLERANCE:
        return []
    worst = int(error.argmax())
    return [f"{name}[{worst:,}] is recorded as {recorded[worst]:.9f}, found {found[worst]:.9f}"]


def _totals(
    matching: Matching, objective: float, upper_bound: float, worst_violation: float
) -> list[str]:
    tolerance = GAP_PER_PAIR * len(matching.rows)
    reasons = []
    for name, found in (("objective", objective), ("upper_bound", upper_bound)):
        recorded = getattr(matching, name)
        # Not "> tolerance", which NaN would pass.
        if not abs(recorded - found) <= tolerance:
            reasons.append(f"{name} is recorded as {recorded:.12g}, found {found:.12g}")
    if worst_violation > GAP_PER_PAIR:
        reasons.append(f"the prices are exceeded by a cosine, by {worst_violation:.3g}")
    if upper_bound - objective > tolerance:
        gap = upper_bound - objective
        reasons.append(f"the gap is {gap:.3g}: another matching may be better by as much")
    return reasons
