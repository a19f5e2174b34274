"""`twinsae series`: the overlaps of many matches in one table, with what their SAEs differ in."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

from . import paths
from .options import Argument

if TYPE_CHECKING:
    from rich.console import Console


class Factor(NamedTuple):
    """A factor as it is typed."""

    name: str
    value: str | int | float
    folder: Path | None


def read_factor(text: str) -> Factor:
    """Read NAME=VALUE or NAME=VALUE@DIR; a value that is a number becomes one.

    Raises:
        ValueError: it is not of this form.
    """
    name, equals, rest = text.partition("=")
    if not equals or not name or not rest:
        raise ValueError(f"expected NAME=VALUE or NAME=VALUE@DIR, got {text!r}")
    value, _, folder = rest.partition("@")
    return Factor(name, _number(value), Path(folder) if folder else None)


def _number(text: str) -> str | int | float:
    for kind in (int, float):
        try:
            number: int | float = kind(text)
        except ValueError:
            continue
        if math.isfinite(number):
            return int(number) if number == number // 1 else number  # 8e9 is a whole number
    return text


@dataclass(frozen=True)
class Series:
    """Put the overlaps of many matches in one table.

    Reads the matches at or below each DIR. What the SAEs differ in, the factors, is found in their
    files and in the log of their training: model, hookpoint, layer, position, architecture,
    num_latents, k, d_in, tokens. --factor tells what is not found, or has another name.
    """

    example: ClassVar[str] = (
        "twinsae series runs/small/matches runs/large/matches --by num_latents \\\n"
        "    --out runs/series"
    )

    dirs: Annotated[tuple[Path, ...], Argument(paths.existing, metavar="DIR", positional=True)]
    """Folders of `twinsae match` or `twinsae match-all`, or with such below them."""
    by: Annotated[tuple[str, ...], Argument(metavar="FACTOR")] = ()
    """Print means over the matches that agree in these factors; by default each match."""
    factor: Annotated[tuple[Factor, ...], Argument(read_factor, metavar="NAME=VALUE[@DIR]")] = ()
    """The value of a factor, of all matches or of those at or below one DIR: tokens=8e9@runs/b."""
    out: Annotated[Path | None, Argument(metavar="OUT")] = None
    """Folder to write series.csv, one row a match, and series.json to."""

    def run(self, console: "Console") -> None:
        """Read the matches, print the table, and write the files."""
        from ..matching import Given, series
        from .series_tables import tables

        factors = [Given(*each) for each in self.factor]
        result = series(self.dirs, factors=factors, by=self.by, out=self.out)
        for table in tables(result):
            console.print(table)
        if self.out is not None:
            console.print(f"result: {self.out}", soft_wrap=True)
