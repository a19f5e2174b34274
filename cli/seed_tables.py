"""The tables that `twinsae match-all` prints; names of SAEs fold where they do not fit."""

from typing import Any

from rich.table import Table

from ..common.blocks import slices

COLUMNS = 6  # of numbers in one table: they fit 80 columns beside a name
SHOWN = ("and", "and_equal", "decoder", "encoder", "max")


def tables(result: dict[str, Any]) -> list[Table]:
    """Return all tables for which there are numbers."""
    found = []
    if result["pairs"]:
        found = [pairs_table(result), criteria_table(result), means_table(result)]
    if result["only_in_base"]:
        found.append(curve_table(result))
        found += [fits_table(result)] if result["fits"] else []
        found += counts_tables(result)
    return found


def pairs_table(result: dict[str, Any]) -> Table:
    """Return one row for each pair: the certificates and mean cosines."""
    sides = list(result["pairs"][0]["sides"])
    table = _table("Exact matching of every two SAEs", "a", "b")
    _add_numbers(table, "optimal", *(f"mean cosine, {side}" for side in sides))
    for pair in result["pairs"]:
        blocks = [pair["sides"][side] for side in sides]
        proved = all(block["certified"] for block in blocks)
        cosines = (f"{block['mean_cosine']:.3f}" for block in blocks)
        table.add_row(pair["a"], pair["b"], "proved" if proved else "NOT PROVED", *cosines)
    return table


def criteria_table(result: dict[str, Any]) -> Table:
    """Return one row for each pair: the shared part of its latents by each criterion."""
    table = _table(f"Shared latents at cosine > {result['threshold']}", "a", "b")
    _add_numbers(table, *SHOWN)
    for pair in result["pairs"]:
        shares = (f"{pair['criteria'][name]:.1%}" for name in SHOWN)
        table.add_row(pair["a"], pair["b"], *shares)
    return table


def means_table(result: dict[str, Any]) -> Table:
    """Return each criterion's mean over all pairs, with its interval over seeds where known."""
    table = _table("Mean over all pairs, both ways")
    _add_numbers(table, "criterion", "shared", "95 % over seeds")
    for name, found in result["over_seeds"].items():
        told = "" if found["interval"] is None else "{:.1%} to {:.1%}".format(*found["interval"])
        table.add_row(name, f"{found['mean']:.1%}", told)
    return table


def curve_table(result: dict[str, Any]) -> Table:
    """Return which share of an SAE's latents none of n - 1 others has."""
    title = f"Latents of one SAE that none of the others shares ({result['criterion']})"
    table = _table(title)
    _add_numbers(table, "SAEs", "only in one", "std", "least", "most")
    for point in result["only_in_base"]:
        shares = (point[name] for name in ("mean", "std", "min", "max"))
        table.add_row(str(point["dictionaries"]), *(f"{share:.2%}" for share in shares))
    return table


def fits_table(result: dict[str, Any]) -> Table:
    """Return the parameters of the curves through that share, with half of their intervals."""
    table = _table("Fits to the share only in one of n SAEs, with 95 % intervals", "curve")
    _add_numbers(table, "a", "b", "c", "largest\nresidual")
    for fit in result["fits"].values():
        cells = [_with_interval(fit, name) for name in "abc"]
        table.add_row(fit["formula"], *cells, f"{fit['largest_residual']:.4f}")
    if any(fit["intervals"] is None for fit in result["fits"].values()):
        table.caption = "?: the shares do not determine the curve"
    return table


def _with_interval(fit: dict[str, Any], name: str) -> str:
    if name not in fit["parameters"]:
        return "-"
    value = fit["parameters"][name]
    half = "?" if fit["intervals"] is None else f"{fit['intervals'][name][1] - value:.3f}"
    return f"{value:.3f} ± {half}"


def counts_tables(result: dict[str, Any]) -> list[Table]:
    """Return how many latents of each SAE are in exactly 1, 2, ... SAEs, some columns a table."""
    tables = []
    for columns in slices(len(result["dictionaries"]), COLUMNS):
        table = _table("Latents in exactly n SAEs", "SAE")
        _add_numbers(table, *(f"in {n + 1}" for n in range(columns.start, columns.stop)))
        for name, counts in result["in_exactly"].items():
            table.add_row(name, *(f"{count:,}" for count in counts[columns]))
        tables.append(table)
    return tables


def _table(title: str, *names: str) -> Table:
    table = Table(title=title)
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def _add_numbers(table: Table, *names: str) -> None:
    for name in names:
        table.add_column(name, no_wrap=True, justify="right")
