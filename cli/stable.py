"""`twinsae stable`: which latents come back in other seeds."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from . import paths
from .options import Argument

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Stable:
    """Tell which latents come back in other seeds, and group them.

    Two latents are linked if both matchings, of decoders and of encoders, pair them with cosines
    above 0.7. Writes DIR/stable.npz, one row a latent: in how many other SAEs it is linked, that
    share with its interval, its group and the group's size; and DIR/stable.json.
    """

    example: ClassVar[str] = "twinsae stable runs/gpt2/matches"

    dir: Annotated[Path, Argument(paths.many_matches, metavar="DIR", positional=True)]
    """A folder that `twinsae match-all` wrote, in which every two SAEs are matched."""

    def run(self, console: "Console") -> None:
        """Link the latents, write the table, and print the groups' sizes."""
        from rich.table import Table

        from ..matching.stable import stable_files

        found = stable_files(self.dir)
        table = Table("latents in a group", "groups", title="Groups of linked latents")
        for size, number in found["groups"].items():
            table.add_row(size, f"{number:,}")
        console.print(table)
        console.print(f"a latent comes back in {found['share']:.1%} of the other SAEs on average")
        if found["chains"]:
            share = found["inconsistent"] / found["chains"]
            chains = f"{found['chains']:,} chains of two links"
            console.print(f"{share:.1%} of {chains} have ends that are not linked")
        console.print(f"result: {self.dir / 'stable.npz'}", soft_wrap=True)
