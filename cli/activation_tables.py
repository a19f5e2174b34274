"""The tables of `twinsae match --by activations`."""

from typing import Any

from rich.table import Table

from ..common.units import format_bytes
from ..matching.by_activations.null import OFTEN


def reached_table(summary: dict[str, Any], shuffled: dict[str, Any] | None = None) -> Table:
    """Return objective, certificate and cost of a match by activations (`activations.json`).

    A second one, ``shuffled``, stands in a column of its own.
    """
    table = Table("", "activations", title="Exact matching by activations")
    columns = [_reached(summary)]
    if shuffled is not None:
        table.add_column("shuffled")
        columns.append(_reached(shuffled))
    for name in columns[0]:
        table.add_row(name, *(facts[name] for facts in columns))
    return table


def _reached(summary: dict[str, Any]) -> dict[str, str]:
    inputs, mean = summary["inputs"], summary["mean_similarity"]
    facts = {
        "similarity": summary["settings"]["measure"],
        "tokens": f"{summary['store']['tokens']:,}",
        "latents that are active": " and ".join(f"{inputs[name]['active']:,}" for name in "ab"),
        "objective": f"{summary['objective']:.6f}",
        "gap": f"{summary['gap']:.1e}",
        "optimal": "proved" if summary["certified"] else "NOT PROVED",
        "pairs active together": f"{summary['pairs']:,}",
        "unmatched": f"{summary['unmatched']:,}",
        "mean similarity of pairs": "-" if mean is None else f"{mean:.4f}",
        "seconds": f"{sum(summary['seconds'].values()):.1f}",
        "memory": format_bytes(summary["peak_memory_bytes"]),
    }
    if summary["verified"] is not None:
        facts["verified"] = "valid" if summary["verified"]["valid"] else "NOT VALID"
    return facts


def shuffled_table(pairs: list[dict[str, float]]) -> Table:
    """Return how many pairs are above each similarity (`Shuffled.pairs`)."""
    names = ("match", "null", "match_often", "null_often")
    table = Table("similarity above", title="Pairs that are active together")
    for label in ("pairs", "shuffled", f"on {OFTEN}+ tokens", "shuffled"):
        table.add_column(label, justify="right")
    for row in pairs:
        table.add_row(f"{row['similarity']:.1f}", *(f"{row[name]:,}" for name in names))
    return table


def agreement_table(side: str, found: dict[str, Any]) -> Table:
    """Return how often activations and weights give the same partner, by both similarities."""
    share = found["same"] / found["pairs"] if found["pairs"] else 0.0
    table = Table("similarity from", f"by {side}: pairs", "same", "by activations: pairs", "same")
    table.title = f"Same partner by activations and by {side}: {share:.1%} of {found['pairs']:,}"
    columns = found["by_weights"], found["by_activations"]
    for place, start in enumerate(columns[0]["from"]):
        numbers = [(part["pairs"][place], part["same"][place]) for part in columns]
        if any(pairs for pairs, _ in numbers):
            cells = (cell for pair in numbers for cell in _cells(*pair))
            table.add_row(f"{start:.1f}", *cells)
    return table


def _cells(pairs: int, same: int) -> tuple[str, str]:
    return f"{pairs:,}", f"{same / pairs:.1%}" if pairs else "-"
