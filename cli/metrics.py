"""`twinsae metrics`: the numbers by which others compare SAEs."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from ..sae.formats.orientation import Orientation
from . import paths
from .options import Argument

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Metrics:
    """Compute the metrics of the field for a match.

    Mean matched cosines, signed and absolute (PW-MCC), mean max cosines (MMCS), mutual nearest
    neighbours, greedy and nearest partners beside the exact ones, and how well each SAE's encoder
    agrees with its decoder. Writes MATCH/metrics.json, and MATCH/<side>-partners.npz with each
    latent's partners.
    """

    example: ClassVar[str] = "twinsae metrics runs/match"

    match: Annotated[Path, Argument(paths.match_folder, metavar="MATCH", positional=True)]
    """A folder that `twinsae match` wrote; its SAEs must still be where they were."""
    orientation: Orientation | None = None
    """How both files store encoder/decoder, if the match needed to be told."""

    def run(self, console: "Console") -> None:
        """Compute the metrics, write the files, and print them."""
        from rich.table import Table

        from ..matching.criteria.metric_files import metric_files
        from .progress import open_progress

        with open_progress(console) as progress:
            found = metric_files(self.match, orientation=self.orientation, progress=progress)
        table = Table("side", title="Metrics")
        table.add_column("metric", no_wrap=True)
        table.add_column("value")
        table.add_column("what others call it")
        for row in found:
            table.add_row(row["side"], row["metric"], f"{row['value']:.4f}", row["called"])
        console.print(table)
        console.print(f"result: {self.match}", soft_wrap=True)
