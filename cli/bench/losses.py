"""The table of `twinsae bench training --losses`, in Markdown."""

from collections.abc import Sequence

from ...bench.losses import Comparison
from .markdown import markdown_table

EARLY = 50
_HEADER = (
    "architecture", "peer", f"apart, first {EARLY} steps", "apart, all",
    "peer apart from itself", "FVU, theirs", "ours", "L0, theirs", "ours ",
)  # fmt: skip
MEANING = (
    "Apart: the largest relative difference of the two losses at a step. Peer apart from itself: "
    "that of the peer's losses when its dimensions stand in another order, which changes roundings "
    "alone. FVU and L0: of held-out batches after the last step."
)


def losses_table(found: Sequence[Comparison]) -> str:
    """Return a row for each comparison, and what the columns mean."""
    rows = [_row(one) for one in found]
    notes = [
        f"{one.contest.job} of {one.contest.peer}: {one.contest.differs}"
        + (f"; our coefficient, for equal L0, is {one.sparsity:.3g}." if one.sparsity else ".")
        for one in found
        if one.contest.differs
    ]
    table = markdown_table(_HEADER, rows, set(_HEADER[2:]))
    return "\n\n".join([table, MEANING, *notes])


def _row(one: Comparison) -> tuple[str, ...]:
    apart = ("another loss", "")
    if not one.contest.differs:
        apart = f"{max(one.apart[:EARLY]):.0e}", f"{max(one.apart):.0e}"
    by_rounding = f"{max(one.apart_by_rounding):.0e}" if one.reordered else ""
    theirs, ours = one.theirs.learned, one.ours.learned
    return (
        one.contest.job, one.contest.peer, *apart, by_rounding,
        f"{theirs.fvu:.4f}", f"{ours.fvu:.4f}", f"{theirs.l0:.1f}", f"{ours.l0:.1f}",
    )  # fmt: skip
