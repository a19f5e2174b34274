"""Figures of what the paper has not: one for each further analysis, from its own table."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from .. import paths
from ..options import Argument
from .base import Figure

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class OfTable(Figure):
    """A figure of one table."""

    dir: Annotated[Path, Argument(paths.existing, metavar="DIR", positional=True)]
    """Folder to which the command of that name wrote its table."""

    def run(self, console: "Console") -> None:
        """Draw, and print the files' paths."""
        self._draw(console, self.dir)


@dataclass(frozen=True, kw_only=True)
class OfSide(OfTable):
    """A figure of the table of one side."""

    side: Literal["decoder", "encoder"] = "decoder"
    """Whose matching."""

    def run(self, console: "Console") -> None:
        """Draw, and print the files' paths."""
        self._draw(console, self.dir, side=self.side)


@dataclass(frozen=True, kw_only=True)
class Certainty(OfSide):
    """How much the optimum falls without each pair."""

    figure: ClassVar[str] = "certainty"
    example: ClassVar[str] = "twinsae figure certainty runs/gpt2/matches/seed0--seed1"


@dataclass(frozen=True, kw_only=True)
class ByActivations(OfSide):
    """Similarity of activations by the cosine of weights.

    Colours say whether both give a latent the same match.
    """

    figure: ClassVar[str] = "by-activations"
    example: ClassVar[str] = "twinsae figure by-activations runs/a/by-activations"


@dataclass(frozen=True, kw_only=True)
class Substitution(OfTable):
    """What is left while latents are replaced by their partners."""

    figure: ClassVar[str] = "substitution"
    example: ClassVar[str] = "twinsae figure substitution runs/gpt2/matches/seed0--seed1"


@dataclass(frozen=True, kw_only=True)
class Stable(OfTable):
    """How many groups of linked latents are in n SAEs."""

    figure: ClassVar[str] = "stable"
    example: ClassVar[str] = "twinsae figure stable runs/gpt2/matches"


@dataclass(frozen=True, kw_only=True)
class Chain(OfSide):
    """How many latents survive each step of a chain."""

    figure: ClassVar[str] = "chain"
    example: ClassVar[str] = "twinsae figure chain runs/steps"


@dataclass(frozen=True, kw_only=True)
class Splitting(OfTable):
    """What larger SAEs' latents do in the smaller one."""

    figure: ClassVar[str] = "splitting"
    example: ClassVar[str] = "twinsae figure splitting runs/splitting"
