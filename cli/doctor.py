"""`twinsae doctor`: what this machine and installation can do."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

from .options import Argument

if TYPE_CHECKING:
    from rich.console import Console


class Sizes(NamedTuple):
    """Of a dictionary."""

    num_latents: int
    d_in: int


def read_sizes(text: str) -> Sizes:
    """Read latents and width, as in 131072x4096."""
    sizes = re.fullmatch(r"([1-9]\d{0,8})x([1-9]\d{0,8})", text)
    if sizes is None:
        raise ValueError(f"expected LATENTSxWIDTH such as 131072x4096, got {text!r}")
    return Sizes(int(sizes[1]), int(sizes[2]))


@dataclass(frozen=True)
class Doctor:
    """Show what this machine and this installation can do."""

    example: ClassVar[str] = "twinsae doctor --match 131072x4096"

    match: Annotated[Sizes | None, Argument(read_sizes, metavar="LxD")] = None
    """Also say what memory a match of two dictionaries of L latents of width D takes."""
    kernels: bool = False
    """Compile the GPU's kernels for every listed GPU, which takes a minute or two, and show what
    they take and how long they should. Needs no GPU."""

    def run(self, console: "Console") -> None:
        """Print the table."""
        if self.kernels:
            from .compiled_kernels import kernels_table

            table, note = kernels_table()
            console.print(table)
            console.print(note)
        else:
            from .findings import findings_table

            console.print(findings_table(self.match))
