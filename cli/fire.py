"""`twinsae fire`: how often and how strongly each latent of several SAEs fires."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from ..common.files import StrPath
from ..sae.names import distinct_names
from . import paths
from .options import Argument, positive

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Fire:
    """Count how often and how strongly each latent of SAEs fires.

    The activations are read once for all SAEs. Writes firing.npz, one row a latent, and firing.json
    into each SAE's folder, where `twinsae match` finds it and takes from it which latents are live.

    The same command goes on where it was stopped, and leaves alone what it has counted already.
    """

    example: ClassVar[str] = (
        "twinsae fire runs/gpt2/h.6.mlp/seed* \\\n    --activations runs/gpt2/activations/h.6.mlp"
    )

    saes: Annotated[tuple[StrPath, ...], Argument(paths.saes, metavar="SAE", positional=True)]
    """SAEs of any format (folder, file or name on the Hub), or folders with several below them."""
    activations: Annotated[Path, Argument(paths.existing)]
    """Activations to count on: a store, or a file or folder of arrays."""
    out: Annotated[Path | None, Argument(metavar="DIR")] = None
    """Write DIR/<SAE>/firing.npz instead; needed for SAEs that are not folders of this machine."""
    tokens: Annotated[int | None, Argument(positive, metavar="N")] = None
    """Tokens, the first of the activations; by default all."""

    def __post_init__(self) -> None:
        distinct_names(self.places)

    @property
    def places(self) -> list[StrPath]:
        """The paths or names of the single SAEs."""
        return paths.all_saes(self.saes)

    def run(self, console: "Console") -> None:
        """Count, write the tables, and print a line for each SAE."""
        from ..sae.activations import open_activations
        from ..sae.firing import fire
        from .firing_table import firing_table
        from .progress import open_progress, plain_lines

        say = plain_lines(console)
        store = open_activations(self.activations)
        with open_progress(console) as progress:
            found = fire(
                self.places, store, self.out, tokens=self.tokens, progress=progress, say=say
            )
        console.print(firing_table(found))
        console.print(f"tables: firing.npz in {self.out or 'the folder of each SAE'}")
