"""The tables that `twinsae match-all` prints."""

from typing import Any

from rich.table import Table

SHOWN = ("and", "and_equal", "decoder", "encoder", "max")


def pairs_table(result: dict[str, Any]) -> Table:
    """Return one row for each pair: the certificates, mean cosines, and what is shared."""
    table = Table("a", "b", "optimal", "mean cosine", *SHOWN)
    table.title = f"Every two SAEs, shared at cosine > {result['threshold']}"
    for pair in result["pairs"]:
        sides = pair["sides"].values()
        table.add_row(
            pair["a"],
            pair["b"],
            "proved" if all(side["certified"] for side in sides) else "NOT PROVED",
            " / ".join(f"{side['mean_cosine']:.3f}" for side in sides),
            *(f"{pair['criteria'][name]:.1%}" for name in SHOWN),
        )
    table.caption = "mean cosine: " + " / ".join(result["pairs"][0]["sides"])
    return table


def curve_table(result: dict[str, Any]) -> Table:
    """Return which share of an SAE's latents none of n - 1 others has."""
    table = Table("SAEs", "only in one", "std", "least", "most")
    table.title = f"Latents of one SAE that none of the others shares ({result['criterion']})"
    for point in result["only_in_base"]:
        shares = (point[name] for name in ("mean", "std", "min", "max"))
        table.add_row(str(point["dictionaries"]), *(f"{share:.2%}" for share in shares))
    return table


def counts_table(result: dict[str, Any]) -> Table:
    """Return how many latents of each SAE are in exactly 1, 2, ... SAEs."""
    numbers = range(1, len(result["dictionaries"]) + 1)
    table = Table("SAE", *(f"in {number}" for number in numbers), title="Latents in exactly n SAEs")
    for name, counts in result["in_exactly"].items():
        table.add_row(name, *(f"{count:,}" for count in counts))
    return table
