"""All figures, in the order in which help lists them."""

from .base import Figure
from .of_analyses import ByActivations, Certainty, Chain, Splitting, Stable, Substitution
from .of_matches import Alignment, MatchedCosine, MaxCosine, MaxVsMatched, Thresholds
from .of_scores import ExplainedCosine, Explanations, ScoreHistogram, ScorePairs, Scores
from .of_seeds import CountsBySeeds, Donut, Frequency, HeatMap, UniqueBySeeds
from .of_series import (
    ByArchitecture,
    ByK,
    ByLayer,
    ByModel,
    BySite,
    BySize,
    ByTokens,
    CosineByK,
    CosineBySize,
    CosineByTokens,
)

ABOUT = """\
Draw one figure of the paper, with the numbers in it.

Figures are those of "Sparse Autoencoders Trained on the Same Data Learn Different Features" (arXiv
2501.16615), in our own style. Each writes NAME.svg, NAME.png, the exact numbers that are drawn as
NAME.csv, and NAME.json, which says from what. "Fig 6-9" marks what the paper's last figures may
be; which is which is not known. "Blog" and "Notebook" are its authors' other drawings. The last
ones draw what further commands find."""
EXAMPLE = "twinsae figure alignment runs/gpt2/matches/seed0--seed1"

_ALL: tuple[type[Figure], ...] = (
    Alignment,
    UniqueBySeeds,
    Frequency,
    BySize,
    ByK,
    ByTokens,
    ByLayer,
    ByModel,
    ByArchitecture,
    Thresholds,
    MaxVsMatched,
    MaxCosine,
    CosineBySize,
    CosineByK,
    CosineByTokens,
    Scores,
    ScoreHistogram,
    ScorePairs,
    Explanations,
    Donut,
    BySite,
    HeatMap,
    CountsBySeeds,
    MatchedCosine,
    ExplainedCosine,
    Certainty,
    ByActivations,
    Substitution,
    Stable,
    Chain,
    Splitting,
)
FIGURES: dict[str, type] = {command.figure: command for command in _ALL}
