"""Figures of scores of latents' explanations."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from .. import paths
from ..options import Argument
from .base import Figure, OfScores

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class Scores(OfScores):
    """Fig 6-9: scores of latents, by how alike they are.

    Colours say in how many SAEs a latent is.
    """

    figure: ClassVar[str] = "scores"
    example: ClassVar[str] = "twinsae figure scores runs/gpt2/matches --scores scores.csv"


@dataclass(frozen=True, kw_only=True)
class ScoreHistogram(OfScores):
    """Fig 6-9: scores, stacked by how many SAEs have the latent."""

    figure: ClassVar[str] = "score-histogram"
    example: ClassVar[str] = (
        "twinsae figure score-histogram runs/gpt2/matches \\\n    --scores scores.csv"
    )


@dataclass(frozen=True, kw_only=True)
class ScorePairs(OfScores):
    """Fig 6-9: the score of a latent against that of its match."""

    figure: ClassVar[str] = "score-pairs"
    example: ClassVar[str] = (
        "twinsae figure score-pairs runs/gpt2/matches/seed0--seed1 \\\n    --scores scores.csv"
    )


@dataclass(frozen=True, kw_only=True)
class Explanations(Figure):
    """Fig 6-9: how alike the explanations of latents are.

    One histogram for each column whose name begins with explanation_cosine.
    """

    figure: ClassVar[str] = "explanations"
    example: ClassVar[str] = "twinsae figure explanations scores.csv"

    scores: Annotated[Path, Argument(paths.existing, metavar="FILE.csv", positional=True)]
    """Table with the columns sae (or seed), latent, score, explanation_cosine, ..."""

    def run(self, console: "Console") -> None:
        """Draw, and print the files' paths."""
        self._draw(console, self.scores)


@dataclass(frozen=True, kw_only=True)
class ExplainedCosine(OfScores):
    """Notebook: likeness of explanations by that of the latents."""

    figure: ClassVar[str] = "explained-cosine"
    example: ClassVar[str] = (
        "twinsae figure explained-cosine runs/gpt2/matches/seed0--seed1 \\\n    --scores scores.csv"
    )
