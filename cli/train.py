"""`twinsae train`: activations of a language model, then SAEs of several seeds on them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from ..common.progress import Progress
from ..sae import SAEConfig, TrainConfig
from ..sae.activations import HarvestConfig
from . import paths
from .options import Argument

if TYPE_CHECKING:
    from rich.console import Console

    from ..sae.activations import ActivationStore


@dataclass(frozen=True)
class Train:
    """Train SAEs of several seeds on one stream of activations.

    The same command continues a run that was stopped, to the same bits. More seeds can be added
    to a finished run.
    """

    example: ClassVar[str] = (
        "twinsae train --out runs/gpt2 --model openai-community/gpt2 \\\n"
        "    --hookpoint h.6.mlp --text hf:stas/openwebtext-10k --tokens 1_000_000"
    )

    out: Annotated[Path, Argument(metavar="OUT")]
    """Folder of the run: OUT/<hookpoint>/seed<N>/ for each seed, and OUT/log.jsonl."""
    activations: Annotated[Path | None, Argument(paths.existing)] = None
    """A store, or one .safetensors or .npy file; by default harvested into OUT/activations."""
    latents: int = 0
    """Latents of each SAE; 0 is --expansion-factor times the width of the activations."""
    expansion_factor: int = 32
    """Latents per dimension of the activations, where --latents is 0."""
    k: int = 32
    """Active latents per token."""
    harvest: HarvestConfig = field(default_factory=HarvestConfig)
    training: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        """Raise for what is wrong whatever the activations are, before they are harvested."""
        SAEConfig(1, self.latents or max(self.k, 1), self.expansion_factor, self.k)
        if self.activations is None:
            paths.check_harvest(self.harvest, self.out / "activations")

    def run(self, console: "Console") -> None:
        """Harvest what is missing, train, and print one line per seed."""
        from ..sae import train
        from .progress import open_progress
        from .tables import training_table

        with open_progress(console) as progress:
            store = self.open_store(progress)
            train(
                store,
                self.out,
                self.harvest.hookpoint,
                self.sae_config(store.d_in),
                self.training,
                progress=progress,
            )
        console.print(training_table(self.out / "log.jsonl"))
        console.print(f"SAEs: {self.out / self.harvest.hookpoint}", soft_wrap=True)

    def open_store(self, progress: Progress) -> "ActivationStore":
        """Open the given activations, or harvest them."""
        from ..sae.activations import harvest, open_activations

        if self.activations is not None:
            return open_activations(self.activations)
        return harvest(self.harvest, self.out / "activations", progress=progress)

    def sae_config(self, d_in: int) -> SAEConfig:
        """Return the SAEs' configuration for activations of width `d_in`."""
        return SAEConfig(
            d_in=d_in, num_latents=self.latents, expansion_factor=self.expansion_factor, k=self.k
        )
