"""What `twinsae pool` prints."""

from collections.abc import Iterator
from typing import Any

from rich.table import Table

_AS = {
    "pool": "",
    "as_trained": "as trained",
    "all": "one threshold",
    "members": "its members alone",
    "largest": "its largest alone",
}


def table(found: dict[str, Any]) -> Table:
    """Return one row for each SAE that was measured, from a summary of `matching.pool.pool`."""
    result = Table(title=f"Reconstruction of {found['tokens']['held_out']:,} held-out tokens")
    for name in ("SAE", "as"):
        result.add_column(name)
    for name in ("latents", "L0", "FVU"):
        result.add_column(name, justify="right")
    for row in found["compared"]:
        numbers = f"{row['latents']:,}", f"{row['l0']:.2f}", f"{row['fvu']:.4f}"
        result.add_row(row["sae"], _AS[row["as"]], *numbers)
    return result


def remarks(found: dict[str, Any]) -> Iterator[str]:
    """Yield what else there is to know of the pool, in lines."""
    members = found["members_l0"].values()
    mean = sum(members) / len(members)
    yield f"{mean:.2f} members of a seed are active on a token on average"
    least = min(row["l0"] for row in found["compared"] if row["as"] != "as_trained")
    if least < 0.99 * found["l0"]:
        yield (
            f"an L0 of {found['l0']:.2f} is out of reach: not so many scores are positive; "
            f"--l0 {mean:.2f} compares all at one L0"
        )
    if found["never_active"]:
        yield f"{found['never_active']:,} latents have no member that was active: not fitted"
