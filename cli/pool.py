"""`twinsae pool`: one SAE of the latents that seeds share."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from . import paths
from .options import Argument, positive

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Pool:
    """Make one SAE of the latents that seeds share.

    Each group of `twinsae stable` with latents of all seeds becomes one latent: its directions are
    the means of theirs, its scale and bias are fitted to what they do on the first half of the
    tokens. One threshold for all latents sets the L0 on the second half; there its FVU is measured
    beside those of the seeds, whole and cut to as many latents.

    Writes an SAE that all other commands read, and OUT/pool.npz, one row a latent, and pool.json.
    """

    example: ClassVar[str] = (
        "twinsae pool runs/gpt2/matches --store runs/gpt2/activations/h.6.mlp \\\n"
        "    --out runs/gpt2/pool"
    )

    dir: Annotated[Path, Argument(paths.stable_latents, metavar="DIR", positional=True)]
    """A folder that `twinsae match-all` wrote, and in which `twinsae stable` has run."""
    store: Annotated[Path, Argument(paths.existing)]
    """Activations that all the SAEs read: a store, or a file or folder of arrays."""
    out: Annotated[Path, Argument(metavar="OUT")]
    """Folder for the SAE."""
    seeds_at_least: Annotated[int | None, Argument(positive, metavar="N")] = None
    """Pool the groups with latents of N seeds or more; by default of all."""
    l0: float | None = None
    """Mean number of active latents of a token; by default the mean of the seeds' own."""
    tokens: Annotated[int, Argument(positive)] = 65536
    """Tokens, the first of the store: half to fit, half held out."""

    def __post_init__(self) -> None:
        """Raise for what is wrong before anything is loaded."""
        if self.l0 is not None and not 0 < self.l0 < math.inf:
            raise ValueError(f"l0: expected a number above 0, got {self.l0}")

    def run(self, console: "Console") -> None:
        """Fit, write the SAE, and print its FVU beside those of the seeds."""
        from ..matching.pool import pool
        from ..sae.activations import open_activations
        from .pool_table import remarks, table
        from .progress import open_progress

        with open_progress(console) as progress:
            found = pool(
                self.dir,
                open_activations(self.store),
                self.out,
                seeds_at_least=self.seeds_at_least,
                l0=self.l0,
                tokens=self.tokens,
                progress=progress,
            )
        console.print(table(found))
        for line in remarks(found):
            console.print(line, soft_wrap=True)
        console.print(f"result: {self.out}", soft_wrap=True)
