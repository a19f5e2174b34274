"""`twinsae train`: activations of a language model, then SAEs of several seeds on them."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from ..common.files import StrPath
from ..common.progress import Progress, renamed
from ..sae import SAEConfig, TrainConfig
from ..sae.activations import HarvestConfig
from . import paths
from .options import Argument

if TYPE_CHECKING:
    from rich.console import Console

    from ..sae import Start
    from ..sae.activations import ActivationStore

_K = 32  # active latents per token


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
    start: Annotated[StrPath | None, Argument(paths.sae, metavar="SAE")] = None
    """Begin one seed with this TopK SAE, a path or a name on the Hub, not with random weights."""
    latents: int = 0
    """Latents of each SAE; 0: as --start, or --expansion-factor times the width."""
    expansion_factor: int = 32
    """Latents per dimension of the activations, where neither --latents nor --start tells."""
    k: int | None = None
    """Active latents per token; by default those of --start, or 32."""
    harvest: HarvestConfig = field(default_factory=HarvestConfig)
    training: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        """Raise for what is wrong whatever the activations are, before they are harvested."""
        k = self.k if self.k is not None else _K if self.start is None else 1
        SAEConfig(1, self.latents or max(k, 1), self.expansion_factor, k)
        if self.start is not None and len(self.training.seeds) > 1:
            raise ValueError(
                "seeds: with --start all become the same SAE: give one, such as --seeds 0"
            )
        if self.activations is None:
            paths.check_harvest(self.harvest, self.out / "activations")
        elif len(self.harvest.hookpoint) > 1:
            names = " ".join(self.harvest.hookpoint)
            raise ValueError(f"hookpoint: --activations are of one hookpoint, got {names}")
        if self.max_norm is not None and not self.max_norm >= 1:
            raise ValueError(f"max_norm must be at least 1, got {self.max_norm}")

    def run(self, console: "Console") -> None:
        """Harvest what is missing, train, and print one line per seed."""
        from ..sae import open_start
        from ..sae.training.device import check_device
        from .progress import open_progress
        from .tables import training_table

        check_device(self.training.device)
        with open_progress(console) as progress:
            start = None if self.start is None else open_start(self.start, progress=progress)
            stores = self.open_stores(progress)
            for hookpoint, store in stores.items():
                named = renamed(progress, after=f" {hookpoint}") if len(stores) > 1 else progress
                self.train_one(hookpoint, store, start, console, named)
        console.print(training_table(self.out / "log.jsonl"))
        for hookpoint in stores:
            console.print(f"SAEs: {self.out / hookpoint}", soft_wrap=True)

    def train_one(
        self,
        hookpoint: str,
        store: "ActivationStore",
        start: "Start | None",
        console: "Console",
        progress: Progress,
    ) -> None:
        """Train on one store, say what it holds, and note that beside the SAEs."""
        from ..sae import train
        from .activations import describe, record

        if self.max_norm is not None:
            store = store.without_outliers(self.max_norm)
        for line in describe(store):
            console.print(f"{hookpoint}: {line}", soft_wrap=True, highlight=False)
        config = self.sae_config(store.d_in, start)
        train(store, self.out, hookpoint, config, self.training, start=start, progress=progress)
        record(store, self.out / hookpoint / "activations.json")

    def open_stores(self, progress: Progress) -> "dict[str, ActivationStore]":
        """Open the given activations, or harvest them; by hookpoint."""
        from ..sae.activations import harvest, open_activations

        if self.activations is not None:
            return {self.harvest.hookpoint[0]: open_activations(self.activations)}
        return harvest(self.harvest, self.out / "activations", progress=progress)

    def sae_config(self, d_in: int, start: "Start | None") -> SAEConfig:
        """Return the SAEs' configuration for activations of width `d_in`.

        Raises:
            ValueError: --latents are not those of the SAE to start with.
        """
        if start is None:
            k = _K if self.k is None else self.k
            return SAEConfig(d_in, self.latents, self.expansion_factor, k)
        if self.latents not in (0, start.config.num_latents):
            raise ValueError(
                f"latents: {self.start} has {start.config.num_latents:,}, got {self.latents:,}"
            )
        return start.config if self.k is None else replace(start.config, k=self.k)
