"""`twinsae match-all`: every two of several dictionaries, and what all of them share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rich.console import Console
from tyro.conf import Positional, arg

from ..common.units import parse_bytes
from ..matching import AllSeeds
from .progress import open_progress
from .seed_tables import counts_table, curve_table, pairs_table


@dataclass(frozen=True)
class MatchAll:
    """Match every two of several SAEs, exactly, and count in how many of them each latent is.

    Writes OUT/<a>--<b>/ for each pair, as `twinsae match` does, and OUT/seeds.json. The same
    command matches only what is missing: after a stop, or when SAEs were added or changed.
    """

    dirs: Annotated[Positional[tuple[Path, ...]], arg(metavar="DIR DIR ...")]
    """The SAEs: folders in sparsify's layout, or files; their names must differ."""
    out: Path
    """Folder for the results."""
    memory_limit: Annotated[str | None, arg(metavar="SIZE")] = None
    """Refuse a pair that needs more, such as 8GiB; None: three quarters of what is free."""

    def run(self, console: Console) -> None:
        """Match what is missing, and print what was found."""
        limit = None if self.memory_limit is None else parse_bytes(self.memory_limit)
        seeds = AllSeeds(self.dirs, self.out)
        missing = seeds.missing()
        console.print(f"{len(missing):,} of {len(seeds.pairs):,} pairs to match")
        for number, pair in enumerate(missing, 1):
            name = f"{seeds.folder(pair).name} ({number} of {len(missing)})"
            console.print(name, highlight=False, soft_wrap=True)
            with open_progress(console) as progress:
                seeds.match(pair, memory_limit=limit, progress=progress)
        result = seeds.finish()
        for table in (pairs_table(result), curve_table(result), counts_table(result)):
            console.print(table)
        console.print(f"result: {self.out}", soft_wrap=True)
