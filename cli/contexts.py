"""`twinsae contexts`: the text on which each latent of several SAEs fires."""

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
class Contexts:
    """Collect the text on which each latent of SAEs fires.

    The activations are read once for all SAEs. Writes contexts.npz, with the strongest contexts of
    each latent and random ones, and contexts.json into each SAE's folder, and the text itself, once
    for all SAEs, into the activations' folder. If the model can be loaded, there are also the
    tokens that each latent promotes and suppresses.

    The same command goes on where it was stopped, and leaves alone what it has collected already.
    """

    example: ClassVar[str] = (
        "twinsae contexts runs/gpt2/h.6.mlp/seed* \\\n"
        "    --activations runs/gpt2/activations/h.6.mlp"
    )

    saes: Annotated[tuple[StrPath, ...], Argument(paths.saes, metavar="SAE", positional=True)]
    """SAEs of any format (folder, file or name on the Hub), or folders with several below them."""
    activations: Annotated[Path, Argument(paths.existing)]
    """Activations with their tokens: a store that twinsae harvested."""
    out: Annotated[Path | None, Argument(metavar="DIR")] = None
    """Write DIR/<SAE>/contexts.npz instead; needed for SAEs that are not folders here."""
    corpus: Annotated[Path | None, Argument(metavar="DIR")] = None
    """Folder for the text, for activations whose folder may not be written to."""
    tokens: Annotated[int | None, Argument(positive, metavar="N")] = None
    """Tokens, the first of the activations; by default all."""
    no_logit_lens: bool = False
    """Do not load the model for the tokens that each latent promotes and suppresses."""

    def __post_init__(self) -> None:
        distinct_names(self.places)

    @property
    def places(self) -> list[StrPath]:
        """The paths or names of the single SAEs."""
        return paths.all_saes(self.saes)

    def run(self, console: "Console") -> None:
        """Collect, write the tables, and print a line for each SAE."""
        from ..sae.activations import open_activations
        from ..sae.contexts import collect_contexts
        from .progress import open_progress, plain_lines

        say = plain_lines(console)
        store = open_activations(self.activations)
        with open_progress(console) as progress:
            found = collect_contexts(
                self.places, store, self.out,
                corpus=self.corpus, tokens=self.tokens, lens=not self.no_logit_lens,
                progress=progress, say=say,
            )  # fmt: skip
        for name, contexts in found.items():
            fired = int((contexts.count > 0).sum())
            say(
                f"{name}: {len(contexts.position):,} contexts of {fired:,} latents; "
                f"{len(contexts.count) - fired:,} never fire"
            )
        say(f"tables: contexts.npz in {self.out or 'the folder of each SAE'}")
        say(f"text: corpus.npz in {self.corpus or self.activations}")
