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

    With --kind shuffled, MATCH is one --by activations: that is matched once more, with the second
    SAE's tokens in a random order. Writes OUT/activations.npz and .json.
    """

    example: ClassVar[str] = "twinsae null runs/match --out runs/match-null"

    match: Annotated[Path, Argument(paths.match_folder, metavar="MATCH", positional=True)]
    """A folder that `twinsae match` wrote."""
    out: Annotated[Path, Argument(metavar="OUT")]
    """Folder for the result."""
    kind: Literal["spectrum", "untrained", "shuffled"] = "spectrum"
    """The null: random directions with the second moments of the second SAE's, an SAE as it is
    before training, or the second SAE's activations on shuffled tokens."""
    seed: int = 0
    """Seed of the random numbers; another one is another draw."""
    orientation: Orientation | None = None
    """How both files store encoder/decoder, if the match needed to be told."""

    def run(self, console: "Console") -> None:
        """Match, write the files, and print them beside those of the match."""
        if self.kind == "shuffled":
            self._shuffled(console)
        else:
            self._dictionary(self.kind, console)
        console.print(f"result: {self.out}", soft_wrap=True)

    def _dictionary(self, kind: Literal["spectrum", "untrained"], console: "Console") -> None:
        from ..matching.criteria.nulls import match_null
        from ..matching.match_folder import read_summary
        from .progress import open_progress
        from .tables import criteria_table

        with open_progress(console) as progress:
            found = match_null(
                self.match, self.out, kind=kind, seed=self.seed,
                orientation=self.orientation, progress=progress,
            )  # fmt: skip
        console.print(criteria_table(read_summary(self.match), found, beside=kind))

    def _shuffled(self, console: "Console") -> None:
        from ..matching.by_activations.null import match_shuffled
        from .activation_tables import reached_table, shuffled_table
        from .progress import open_progress

        with open_progress(console) as progress:
            found = match_shuffled(
                self.match, self.out, seed=self.seed,
                orientation=self.orientation, progress=progress,
            )  # fmt: skip
        console.print(reached_table(found.match, found.null))
        console.print(shuffled_table(found.pairs))
