"""The table that `twinsae fire` prints; names of SAEs fold where they do not fit."""

from collections.abc import Mapping

import numpy as np
from rich.table import Table

from ..sae.firing import Firing


def firing_table(found: Mapping[str, Firing]) -> Table:
    """Return one row for each SAE: how many latents fire, and how often those that do."""
    tokens = next(iter(found.values())).tokens
    table = Table(title=f"Firing on {tokens:,} tokens")
    table.add_column("SAE", overflow="fold")
    for column in ("latents", "dead", "L0", "median count\nof the live", "most frequent"):
        table.add_column(column, justify="right")
    for name, firing in found.items():
        live = firing.count[firing.count > 0]
        median = f"{np.median(live):,.0f}" if len(live) else "-"
        table.add_row(
            name,
            f"{len(firing.count):,}",
            f"{len(firing.count) - len(live):,}",
            f"{firing.count.sum() / tokens:.1f}",
            median,
            f"{firing.frequency.max():.1%}",
        )
    return table
