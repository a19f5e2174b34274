"""Figures of one pair of SAEs, or of several pooled."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from .base import OfMatches

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class Alignment(OfMatches):
    """Fig 1: decoder and encoder cosine of each latent's matches.

    Colours say whether decoder and encoder are matched to the same latent.
    """

    figure: ClassVar[str] = "alignment"
    example: ClassVar[str] = "twinsae figure alignment runs/gpt2/matches/seed0--seed1"


@dataclass(frozen=True, kw_only=True)
class MaxVsMatched(OfMatches):
    """Fig 6-9: the best cosine against that of the match.

    No point can lie below the diagonal; on it, a latent's match is also the nearest latent.
    """

    figure: ClassVar[str] = "max-vs-matched"
    example: ClassVar[str] = (
        "twinsae figure max-vs-matched runs/gpt2/matches/seed0--seed1 \\\n    --side encoder"
    )

    side: Literal["decoder", "encoder"] = "decoder"
    """Which cosines."""

    def run(self, console: "Console") -> None:
        """Draw, and print the files' paths."""
        self._draw(console, self.matches, side=self.side)


@dataclass(frozen=True, kw_only=True)
class Thresholds(OfMatches):
    """Fig 6-9: shared latents by the threshold, three criteria.

    Of several pairs it shows the mean, and the lowest and highest as a band.
    """

    figure: ClassVar[str] = "thresholds"
    example: ClassVar[str] = "twinsae figure thresholds runs/gpt2/matches/seed0--seed1"


@dataclass(frozen=True, kw_only=True)
class MaxCosine(OfMatches):
    """Fig 6-9: histograms of each latent's best cosine."""

    figure: ClassVar[str] = "max-cosine"
    example: ClassVar[str] = "twinsae figure max-cosine runs/gpt2/matches/seed0--seed1"


@dataclass(frozen=True, kw_only=True)
class MatchedCosine(OfMatches):
    """Notebook: histograms of the cosines of matches.

    Stacked by whether decoder and encoder are matched to the same latent.
    """

    figure: ClassVar[str] = "matched-cosine"
    example: ClassVar[str] = "twinsae figure matched-cosine runs/gpt2/matches/seed0--seed1"
