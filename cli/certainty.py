"""`twinsae certainty`: how sure each matched pair is."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from ..sae.formats.orientation import Orientation
from . import paths
from .options import Argument

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Certainty:
    """Tell how sure each matched pair is.

    For each pair, two bounds say how much the largest sum of cosines falls if that pair is
    forbidden. Near 0, the latents have other partners that are as good. Writes
    MATCH/<side>-certainty.npz (latent_a, latent_b, cosine, lower, upper, exact) and the same name
    with .json.
    """

    example: ClassVar[str] = "twinsae certainty runs/match"

    match: Annotated[Path, Argument(paths.match_folder, metavar="MATCH", positional=True)]
    """A folder that `twinsae match` wrote; its SAEs must still be where they were."""
    orientation: Orientation | None = None
    """How both files store encoder/decoder, if the match needed to be told."""

    def run(self, console: "Console") -> None:
        """Compute the bounds, write the tables, and print their shares."""
        from rich.table import Table

        from ..matching.certainty import certainty_files
        from .progress import open_progress

        with open_progress(console) as progress:
            found = certainty_files(self.match, orientation=self.orientation, progress=progress)
        table = Table("shares of the pairs", *found, title="If a pair is forbidden")
        for name, label in _SHARES.items():
            table.add_row(label, *(f"{shares[name]:.1%}" for shares in found.values()))
        console.print(table)
        console.print(f"result: {self.match}", soft_wrap=True)


_SHARES = {
    "needed": "the optimum falls by more than 0.01",
    "replaceable": "the optimum falls by 0.01 at most",
    "exact": "both bounds are equal within 1e-6",
}
