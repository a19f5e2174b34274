"""The tables that `twinsae evaluate` prints; names of SAEs fold where they do not fit."""

from typing import Any

from rich.table import Table

_SHARES = {
    "recovered\nCE, zeros": "ce_recovered_zero",
    "recovered\nCE, mean": "ce_recovered_mean",
    "recovered\nKL, zeros": "kl_recovered_zero",
    "recovered\nKL, mean": "kl_recovered_mean",
}


def tables(document: dict[str, Any]) -> list[Table]:
    """Return the tables of a result, as it stands in the JSON file."""
    saes: dict[str, Any] = document["saes"]
    found = [measured_table(saes, document["max_norm"])]
    if any("spliced" in facts for facts in saes.values()):
        spliced = {name: facts["spliced"] for name, facts in saes.items()}
        found += [model_table(next(iter(spliced.values()))), spliced_table(spliced)]
    return found


def measured_table(saes: dict[str, Any], max_norm: float) -> Table:
    """Return one row for each SAE: how well and how sparsely it reconstructs."""
    first = next(iter(saes.values()))["measured"]
    title = f"Reconstruction of {first['tokens']:,} tokens"
    outliers = any(facts["measured"]["outliers"] for facts in saes.values())
    table = _table(title, "SAE", "FVU", "explained", "L0", "dead", "dense")
    if outliers:
        table.add_column("FVU without", justify="right")
        table.caption = (
            f"without {first['outliers']:,} tokens whose norm is over {max_norm:g} times the median"
        )
    for name, facts in saes.items():
        found = facts["measured"]
        row = [f"{found['fvu']:.4f}", f"{found['explained_variance']:.4f}", f"{found['l0']:.1f}"]
        row += [f"{found['dead']:.1%}", f"{found['dense']:.2%}"]
        table.add_row(name, *row, *([f"{found['fvu_without_outliers']:.4f}"] if outliers else []))
    return table


def model_table(spliced: dict[str, Any]) -> Table:
    """Return how the language model predicts without an SAE, from the result of any."""
    title = f"The model's predictions of {spliced['tokens']:,} tokens, in nats"
    table = _table(title, "output of the hookpoint", "cross-entropy (CE)", "KL")
    table.add_row("as it is", f"{spliced['ce_original']:.4f}", "0")
    for name, way in (("zero", "zeros"), ("mean", "its mean")):
        table.add_row(way, f"{spliced[f'ce_{name}']:.4f}", f"{spliced[f'kl_{name}']:.4f}")
    return table


def spliced_table(spliced: dict[str, Any]) -> Table:
    """Return one row for each SAE: what the language model loses with it, and recovers."""
    table = _table("With the SAE in place of the output", "SAE", "CE", "KL", *_SHARES)
    table.caption = "recovered: share of the loss with zeros, or the mean, that the SAE avoids"
    for name, found in spliced.items():
        shares = (f"{found[key]:.2%}" for key in _SHARES.values())
        table.add_row(name, f"{found['ce_sae']:.4f}", f"{found['kl_sae']:.4f}", *shares)
    return table


def _table(title: str, name: str, *numbers: str) -> Table:
    table = Table(title=title)
    table.add_column(name, overflow="fold")
    for column in numbers:
        table.add_column(column, justify="right")
    return table
