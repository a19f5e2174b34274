"""Figures of several SAEs."""

from dataclasses import dataclass
from typing import ClassVar

from .base import OfMatches, OfSeeds


@dataclass(frozen=True, kw_only=True)
class UniqueBySeeds(OfSeeds):
    """Fig 2: the share of latents that only one of n SAEs has.

    With the curve a n^b + c through the means, if there are five SAEs or more.
    """

    figure: ClassVar[str] = "unique-by-seeds"
    example: ClassVar[str] = "twinsae figure unique-by-seeds runs/gpt2/matches"


@dataclass(frozen=True, kw_only=True)
class Frequency(OfMatches):
    """Fig 3: how often latents fire, by how alike they are.

    Colours say in how many SAEs a latent is. Needs firing counts: run `twinsae fire` on the SAEs
    before they are matched.
    """

    figure: ClassVar[str] = "frequency"
    example: ClassVar[str] = "twinsae figure frequency runs/gpt2/matches"


@dataclass(frozen=True, kw_only=True)
class Donut(OfSeeds):
    """Blog: the shares of latents that are in exactly n SAEs."""

    figure: ClassVar[str] = "donut"
    example: ClassVar[str] = "twinsae figure donut runs/gpt2/matches"


@dataclass(frozen=True, kw_only=True)
class HeatMap(OfMatches):
    """Notebook: which share of an SAE's latents another shares."""

    figure: ClassVar[str] = "heat-map"
    example: ClassVar[str] = "twinsae figure heat-map runs/gpt2/matches"


@dataclass(frozen=True, kw_only=True)
class CountsBySeeds(OfSeeds):
    """Notebook: each SAE's latents by how many SAEs have them."""

    figure: ClassVar[str] = "counts-by-seeds"
    example: ClassVar[str] = "twinsae figure counts-by-seeds runs/gpt2/matches"
