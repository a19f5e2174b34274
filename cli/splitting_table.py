"""The table that `twinsae splitting` prints."""

from typing import Any

from rich.table import Table

_FVU = {
    "FVU of the smaller SAE": "small",
    "with novel latents inserted": "with_novel",
    "with families swapped": "with_families",
    "with both": "with_both",
    "FVU of the larger SAE": "large",
}


def splitting_table(found: dict[str, Any]) -> Table:
    """Return one column for each two SAEs of a summary of `matching.splitting.files.splitting`."""
    table = Table(title=f"What larger SAEs add, {found['tokens']:,} tokens")
    table.add_column("")
    for step in found["steps"]:
        sizes = _sizes(step)
        table.add_column(f"{sizes[0]:,} to {sizes[1]:,}", justify="right")
    columns = [_column(step) for step in found["steps"]]
    for name in columns[0]:
        table.add_row(name, *(column[name] for column in columns))
    return table


def _sizes(step: dict[str, Any]) -> tuple[int, int]:
    latents, children = step["latents"], step["children"]
    small = sum(children[name] for name in ("none", "one", "several"))
    return small, latents["novel"] + latents["reconstruction"]


def _column(step: dict[str, Any]) -> dict[str, str]:
    latents, children = step["latents"], step["children"]
    found: dict[str, str] = {}
    for kind in ("novel", "reconstruction"):
        live = latents[f"live_{kind}"]
        found[f"{kind} latents"] = f"{latents[kind]:,}"
        found[f"{kind}, live, inserted: lower the error"] = _of(latents[f"live_{kind}_helps"], live)
    for name, number in (("no child", "none"), ("one", "one"), ("several", "several")):
        found[f"smaller SAE's latents with {name}"] = f"{children[number]:,}"
    found["families swapped: lower the error"] = _of(children["swaps_help"], children["swaps"])
    return found | {name: f"{step['fvu'][key]:.4f}" for name, key in _FVU.items()}


def _of(part: int, whole: int) -> str:
    share = f" ({part / whole:.0%})" if whole else ""
    return f"{part:,} of {whole:,}{share}"
