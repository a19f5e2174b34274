"""`twinsae convert`: SAEs from one format to another."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rich.console import Console
from tyro.conf import Positional, arg

from ..sae.convert import convert
from ..sae.formats.registry import FormatName


@dataclass(frozen=True)
class Convert:
    """Write an SAE, or all SAEs below a folder, in another format.

    It computes the same there; what the format cannot express is refused. What concerns training
    or provenance only, and has no place there, is named.
    """

    a: Annotated[Positional[Path], arg(metavar="A")]
    """An SAE of any format, folder or file, or a folder with several below it."""
    b: Annotated[Positional[Path], arg(metavar="B")]
    """What to write: a folder; a file for openai (.pt) and arrays (.safetensors, .npz, .pt)."""
    to: FormatName
    """The format to write."""

    def run(self, console: Console) -> None:
        """Convert, and print one line per SAE and what is left behind."""
        for done in convert(self.a, self.b, self.to):
            console.print(f"{done.source} -> {done.target}", soft_wrap=True, markup=False)
            for what in done.left:
                console.print(f"  not carried over: {what}", soft_wrap=True, markup=False)
