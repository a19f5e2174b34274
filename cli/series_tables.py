"""The table that `twinsae series` prints; names fold where they do not fit."""

import os
from pathlib import Path
from typing import Any

from rich.table import Table

from ..matching.criteria.series import factors_of, varying

SHOWN = ("and", "decoder", "encoder", "max")


def tables(result: dict[str, Any]) -> list[Table]:
    """Return the table of the groups if there are any, else that of the matches."""
    return [groups_table(result) if result["by"] else matches_table(result)]


def matches_table(result: dict[str, Any]) -> Table:
    """Return one row for each match: the factors that vary, and the main criteria."""
    rows = result["rows"]
    names = varying(rows, factors_of(rows))
    table = Table(title="Shared latents of A, by match")
    table.add_column("match, and the factors that vary", overflow="fold")
    _add(table, *SHOWN)
    for row, match in zip(rows, _names(rows), strict=True):
        factors = [f"{name}={_text(row[name])}" for name in names]
        table.add_row("\n".join([match, *factors]), *_shares(row))
    return table


def _names(rows: list[dict[str, Any]]) -> list[str]:
    """Return the matches' paths, without what all of them begin with."""
    matches = [Path(row["match"]) for row in rows]
    shared = Path(os.path.commonpath([match.parent for match in matches]))
    return [match.relative_to(shared).as_posix() for match in matches]


def groups_table(result: dict[str, Any]) -> Table:
    """Return one row for each group: its factors, how many matches, and mean shares."""
    by = result["by"]
    table = Table(title=f"Shared latents of A, means by {', '.join(by)}")
    _add(table, *by, "matches", *SHOWN)
    for group in result["groups"]:
        table.add_row(*(_text(group[name]) for name in (*by, "matches")), *_shares(group))
    if result["mixed"]:
        table.caption = f"within a row these vary, too: {', '.join(result['mixed'])}"
    return table


def _add(table: Table, *names: str) -> None:
    for name in names:
        table.add_column(name, overflow="fold", justify="right")


def _shares(row: dict[str, Any]) -> list[str]:
    return ["-" if row[name] is None else f"{row[name]:.1%}" for name in SHOWN]


def _text(value: Any) -> str:
    if value is None:
        return "?"
    return f"{value:,}" if isinstance(value, int | float) else str(value)
