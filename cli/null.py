"""`twinsae null`: what two SAEs would share by chance."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from ..sae.formats.orientation import Orientation
from . import paths
from .options import Argument

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Null:
    """Match an SAE with random directions in place of the other.

    What a match finds by chance depends on the width, the number of latents and the few directions
    that all latents keep to. So the same criteria are counted once more, for the first SAE of a
    match and a null SAE in place of the second. Writes a match folder, OUT, for
    `twinsae report MATCH --baseline OUT`, and the null SAE in OUT/dictionary.
    """

    example: ClassVar[str] = "twinsae null runs/match --out runs/match-null"

    match: Annotated[Path, Argument(paths.match_folder, metavar="MATCH", positional=True)]
    """A folder that `twinsae match` wrote."""
    out: Annotated[Path, Argument(metavar="OUT")]
    """Folder for the result."""
    kind: Literal["spectrum", "untrained"] = "spectrum"
    """The null: random directions with the second moments of the second SAE's, or an SAE as it is
    before training."""
    seed: int = 0
    """Seed of the random numbers; another one is another draw."""
    orientation: Orientation | None = None
    """How both files store encoder/decoder, if the match needed to be told."""

    def run(self, console: "Console") -> None:
        """Match, write the files, and print the criteria beside those of the match."""
        from ..matching.criteria.nulls import match_null
        from ..matching.match_folder import read_summary
        from .progress import open_progress
        from .tables import criteria_table

        with open_progress(console) as progress:
            found = match_null(
                self.match, self.out, kind=self.kind, seed=self.seed,
                orientation=self.orientation, progress=progress,
            )  # fmt: skip
        console.print(criteria_table(read_summary(self.match), found, beside=self.kind))
        console.print(f"result: {self.out}", soft_wrap=True)
