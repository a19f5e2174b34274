"""`twinsae figure`: each figure of the paper, from a folder of matches."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from . import paths
from .options import Argument

if TYPE_CHECKING:
    from rich.console import Console

ABOUT = """\
Draw one figure of the paper, with the numbers in it.

Figures are those of "Sparse Autoencoders Trained on the Same Data Learn Different Features" (arXiv
2501.16615), in our own style. Each writes NAME.svg, NAME.png, the exact numbers that are drawn as
NAME.csv, and NAME.json, which says from what. "Fig 6-9" marks what the paper's last figures may
be; which is which is not known. "Blog" and "Notebook" are its authors' other drawings."""
EXAMPLE = "twinsae figure alignment runs/gpt2/matches"


@dataclass(frozen=True, kw_only=True)
class _Figure:
    """What all figures have."""

    figure: ClassVar[str]

    out: Annotated[Path | None, Argument(metavar="DIR")] = None
    """Folder to write to; by default the folder "figures" in the one that is drawn from."""

    def _draw(self, console: "Console", data: Path, **options: object) -> None:
        from ..matching.figures import draw

        for path in draw(self.figure, data, self.out, **options):
            console.print(f"{path}", soft_wrap=True, highlight=False)


@dataclass(frozen=True, kw_only=True)
class _OfMatches(_Figure):
    """A figure of one pair or of several, pooled."""

    matches: Annotated[Path, Argument(paths.matches, metavar="MATCHES", positional=True)]
    """Folder of `twinsae match`, or of `twinsae match-all`: then all pairs are drawn in one."""

    def run(self, console: "Console") -> None:
        """Draw, and print the files' paths."""
        self._draw(console, self.matches)


@dataclass(frozen=True, kw_only=True)
class Alignment(_OfMatches):
    """Fig 1: decoder and encoder cosine of each latent's matches.

    Colours say whether decoder and encoder are matched to the same latent.
    """

    figure: ClassVar[str] = "alignment"
    example: ClassVar[str] = "twinsae figure alignment runs/gpt2/matches/seed0--seed1"


@dataclass(frozen=True, kw_only=True)
class MaxAgainstMatched(_OfMatches):
    """Fig 6-9: the best cosine against that of the match.

    No point can lie below the diagonal; on it, a latent's match is also the nearest latent.
    """

    figure: ClassVar[str] = "max-vs-matched"
    example: ClassVar[str] = "twinsae figure max-vs-matched runs/gpt2/matches"

    side: Literal["decoder", "encoder"] = "decoder"
    """Which cosines."""

    def run(self, console: "Console") -> None:
        """Draw, and print the files' paths."""
        self._draw(console, self.matches, side=self.side)


@dataclass(frozen=True, kw_only=True)
class Thresholds(_OfMatches):
    """Fig 6-9: shared latents by the threshold, three criteria.

    Of several pairs it shows the mean, and the lowest and highest as a band.
    """

    figure: ClassVar[str] = "thresholds"
    example: ClassVar[str] = "twinsae figure thresholds runs/gpt2/matches/seed0--seed1"


@dataclass(frozen=True, kw_only=True)
class MaxCosine(_OfMatches):
    """Fig 6-9: histograms of each latent's best cosine."""

    figure: ClassVar[str] = "max-cosine"
    example: ClassVar[str] = "twinsae figure max-cosine runs/gpt2/matches/seed0--seed1"


@dataclass(frozen=True, kw_only=True)
class MatchedCosine(_OfMatches):
    """Notebook: histograms of the cosines of matches.

    Stacked by whether decoder and encoder are matched to the same latent.
    """

    figure: ClassVar[str] = "matched-cosine"
    example: ClassVar[str] = "twinsae figure matched-cosine runs/gpt2/matches/seed0--seed1"


FIGURES: dict[str, type] = {
    command.figure: command
    for command in (Alignment, MaxAgainstMatched, Thresholds, MaxCosine, MatchedCosine)
}
