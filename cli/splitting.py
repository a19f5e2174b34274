"""`twinsae splitting`: what larger SAEs have that smaller ones have not."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from ..common.files import StrPath
from . import paths
from .options import Argument, positive

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Splitting:
    """Tell novel latents of a larger SAE from split ones.

    Each latent's parent is the smaller SAE's latent of the largest decoder cosine. Below the
    threshold the latent is novel. Both are tried on activations: novel latents are inserted into
    the smaller SAE's reconstruction, and each parent is swapped for its children.

    Three or more SAEs of ascending sizes make a forest. Writes OUT/splitting.npz, one row a latent
    of a larger SAE, and OUT/splitting-parents.npz, one row a latent of a smaller one.
    """

    example: ClassVar[str] = (
        "twinsae splitting runs/small/h.6.mlp/seed0 runs/large/h.6.mlp/seed0 \\\n"
        "    --store runs/gpt2/activations/h.6.mlp --out runs/splitting"
    )

    saes: Annotated[tuple[StrPath, ...], Argument(paths.sae, metavar="SAE", positional=True)]
    """Two or more SAEs, from the smallest to the largest: folders, files or names on the Hub."""
    store: Annotated[Path, Argument(paths.existing)]
    """Activations that all of them read: a store, or a file or folder of arrays."""
    out: Annotated[Path, Argument(metavar="OUT")]
    """Folder for the tables."""
    tokens: Annotated[int, Argument(positive)] = 8192
    """Tokens, the first of the store; they are held in memory."""
    threshold: float = 0.7
    """A latent is novel if its largest cosine is below."""

    def __post_init__(self) -> None:
        """Raise for what is wrong before anything is loaded."""
        if len(self.saes) < 2:
            raise ValueError(f"expected 2 SAEs or more, got {len(self.saes)}")
        if not -1 <= self.threshold <= 1:
            raise ValueError(f"threshold: expected a cosine, -1 to 1, got {self.threshold}")

    def run(self, console: "Console") -> None:
        """Measure, write the tables, and print what was found."""
        from ..matching.splitting.files import splitting
        from ..sae.activations import open_activations
        from .progress import open_progress
        from .splitting_table import splitting_table

        with open_progress(console) as progress:
            found = splitting(
                self.saes,
                open_activations(self.store),
                self.out,
                tokens=self.tokens,
                threshold=self.threshold,
                progress=progress,
            )
        console.print(splitting_table(found))
        console.print(f"result: {self.out}", soft_wrap=True)
