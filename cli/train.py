"""`twinsae train`: activations of a language model, then SAEs of several seeds on them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from ..common.progress import Progress, renamed
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
    """Your own: a file or folder of arrays, or a store; by default made in OUT/activations."""
    max_norm: float | None = None
    """Leave out activations whose norm is over so many times the median."""
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
        elif len(self.harvest.hookpoint) > 1:
            names = " ".join(self.harvest.hookpoint)
            raise ValueError(f"hookpoint: --activations are of one hookpoint, got {names}")
        if self.max_norm is not None and not self.max_norm >= 1:
            raise ValueError(f"max_norm must be at least 1, got {self.max_norm}")

    def run(self, console: "Console") -> None:
        """Harvest what is missing, train, and print one line per seed."""
        from .progress import open_progress
        from .tables import training_table

        with open_progress(console) as progress:
            stores = self.open_stores(progress)
            for hookpoint, store in stores.items():
                named = renamed(progress, after=f" {hookpoint}") if len(stores) > 1 else progress
                self.train_one(hookpoint, store, console, named)
        console.print(training_table(self.out / "log.jsonl"))
        for hookpoint in stores:
            console.print(f"SAEs: {self.out / hookpoint}", soft_wrap=True)

    def train_one(
        self, hookpoint: str, store: "ActivationStore", console: "Console", progress: Progress
    ) -> None:
        """Train on one store, say what it holds, and note that beside the SAEs."""
        from ..sae import train
        from .activations import describe, record

        if self.max_norm is not None:
            store = store.without_outliers(self.max_norm)
        for line in describe(store):
            console.print(f"{hookpoint}: {line}", soft_wrap=True, highlight=False)
        config = self.sae_config(store.d_in)
        train(store, self.out, hookpoint, config, self.training, progress=progress)
        record(store, self.out / hookpoint / "activations.json")

    def open_stores(self, progress: Progress) -> "dict[str, ActivationStore]":
        """Open the given activations, or harvest them; by hookpoint."""
        from ..sae.activations import harvest, open_activations

        if self.activations is not None:
            return {self.harvest.hookpoint[0]: open_activations(self.activations)}
        return harvest(self.harvest, self.out / "activations", progress=progress)

    def sae_config(self, d_in: int) -> SAEConfig:
        """Return the SAEs' configuration for activations of width `d_in`."""
        return SAEConfig(
            d_in=d_in, num_latents=self.latents, expansion_factor=self.expansion_factor, k=self.k
        )
