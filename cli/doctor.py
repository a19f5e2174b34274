"""`twinsae doctor`: what this machine and installation can do."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

from ..common.packages import need
from .options import Argument
from .paths import sae

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
        raise ValueError(f"--match: expected LATENTSxWIDTH such as 131072x4096, got {text!r}")
    return Sizes(int(sizes[1]), int(sizes[2]))


@dataclass(frozen=True)
class Doctor:
    """Show what this machine and this installation can do."""

    example: ClassVar[str] = "twinsae doctor --match 131072x4096"

    match: Annotated[tuple[str, ...] | None, Argument(metavar="LxD|A B")] = None
    """Also say what a match takes: of two dictionaries of L latents of width D the memory; of two
    SAEs, paths or names, what is to download, memory, disk and the predicted time."""
    kernels: bool = False
    """Compile the GPU's kernels for every listed GPU, which takes a minute or two, and show what
    they take and how long they should. Needs no GPU."""

    def __post_init__(self) -> None:
        """Raise ValueError for what is neither sizes nor two SAEs."""
        if self.match is not None and len(self.match) == 1:
            read_sizes(self.match[0])
        elif self.match is not None and len(self.match) != 2:
            raise ValueError(f"--match: expected LxD or two SAEs, got {len(self.match)} words")
        for given in self.match if self.match and len(self.match) == 2 else ():
            sae(given)

    def run(self, console: "Console") -> None:
        """Print the tables."""
        if self.kernels:
            need("--kernels", "triton")
            from .compiled_kernels import kernels_table

            table, note = kernels_table()
            console.print(table)
            console.print(note)
        else:
            from .findings import extras_table, findings_table

            sizes = read_sizes(self.match[0]) if self.match and len(self.match) == 1 else None
            console.print(findings_table(sizes))
            console.print(extras_table())
            if self.match and not sizes:
                self.show_forecast(console, *self.match)

    def show_forecast(self, console: "Console", a: str, b: str) -> None:
        """Print what a match of two SAEs takes."""
        from rich.table import Table

        from .forecast import forecast

        table = Table("what", "found", show_header=False, title="their match")
        for what, found in forecast(a, b):
            table.add_row(what, found)
        console.print(table)
