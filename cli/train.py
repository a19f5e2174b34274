"""`twinsae train`: activations of a language model, then SAEs of several seeds on them."""

from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from ..common.progress import Progress
from ..sae import SAEConfig, TrainConfig, train
from ..sae.activations import ActivationStore, HarvestConfig, harvest, open_activations
from .progress import open_progress
from .tables import training_table


@dataclass(frozen=True)
class Train:
    """Train SAEs of several seeds on one stream of activations.

    The same command continues a run that was stopped, to the same bits; more seeds can be added
    to a finished run.
    """

    out: Path
    """Folder of the run: OUT/<hookpoint>/seed<N>/ for each seed, and OUT/log.jsonl."""
    activations: Path | None = None
    """A store, or one .safetensors or .npy file; None: harvest them into OUT/activations."""
    latents: int = 0
    """Latents of each SAE; 0 means d_in times the expansion factor."""
    expansion_factor: int = 32
    """Latents per dimension of the activations, where --latents is 0."""
    k: int = 32
    """Active latents per token."""
    harvest: HarvestConfig = field(default_factory=HarvestConfig)
    training: TrainConfig = field(default_factory=TrainConfig)

    def run(self, console: Console) -> None:
        """Harvest what is missing, train, and print one line per seed."""
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

    def open_store(self, progress: Progress) -> ActivationStore:
        """Open the given activations, or harvest them."""
        if self.activations is not None:
            return open_activations(self.activations)
        return harvest(self.harvest, self.out / "activations", progress=progress)

    def sae_config(self, d_in: int) -> SAEConfig:
        """Return the SAEs' configuration for activations of width `d_in`."""
        return SAEConfig(
            d_in=d_in, num_latents=self.latents, expansion_factor=self.expansion_factor, k=self.k
        )
