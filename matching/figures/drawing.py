"""A figure and the numbers in it, and how both become files."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ...common.files import StrPath, atomic_write
from .style import PIXELS_PER_INCH, house_style

Table = dict[str, NDArray[Any]]
"""Columns (rows,) by name, all of one length."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure with the exact numbers that are drawn in it."""

    figure: Figure
    table: Table
    """The main panel: one row a point, bar or line's point."""
    panels: Mapping[str, Table] = field(default_factory=dict)
    """Further panels, such as histograms at the margins, by name."""

    def save(self, folder: StrPath, name: str) -> list[Path]:
        """Write the figure as SVG and PNG, and its numbers as CSV.

        Args:
            folder: where to write; made if missing.
            name: gives ``<name>.svg``, ``<name>.png``, ``<name>.csv``, and ``<name>-<panel>.csv``
                for each further panel.

        Returns:
            The files' paths, in this order.

        Raises:
            OSError: a file could not be written; the old one, if any, is untouched.
        """
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        pictures = [place / f"{name}.{ending}" for ending in ("svg", "png")]
        tables = {f"{name}.csv": self.table}
        tables |= {f"{name}-{panel}.csv": table for panel, table in self.panels.items()}
        with house_style():
            for path in pictures:
                # No date: the same numbers make the same file.
                metadata = {"Date": None} if path.suffix == ".svg" else {}
                with atomic_write(path) as temporary:
                    self.figure.savefig(
                        temporary, format=path.suffix[1:], dpi=PIXELS_PER_INCH, metadata=metadata
                    )
        for file, table in tables.items():
            write_csv(place / file, table)
        return [*pictures, *(place / file for file in tables)]


def write_csv(path: Path, table: Table) -> None:
    """Write columns with their names above. Floats keep all digits, truth values become 0 and 1.

    Raises:
        ValueError: the columns differ in length.
        OSError: the file could not be written.
    """
    columns = [
        (column.astype(np.int64) if column.dtype == bool else column).tolist()
        for column in table.values()
    ]
    with (
        atomic_write(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as opened,
    ):
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(table)
        writer.writerows(zip(*columns, strict=True))
