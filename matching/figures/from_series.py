"""What the figures of series draw: means over matches of SAEs that agree in some factors."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..criteria.series import Row, grouped, mixed
from ..series import SERIES_FORMAT, series
from .drawing import Table
from .pairs import read_json

SERIES = "series.json"
BOTH = "|"  # stands between the two values of a factor in which the SAEs of a match differ


class Means(NamedTuple):
    """The means that a figure draws."""

    table: Table
    """One row for each combination of the factors' values: the factors, ``matches``, how many, and
    for each measure the mean, ``<measure>_min`` and ``<measure>_max``; NaN where it is unknown."""
    note: str
    """What the means mix and what is left out, in words; may be empty."""


def read_series(folder: Path) -> list[Row]:
    """Return one row a match; see `criteria.series`.

    Args:
        folder: of `twinsae series`; or one with matches at or below it, of which the series is
            made now.

    Raises:
        FileNotFoundError: there is neither.
        ValueError: a file is damaged or of another format.
    """
    path = folder / SERIES
    if not path.is_file():
        rows: list[Row] = series([folder])["rows"]
        return rows
    content = read_json(path, SERIES_FORMAT)
    return list(content["rows"])


def means(rows: Sequence[Row], by: Sequence[str], measures: Sequence[str]) -> Means:
    """Return the means of measures over the matches that agree in some factors.

    Matches of two SAEs that differ in a factor are left out.

    Args:
        rows: of `read_series`.
        by: names of factors.
        measures: names of `criteria.series.MEASURES`.

    Raises:
        ValueError: a factor is not known of a match, or no match is left.
    """
    for name in by:
        unknown = next((row["match"] for row in rows if row.get(name) is None), None)
        if unknown is not None:
            raise ValueError(
                f"{name} is not known of {unknown}: tell it with `twinsae series --factor "
                f"{name}=VALUE@DIR --out OUT`, and draw OUT"
            )
    kept = [row for row in rows if not any(BOTH in str(row[name]) for name in by)]
    if not kept:
        raise ValueError(f"there is no match of two SAEs of one {' and '.join(by)}")
    groups = grouped(kept, by)
    columns: Table = {name: np.array([group[name] for group in groups]) for name in by}
    columns["matches"] = np.array([group["matches"] for group in groups])
    for measure in measures:
        for name in (measure, f"{measure}_min", f"{measure}_max"):
            columns[name] = np.array([group[name] for group in groups], dtype=np.float64)
    return Means(columns, _note(rows, kept, by))


def known(rows: Sequence[Row], name: str) -> bool:
    """Return whether a factor is known of any match."""
    return any(row.get(name) is not None for row in rows)


def numbers(rows: Sequence[Row], name: str) -> None:
    """Raise a ValueError unless all values of a factor are numbers above 0, where they agree."""
    for row in rows:
        value: Any = row.get(name)
        agreed = value is not None and BOTH not in str(value)
        if agreed and not (isinstance(value, int | float) and value > 0):
            raise ValueError(f"{name}: expected a number above 0, got {value!r} of {row['match']}")


def _note(rows: Sequence[Row], kept: Sequence[Row], by: Sequence[str]) -> str:
    parts = []
    if len(kept) < len(rows):
        left_out = len(rows) - len(kept)
        parts.append(f"left out, as their SAEs differ in {' or '.join(by)}: {left_out} matches")
    mixing = mixed(kept, by)
    if mixing:
        parts.append(f"means mix {', '.join(mixing)}")
    return "; ".join(parts)
