"""The tables that the commands print."""

import json
from pathlib import Path
from typing import Any

from rich.table import Table

from ..common.units import format_bytes


def training_table(log: Path) -> Table:
    """Return the last logged line of each seed in `log` (log.jsonl) as a table."""
    last: dict[int, dict[str, Any]] = {}
    for line in log.read_text().splitlines():
        entry = json.loads(line)
        last[entry["seed"]] = entry
    table = Table("seed", "tokens seen", "FVU", "L0", "dead latents", title="Trained SAEs")
    for seed, entry in sorted(last.items()):
        table.add_row(
            str(seed),
            f"{entry['tokens']:,}",
            f"{entry['fvu']:.4f}",
            f"{entry['l0']:.1f}",
            f"{entry['dead']:,}",
        )
    return table


def sides_table(summary: dict[str, Any]) -> Table:
    """Return objective, certificate and cost of each matched side (`summary.json`)."""
    table = Table("side", "objective", "gap", "optimal", "mean cosine", "seconds", "memory")
    table.title = "Exact matching"
    if summary["settings"]["verify"]:
        table.add_column("verified")
    for side, block in summary["sides"].items():
        row = (
            side,
            f"{block['objective']:.6f}",
            f"{block['gap']:.1e}",
            "proved" if block["certified"] else "NOT PROVED",
            f"{block['mean_cosine']:.4f}",
            f"{sum(block['seconds'].values()):.1f}",
            format_bytes(block["peak_memory_bytes"]),
        )
        proof = block["verified"]
        verdict = () if proof is None else ("valid" if proof["valid"] else "NOT VALID",)
        table.add_row(*row, *verdict)
    return table


def criteria_table(summary: dict[str, Any], baseline: dict[str, Any] | None = None) -> Table:
    """Return the shared fraction by every criterion, with a second match beside it if given."""
    overlap = summary["overlap"]
    live = overlap["live"]
    table = Table("criterion", "shared", "of the live latents")
    table.title = f"Shared latents at cosine > {overlap['threshold']}"
    if baseline is not None:
        table.add_column("untrained")
    for name, fraction in overlap["criteria"].items():
        row = [name, f"{fraction:.1%}", f"{live['criteria'][name]:.1%}"]
        if baseline is not None:
            row.append(f"{baseline['overlap']['criteria'][name]:.1%}")
        table.add_row(*row)
    return table
