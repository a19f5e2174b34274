"""`twinsae chain`: what becomes of latents over layers or training steps."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from . import paths
from .options import Argument

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Chain:
    """Follow latents through matches of SAEs over layers or steps.

    Each match must go on where the one before ends: its first SAE is the other's second. A latent
    goes to its partner, that one to its own, and so on; it survives as long as each cosine on the
    way is above the threshold. Writes OUT/chain-<side>.npz, one row a step and latent, and the same
    name with .json.
    """

    example: ClassVar[str] = (
        "twinsae chain runs/steps/step1000--step2000 runs/steps/step2000--step3000 \\\n"
        "    --out runs/steps"
    )

    matches: Annotated[
        tuple[Path, ...], Argument(paths.match_folder, metavar="MATCH...", positional=True)
    ]
    """Folders that `twinsae match` wrote, in order."""
    out: Annotated[Path, Argument(metavar="OUT")]
    """Folder for the table."""
    side: Literal["decoder", "encoder"] = "decoder"
    """Whose matching and cosines."""
    threshold: float = 0.7
    """A latent survives while its cosines are above it."""

    def run(self, console: "Console") -> None:
        """Follow the latents, write the table, and print each step's shares."""
        from rich.table import Table

        from ..matching.chain import chain, save_chain

        found = chain(self.matches, side=self.side, threshold=self.threshold)
        file = self.out / f"chain-{self.side}.npz"
        save_chain(found, file, self.matches, side=self.side, threshold=self.threshold)
        names = {"survived": "survived", "cosine": "cosine with the step before",
                 "to_first": "cosine with the first", "mse": "folded MSE"}  # fmt: skip
        table = Table("step", title=f"{self.side}s, over the latents that survived")
        for label in names.values():
            table.add_column(label, justify="right")
        for step in found.steps():
            told = (f"{step[name]:.4g}" if name in step else "" for name in names)
            table.add_row(f"{step['step']}", *told)
        console.print(table)
        console.print(f"result: {file}", soft_wrap=True)
