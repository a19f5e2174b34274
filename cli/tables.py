"""The tables that the commands print."""

from pathlib import Path
from typing import Any

from rich.table import Table

from ..common.units import format_bytes
from ..matching.criteria.intervals import share_over_latents
from ..sae.training.log import read_log


def training_table(run: Path) -> Table:
    """Return the last logged record of each SAE of a training run as a table."""
    table = Table("SAE", "tokens seen", "FVU", "L0", "dead latents", title="Trained SAEs")
    for sae, records in read_log(run).items():
        last = records[-1]
        table.add_row(
            sae,
            f"{last['tokens']:,}",
            f"{last['fvu']:.4f}",
            f"{last['l0']:.1f}",
            f"{last['dead']:,}",
        )
    return table


def sides_table(summary: dict[str, Any]) -> Table:
    """Return objective, certificate and cost of each matched side (`summary.json`), in columns."""
    absolute = summary["settings"].get("absolute", False)
    title = "Exact matching" + (" of absolute cosines" if absolute else "")
    table = Table("", *summary["sides"], title=title)
    columns = [_side_facts(block) for block in summary["sides"].values()]
    for name in columns[0]:
        table.add_row(name, *(facts[name] for facts in columns))
    return table


def map_table(facts: dict[str, Any]) -> Table:
    """Return what a map from one space to another explains, and its shape, from `map.json`."""
    table = Table("map", facts["kind"])
    before = facts["explained_before"]
    if before is not None:
        table.add_row("variance explained without it", f"{before:.1%}")
    table.add_row("variance explained, on other tokens", f"{facts['explained']:.1%}")
    table.add_row("learned from", f"{facts['tokens']:,} tokens")
    table.add_row("rank", f"{facts['rank']:,}")
    table.add_row("condition", f"{facts['condition']:,.1f}")
    return table


def _side_facts(block: dict[str, Any]) -> dict[str, str]:
    facts = {
        "objective": f"{block['objective']:.6f}",
        "gap": f"{block['gap']:.1e}",
        "optimal": "proved" if block["certified"] else "NOT PROVED",
        "mean cosine": f"{block['mean_cosine']:.4f}",
        "seconds": f"{sum(block['seconds'].values()):.1f}",
        "memory": format_bytes(block["peak_memory_bytes"]),
    }
    if block["verified"] is not None:
        facts["verified"] = "valid" if block["verified"]["valid"] else "NOT VALID"
    return facts


def criteria_table(
    summary: dict[str, Any], baseline: dict[str, Any] | None = None, beside: str = "untrained"
) -> Table:
    """Return the shared fraction by every criterion and its interval.

    A second match, ``baseline``, stands in a column named ``beside``.
    """
    overlap = summary["overlap"]
    live = overlap["live"]
    table = Table("criterion", "shared", "95 % interval", "of the live latents")
    table.title = f"Shared latents at cosine > {overlap['threshold']}"
    if baseline is not None:
        table.add_column(beside)
    for name, fraction in overlap["criteria"].items():
        interval = share_over_latents(overlap["counts"][name], overlap["num_latents"])
        told = "" if interval is None else f"{interval.low:.1%} to {interval.high:.1%}"
        row = [name, f"{fraction:.1%}", told, f"{live['criteria'][name]:.1%}"]
        if baseline is not None:
            row.append(f"{baseline['overlap']['criteria'][name]:.1%}")
        table.add_row(*row)
    return table
