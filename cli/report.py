"""`twinsae report`: a finished match as a page."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from . import paths
from .options import Argument

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Report:
    """Draw a finished match as one self-contained page.

    Writes DIR/report/index.html.
    """

    example: ClassVar[str] = "twinsae report runs/demo/matches/seed0--seed1"

    dir: Annotated[Path, Argument(paths.match_folder, metavar="DIR", positional=True)]
    """Folder that `twinsae match` wrote."""
    run_folder: Annotated[Path | None, Argument(paths.existing)] = None
    """Folder of the training run, for its curves; by default found from the first SAE's path."""
    baseline: Annotated[Path | None, Argument(paths.match_folder)] = None
    """A second match to show beside it, such as that of the untrained SAEs."""

    def run(self, console: "Console") -> None:
        """Write the page and print where it is."""
        from ..matching.report import render

        page = render(self.dir, run=self.run_folder, baseline=self.baseline)
        console.print(f"report: {page}", soft_wrap=True)
