"""`twinsae report`: a finished match, or a training run, as a page."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from . import paths
from .options import Argument

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Report:
    """Draw a finished match or a training run as one page.

    Writes DIR/report/index.html, which needs no other file.
    """

    example: ClassVar[str] = "twinsae report runs/demo/matches/seed0--seed1"

    dir: Annotated[Path, Argument(paths.match_or_run, metavar="DIR", positional=True)]
    """Folder that `twinsae match` wrote, or `twinsae train`."""
    run_folder: Annotated[Path | None, Argument(paths.existing)] = None
    """Of a match: folder of the training run, for its curves; by default found from the first SAE's
    path."""
    baseline: Annotated[Path | None, Argument(paths.match_folder)] = None
    """A second match to show beside a match, such as that of the untrained SAEs."""

    def __post_init__(self) -> None:
        """Raise for options of a match's report beside a training run."""
        for name, given in (("run_folder", self.run_folder), ("baseline", self.baseline)):
            if given is not None and not paths.is_match(self.dir):
                raise ValueError(f"{name}: only for the report of a match, and {self.dir} is none")

    def run(self, console: "Console") -> None:
        """Write the page and print where it is."""
        from ..matching.report import render, render_training

        if paths.is_match(self.dir):
            page = render(self.dir, run=self.run_folder, baseline=self.baseline)
        else:
            page = render_training(self.dir)
        console.print(f"report: {page}", soft_wrap=True)
