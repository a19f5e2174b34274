"""`twinsae convert`: SAEs from one format to another."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from ..common.files import StrPath
from ..sae.formats.paths import FormatName
from . import paths
from .options import Argument

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Convert:
    """Write an SAE, or all below a folder, in another format.

    The new SAE computes the same. What the format cannot express is refused. Settings of training
    and notes on provenance that have no place in it are named.
    """

    example: ClassVar[str] = "twinsae convert runs/demo saelens --to saelens"

    a: Annotated[StrPath, Argument(paths.saes, metavar="A", positional=True)]
    """An SAE of any format (folder, file or name on the Hub), or a folder with several below it."""
    b: Annotated[Path, Argument(metavar="B", positional=True)]
    """What to write: a folder; a file for openai (.pt) and arrays (.safetensors, .npz, .pt)."""
    to: Annotated[FormatName, Argument(metavar="FORMAT")]
    """The format to write."""

    def run(self, console: "Console") -> None:
        """Convert, and print one line per SAE and what is left behind."""
        from ..sae.convert import convert

        for done in convert(self.a, self.b, self.to):
            console.print(f"{done.source} -> {done.target}", soft_wrap=True, markup=False)
            for what in done.left:
                console.print(f"  not carried over: {what}", soft_wrap=True, markup=False)
