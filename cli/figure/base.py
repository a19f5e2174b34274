"""What the commands of `twinsae figure` have in common."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from .. import paths
from ..options import Argument

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure, by its name."""

    figure: ClassVar[str]

    out: Annotated[Path | None, Argument(metavar="DIR")] = None
    """Folder to write to; by default "figures" in the folder of the data."""

    def _draw(self, console: "Console", data: Path, **options: object) -> None:
        from ...matching.figures import draw

        for path in draw(self.figure, data, self.out, **options):
            console.print(f"{path}", soft_wrap=True, highlight=False, markup=False)


@dataclass(frozen=True, kw_only=True)
class OfMatches(Figure):
    """A figure of one pair of SAEs or of several, pooled."""

    matches: Annotated[Path, Argument(paths.matches, metavar="MATCHES", positional=True)]
    """Folder of `twinsae match`, or of `twinsae match-all`: then all pairs are drawn in one."""

    def run(self, console: "Console") -> None:
        """Draw, and print the files' paths."""
        self._draw(console, self.matches)


@dataclass(frozen=True, kw_only=True)
class OfSeeds(Figure):
    """A figure of several SAEs that were matched with one another."""

    matches: Annotated[Path, Argument(paths.many_matches, metavar="MATCHES", positional=True)]
    """Folder of `twinsae match-all`."""

    def run(self, console: "Console") -> None:
        """Draw, and print the files' paths."""
        self._draw(console, self.matches)


@dataclass(frozen=True, kw_only=True)
class OfScores(Figure):
    """A figure of matches and of scores of their latents."""

    matches: Annotated[Path, Argument(paths.matches, metavar="MATCHES", positional=True)]
    """Folder of `twinsae match` or of `twinsae match-all`."""
    scores: Annotated[Path, Argument(paths.existing, metavar="FILE.csv")]
    """Table with the columns sae (or seed), latent, score, and perhaps explanation_cosine."""

    def run(self, console: "Console") -> None:
        """Draw, and print the files' paths."""
        self._draw(console, self.matches, scores=self.scores)
