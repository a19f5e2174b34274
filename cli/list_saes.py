"""`twinsae list`: the SAEs in a folder or in a repository of the Hugging Face Hub."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from ..common.files import StrPath
from ..common.units import format_bytes
from .options import Argument
from .paths import place_of_saes

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class List:
    """List the SAEs in a folder, or in a repository of the Hub.

    Shows each SAE's path, layout, latents, width and size, from metadata alone: no weights are
    read or downloaded. What metadata do not tell is left empty. `twinsae match` takes
    hf:OWNER/REPO:PATH.
    """

    example: ClassVar[str] = "twinsae list hf:EleutherAI/sae_overlap"

    place: Annotated[StrPath, Argument(place_of_saes, metavar="PLACE", positional=True)]
    """A folder; or hf:OWNER/REPO[@REVISION], with :PREFIX only the SAEs below that."""

    def run(self, console: "Console") -> None:
        """Print one line for each SAE."""
        from rich.table import Table

        from ..sae.listing import list_saes

        table = Table(title=str(self.place))
        table.add_column("path", overflow="fold")
        table.add_column("layout")
        for column in ("latents", "width", "dtype", "size"):
            table.add_column(column, no_wrap=True, justify="right")
        total = 0
        for sae in list_saes(self.place):
            family, *sizes, dtype = sae.described
            told = ("" if size is None else f"{size:,}" for size in sizes)
            table.add_row(sae.path or ".", family or "", *told, dtype or "", format_bytes(sae.size))
            total += sae.size
        console.print(table)
        console.print(f"{table.row_count:,} SAEs, {format_bytes(total)} in all")
