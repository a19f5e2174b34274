"""`twinsae report`: whatever our commands wrote, as a page with a browser of all latents."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from . import paths
from .options import Argument

if TYPE_CHECKING:
    from rich.console import Console

MOST_PORTS = 65_535


def port_number(text: str) -> int:
    """Read the number of a port.

    Raises:
        ValueError: it is not one from 1 to 65535.
    """
    if not text.isdecimal() or not 1 <= int(text) <= MOST_PORTS:
        raise ValueError(f"expected a port from 1 to {MOST_PORTS}, got {text!r}")
    return int(text)


@dataclass(frozen=True)
class Report:
    """Draw matches or a training run as a page to browse.

    Writes the folder DIR/report. Its index.html needs no other file; of matches, latents.html
    beside it shows every latent. Both open from disk, without a network.
    """

    example: ClassVar[str] = "twinsae report runs/demo/matches/seed0--seed1"

    dir: Annotated[Path, Argument(paths.reportable, metavar="DIR", positional=True)]
    """Folder that `twinsae match`, `match-all` or `train` wrote, or one with matches in it."""
    run_folder: Annotated[Path | None, Argument(paths.existing)] = None
    """Of matches: folder of the training run, which tells the model and how training ended; by
    default found from the first SAE's path."""
    baseline: Annotated[Path | None, Argument(paths.matches)] = None
    """Of matches: another folder of the same command to show beside, such as of untrained SAEs."""
    scores: Annotated[Path | None, Argument(paths.existing, metavar="FILE")] = None
    """Of matches: a CSV table of scores of explanations, as `twinsae figure scores` takes it."""
    explanations: Annotated[
        tuple[tuple[str | None, Path], ...], Argument(paths.named_place, metavar="[SAE=]PATH")
    ] = ()
    """Of matches: a CSV table with the columns sae, latent and explanation; or SAE=DIR, delphi's
    results for one SAE."""
    serve: bool = False
    """Serve the page at 127.0.0.1 until Ctrl-C, for a browser that cannot open the files; it is
    written first if it is not there."""
    port: Annotated[int | None, Argument(port_number, metavar="N")] = None
    """Where to serve; by default a free port."""

    def __post_init__(self) -> None:
        """Raise for options that are of no use to such a folder, or without --serve."""
        for name in ("run_folder", "baseline", "scores", "explanations"):
            if getattr(self, name) and not paths.has_matches(self.dir):
                raise ValueError(
                    f"{name}: only for a folder of `twinsae match` or `twinsae match-all`, and "
                    f"{self.dir} is none"
                )
        if self.port is not None and not self.serve:
            raise ValueError("port: only with --serve")

    def run(self, console: "Console") -> None:
        """Write the page and print where it is; serve it if asked to."""
        from .progress import open_progress, plain_lines

        say = plain_lines(console)
        page = self.dir / "report" / "index.html"
        if not (self.serve and page.is_file()):
            from ..matching.report import render

            with open_progress(console) as progress:
                page = render(
                    self.dir,
                    run=self.run_folder,
                    baseline=self.baseline,
                    scores=self.scores,
                    explanations=self.explanations,
                    say=say,
                    progress=progress,
                )
        say(f"report: {page}")
        if self.serve:
            self._serve(say)

    def _serve(self, say: Callable[[str], None]) -> None:
        from ..matching.report.serve import START, open_server

        with open_server(self.dir, self.port or 0) as server:
            say(f"http://127.0.0.1:{server.server_port}{START} (Ctrl-C ends it)")
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                say("stopped")
