"""`twinsae substitute`: what is lost where latents are replaced by their partners."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from ..sae.activations import HarvestConfig
from ..sae.activations.sources import BUILTIN, check_model, check_text
from . import paths
from .options import Argument, positive

if TYPE_CHECKING:
    from rich.console import Console

_CONTEXT = 64  # tokens in a sequence: the model runs over each one hundreds of times


@dataclass(frozen=True)
class Substitute:
    """Replace latents by their partners, and measure what is lost.

    For each latent of the match's first SAE: the change of its FVU if the latent's direction, or
    its activation, is replaced by that of its partner, of its greedy partner, of the latent of the
    largest cosine, and of a random one. Then many latents at once, by falling cosine.

    With --model and --hookpoint, also what the language model loses: by single latents of all
    cosines, and by many at once. Give text that the SAEs were not trained on.
    """

    example: ClassVar[str] = (
        "twinsae substitute runs/a/match --store runs/gpt2/activations/h.6.mlp \\\n"
        "    --model openai-community/gpt2 --hookpoint h.6.mlp --text heldout.txt"
    )

    match: Annotated[Path, Argument(paths.match_folder, metavar="MATCH_DIR", positional=True)]
    """Folder that twinsae match wrote, with the matching of the decoders."""
    store: Annotated[Path, Argument(paths.existing)]
    """Activations that both SAEs read: a store, or a file or folder of arrays."""
    tokens: Annotated[int, Argument(positive)] = 8192
    """Tokens, the first of the store; they are held in memory."""
    by_activations: Annotated[Path | None, Argument(paths.existing, metavar="FILE")] = None
    """Another matching of the two, to compare: an .npz file with rows and cols."""
    model: str | None = None
    """Hugging Face id or folder, a .gguf file, or smollm2-135m: the model to run."""
    hookpoint: str | None = None
    """With --model: the module whose output the SAEs read and replace, from the base model."""
    text: str = BUILTIN
    """With --model: builtin (Python's documentation), a text file or folder, or hf:NAME."""
    text_tokens: Annotated[int, Argument(positive)] = 2048
    """With --model: tokens of the text, in sequences of 64."""
    seed: int = 0
    """Of the random partners, and of the draw of single latents."""
    out: Annotated[Path | None, Argument(metavar="DIR")] = None
    """Folder for the tables; by default MATCH_DIR."""

    def __post_init__(self) -> None:
        """Raise for what is wrong before anything is loaded."""
        if (self.model is None) != (self.hookpoint is None):
            raise ValueError("expected --model and --hookpoint, or neither")
        if self.seed < 0:
            raise ValueError(f"seed: expected 0 or more, got {self.seed}")
        config = self.harvest
        if config is not None:
            check_model(config.model)
            check_text(config.text)

    @property
    def harvest(self) -> HarvestConfig | None:
        """How the model of `--model` is used, if there is one."""
        if self.model is None:
            return None
        return HarvestConfig(
            model=self.model,
            hookpoint=(self.hookpoint or "",),
            text=self.text,
            tokens=self.text_tokens,
            context=_CONTEXT,
        )

    def run(self, console: "Console") -> None:
        """Measure, write the tables, and print what was found."""
        from ..matching.substitution.files import substitute
        from ..sae.activations import open_activations
        from .progress import open_progress
        from .substitution_tables import tables

        out = self.out or self.match
        with open_progress(console) as progress:
            found = substitute(
                self.match,
                open_activations(self.store),
                out,
                tokens=self.tokens,
                by_activations=self.by_activations,
                model=self.harvest,
                seed=self.seed,
                progress=progress,
            )
        for table in tables(found):
            console.print(table)
        console.print(f"result: {out}", soft_wrap=True)
