"""`twinsae match-all`: every two of several dictionaries, and what all of them share."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from ..common.units import parse_bytes
from . import paths
from .options import Argument

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class MatchAll:
    """Match every two of several SAEs; count what all share.

    Writes OUT/<a>--<b>/ for each pair, as `twinsae match` does, and OUT/seeds.json. The same
    command matches only what is missing: after a stop, or when SAEs were added or changed.

    An SAE is called as its folder is. Where two folders have one name, or another name is wanted,
    give NAME=DIR: first=a/seed0 second=b/seed0.
    """

    example: ClassVar[str] = "twinsae match-all runs/gpt2/h.6.mlp/seed* --out runs/gpt2/matches"

    dirs: Annotated[
        tuple[tuple[str, Path], ...],
        Argument(paths.named_sae, metavar="[NAME=]DIR", positional=True),
    ]
    """The SAEs, two or more: folders of any format, or files."""
    out: Annotated[Path, Argument(metavar="OUT")]
    """Folder for the results."""
    memory_limit: Annotated[int | None, Argument(parse_bytes, metavar="SIZE")] = None
    """Refuse a pair that needs more, such as 8GiB; by default 75 % of what is free."""

    def __post_init__(self) -> None:
        if len(self.dirs) < 2:
            raise ValueError(f"expected 2 SAEs or more, got {len(self.dirs)}")
        paths.check_names(self.dirs)

    def run(self, console: "Console") -> None:
        """Match what is missing, and print what was found."""
        from ..matching import AllSeeds
        from .progress import open_progress
        from .seed_tables import counts_tables, criteria_table, curve_table, pairs_table

        names, dictionaries = zip(*self.dirs, strict=True)
        seeds = AllSeeds(dictionaries, self.out, names=names)
        missing = seeds.missing()
        console.print(f"{len(missing):,} of {len(seeds.pairs):,} pairs to match")
        for number, pair in enumerate(missing, 1):
            name = f"{seeds.folder(pair).name} ({number} of {len(missing)})"
            console.print(name, highlight=False, soft_wrap=True)
            with open_progress(console) as progress:
                seeds.match(pair, memory_limit=self.memory_limit, progress=progress)
        result = seeds.finish()
        for table in (pairs_table, criteria_table, curve_table):
            console.print(table(result))
        for counts in counts_tables(result):
            console.print(counts)
        console.print(f"result: {self.out}", soft_wrap=True)
