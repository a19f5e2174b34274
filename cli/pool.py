"""`twinsae pool`: one SAE of the latents that several seeds have in common."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from . import paths
from .options import Argument, positive

if TYPE_CHECKING:
    from rich.console import Console


_WAYS = {"": "", ", its members alone": "members_", ", as many active": "equal_"}


@dataclass(frozen=True)
class Pool:
    """Make one SAE of the latents that several seeds share.

    Each group of linked latents, as `twinsae stable` found them, becomes a latent: its directions
    are the means of its members', its scale and bias are fitted on stored activations, and one
    threshold for all sets how many are active. Writes an SAE's folder that every command reads, and
    says how well it reconstructs beside the seeds.
    """

    example: ClassVar[str] = (
        "twinsae pool runs/gpt2/matches --store runs/gpt2/activations/h.6.mlp \\\n"
        "    --out runs/gpt2/pooled"
    )

    dir: Annotated[Path, Argument(paths.many_matches, metavar="DIR", positional=True)]
    """A folder of `twinsae match-all` in which `twinsae stable` was run."""
    store: Annotated[Path, Argument(paths.existing)]
    """Activations that the SAEs read: a store, or a file or folder of arrays."""
    out: Annotated[Path, Argument(metavar="OUT")]
    """Folder of the pooled SAE."""
    at_least: Annotated[int | None, Argument(positive, metavar="N")] = None
    """Pool groups with latents of N SAEs or more; by default of more than half of them."""
    l0: float | None = None
    """Active latents a token; by default as many as the groups' members alone have."""
    tokens: Annotated[int, Argument(positive)] = 65_536
    """Tokens, the first of the store: half to fit, a quarter for the threshold, one to measure."""

    def run(self, console: "Console") -> None:
        """Make it, and print how well it reconstructs."""
        from rich.table import Table

        from ..matching.pool import pool
        from ..sae.activations import open_activations
        from .progress import open_progress

        with open_progress(console) as progress:
            found = pool(
                self.dir,
                open_activations(self.store),
                self.out,
                at_least=self.at_least,
                l0=self.l0,
                tokens=self.tokens,
                progress=progress,
            )
        table = Table("SAE", title="On tokens that were not fitted", title_justify="left")
        for name in ("latents", "L0", "FVU"):
            table.add_column(name, justify="right")
        rows = [("pooled", found["latents"], found["l0"], found["fvu"])]
        for seed in found["seeds"]:
            for way, prefix in _WAYS.items():
                if f"{prefix}fvu" in seed:
                    numbers = (seed[f"{prefix}{what}"] for what in ("latents", "l0", "fvu"))
                    rows.append((f"{seed['name']}{way}", *numbers))
        for name, latents, l0, fvu in rows:
            table.add_row(name, f"{latents:,}", f"{l0:.1f}", f"{fvu:.4f}")
        console.print(table)
        if found["groups_left_out"]:
            console.print(f"{found['groups_left_out']:,} groups were left out: not active enough")
        console.print(f"result: {self.out}", soft_wrap=True)
