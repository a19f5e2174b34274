"""Figures of series: overlap by what the SAEs are like."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from .. import paths
from ..options import Argument
from .base import Figure

if TYPE_CHECKING:
    from rich.console import Console

Measure = Literal[
    "and", "and_equal", "decoder", "encoder", "mean", "max", "max_decoder", "max_encoder", "equal",
    "live_and", "live_and_equal", "live_decoder", "live_encoder", "live_mean", "live_max",
    "live_max_decoder", "live_max_encoder", "live_equal", "decoder_cosine", "encoder_cosine",
    "decoder_mmcs", "encoder_mmcs",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class OfSeries(Figure):
    """A figure of points."""

    dir: Annotated[Path, Argument(paths.existing, metavar="DIR", positional=True)]
    """Folder of `twinsae series`, or one with matches at or below it."""

    def run(self, console: "Console") -> None:
        """Draw, and print the files' paths."""
        self._draw(console, self.dir)


@dataclass(frozen=True, kw_only=True)
class Bars(OfSeries):
    """A figure of bars."""

    show: Measure = "and"
    """What the bars show; "live_" is of live latents only."""

    def run(self, console: "Console") -> None:
        """Draw, and print the files' paths."""
        self._draw(console, self.dir, show=self.show)


@dataclass(frozen=True, kw_only=True)
class BySize(OfSeries):
    """Fig 4: shared latents by the number of latents."""

    figure: ClassVar[str] = "by-size"
    example: ClassVar[str] = "twinsae figure by-size runs/series"


@dataclass(frozen=True, kw_only=True)
class ByK(OfSeries):
    """Fig 4: shared latents by the number of active latents."""

    figure: ClassVar[str] = "by-k"
    example: ClassVar[str] = "twinsae figure by-k runs/series"


@dataclass(frozen=True, kw_only=True)
class ByTokens(OfSeries):
    """Fig 4: shared latents by training tokens."""

    figure: ClassVar[str] = "by-tokens"
    example: ClassVar[str] = "twinsae figure by-tokens runs/series"


@dataclass(frozen=True, kw_only=True)
class ByLayer(Bars):
    """Fig 5: shared latents by layer and number of latents."""

    figure: ClassVar[str] = "by-layer"
    example: ClassVar[str] = "twinsae figure by-layer runs/series"


@dataclass(frozen=True, kw_only=True)
class ByModel(Bars):
    """Fig 5: shared latents by model and position."""

    figure: ClassVar[str] = "by-model"
    example: ClassVar[str] = "twinsae figure by-model runs/series"

    show: Measure = "decoder"
    """What the bars show; "live_" is of live latents only."""


@dataclass(frozen=True, kw_only=True)
class ByArchitecture(Bars):
    """Fig 5: shared latents by architecture."""

    figure: ClassVar[str] = "by-architecture"
    example: ClassVar[str] = "twinsae figure by-architecture runs/series"

    show: Measure = "decoder"
    """What the bars show; "live_" is of live latents only."""


@dataclass(frozen=True, kw_only=True)
class CosineBySize(OfSeries):
    """Fig 6-9: mean cosines by the number of latents."""

    figure: ClassVar[str] = "cosine-by-size"
    example: ClassVar[str] = "twinsae figure cosine-by-size runs/series"


@dataclass(frozen=True, kw_only=True)
class CosineByK(OfSeries):
    """Fig 6-9: mean cosines by the number of active latents."""

    figure: ClassVar[str] = "cosine-by-k"
    example: ClassVar[str] = "twinsae figure cosine-by-k runs/series"


@dataclass(frozen=True, kw_only=True)
class CosineByTokens(OfSeries):
    """Fig 6-9: mean cosines by training tokens."""

    figure: ClassVar[str] = "cosine-by-tokens"
    example: ClassVar[str] = "twinsae figure cosine-by-tokens runs/series"


@dataclass(frozen=True, kw_only=True)
class BySite(Bars):
    """Blog: shared latents by number of latents and position."""

    figure: ClassVar[str] = "by-site"
    example: ClassVar[str] = "twinsae figure by-site runs/series"
