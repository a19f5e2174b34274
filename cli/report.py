"""`twinsae report`: a finished match as a page."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rich.console import Console
from tyro.conf import Positional, arg

from ..matching.report import render


@dataclass(frozen=True)
class Report:
    """Draw a finished match as one self-contained page: DIR/report/index.html."""

    dir: Annotated[Positional[Path], arg(metavar="DIR")]
    """Folder that `twinsae match` wrote."""
    run_folder: Path | None = None
    """Folder of the training run, for its curves; None: found from the first SAE's path."""
    baseline: Path | None = None
    """A second match to show beside it, such as that of the untrained SAEs."""

    def run(self, console: Console) -> None:
        """Write the page and print where it is."""
        page = render(self.dir, run=self.run_folder, baseline=self.baseline)
        console.print(f"report: {page}", soft_wrap=True)
