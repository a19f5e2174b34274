"""`twinsae train`: activations of a language model, then SAEs of several seeds on them."""

from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from ..common.files import StrPath
from ..common.progress import Progress, renamed
from ..sae import SAEConfig, TrainConfig
from ..sae.activations import HarvestConfig
from ..sae.config import Activation, Trained
from ..sae.log_to import LogTo, check_installed
from ..sae.train_config import check_settings, only_its_own
from . import paths
from .options import Argument

if TYPE_CHECKING:
    from rich.console import Console

    from ..sae import Start
    from ..sae.activations import ActivationStore
    from .training_view import TrainingView

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
    architecture: tuple[Trained, ...] = ()
    """How latents become active; by default as in --start, or topk. Several train side by side.
    relu, gated and jumprelu need --sparsity."""
    start: Annotated[StrPath | None, Argument(paths.sae, metavar="SAE")] = None
    """Begin one seed with this SAE, a path or a name on the Hub, not with random weights."""
    latents: tuple[int, ...] = (0,)
    """Latents of each SAE; 0: as --start, or --expansion-factor times the width. Several: one SAE
    of each size."""
    expansion_factor: int = 32
    """Latents per dimension of the activations, where neither --latents nor --start tells."""
    k: tuple[int, ...] = ()
    """Active latents per token, on average for batch_topk; by default those of --start, or 32.
    Several: one SAE for each."""
    prefixes: tuple[int, ...] = ()
    """Matryoshka: sizes of the nested dictionaries, up to the number of latents."""
    normalize_decoder: bool = True
    """Keep the decoder's rows at unit norm. With no, penalties count latents by these norms."""
    log_to: tuple[LogTo, ...] = ()
    """Show the log there, too: in OUT/tensorboard, or in a run of wandb. Needs the package."""
    harvest: HarvestConfig = field(default_factory=HarvestConfig)
    training: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        """Raise for what is wrong whatever the activations are, before they are harvested."""
        check_installed(self.log_to)
        if self.start is not None and len(self.variants(1)) * len(self.training.seeds) > 1:
            raise ValueError(
                "seeds: with --start all become the same SAE: give one seed, such as --seeds 0, "
                "one --architecture, --latents and --k"
            )
        if self.start is None:
            for sae, config in self.variants(1).values():
                check_settings(sae, config)
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
        from .tables import training_table
        from .training_view import open_training_view

        check_device(self.training.device)
        with open_training_view(console, self.out, self.log_to) as view:
            progress = view.progress
            start = None if self.start is None else open_start(self.start, progress=progress)
            stores = self.open_stores(progress)
            for hookpoint, store in stores.items():
                named = renamed(progress, after=f" {hookpoint}") if len(stores) > 1 else progress
                self.train_one(hookpoint, store, start, console, view._replace(progress=named))
        console.print(training_table(self.out))
        for hookpoint in stores:
            console.print(f"SAEs: {self.out / hookpoint}", soft_wrap=True)

    def train_one(
        self,
        hookpoint: str,
        store: "ActivationStore",
        start: "Start | None",
        console: "Console",
        view: "TrainingView",
    ) -> None:
        """Train on one store, say what it holds, and note that beside the SAEs."""
        from ..sae.training import Job, OneStore, train_many
        from .activations import describe, record
        from .stopping import StopRequest

        if self.max_norm is not None:
            store = store.without_outliers(self.max_norm)
        for line in describe(store):
            console.print(f"{hookpoint}: {line}", soft_wrap=True, highlight=False)
        jobs = [
            Job(hookpoint, sae, config, seed, f"{hookpoint}/{folder}seed{seed}")
            for folder, (sae, config) in self.variants(store.d_in, start).items()
            for seed in config.seeds
        ]
        source = OneStore(hookpoint, store)
        with StopRequest(console) as stop:
            train_many(
                source, self.out, jobs,
                start=start, progress=view.progress, stop=stop, on_log=view.on_log,
            )  # fmt: skip
        record(store, self.out / hookpoint / "activations.json")

    def open_stores(self, progress: Progress) -> "dict[str, ActivationStore]":
        """Open the given activations, or harvest them; by hookpoint."""
        from ..sae.activations import harvest, open_activations

        if self.activations is not None:
            return {self.harvest.hookpoint[0]: open_activations(self.activations)}
        return harvest(self.harvest, self.out / "activations", progress=progress)

    def variants(
        self, d_in: int, start: "Start | None" = None
    ) -> dict[str, tuple[SAEConfig, TrainConfig]]:
        """Return the SAEs to train for activations of width `d_in`, each for all seeds.

        Returns:
            Shape and settings by the folder that tells one from the others; "" where there is one.

        Raises:
            ValueError: --latents are not those of the SAE to start with, or settings do not fit.
        """
        kinds: tuple[Activation, ...] = self.architecture or ("topk",)
        ks = self.k or (_K,)
        if start is not None:
            kinds = self.architecture or (start.config.activation,)
            ks = self.k or (start.config.k,)
        found = {}
        for kind, latents, k in product(kinds, self.latents, ks):
            sae = self._shape(d_in, kind, latents, k, start)
            parts = [
                kind if len(kinds) > 1 else "",
                f"{sae.num_latents}" if len(self.latents) > 1 else "",
                f"k{sae.k}" if sae.k and len(ks) > 1 else "",
            ]
            folder = "-".join(part for part in parts if part)
            config = only_its_own(kind, self.training) if len(kinds) > 1 else self.training
            found[f"{folder}/" if folder else ""] = sae, config
        return found

    def _shape(
        self, d_in: int, kind: Activation, latents: int, k: int, start: "Start | None"
    ) -> SAEConfig:
        if start is None:
            if d_in == 1 and not latents:  # the width is not known yet
                latents = self.prefixes[-1] if self.prefixes else max(k, 1)
            return SAEConfig(
                d_in, latents, self.expansion_factor, k, activation=kind,
                prefixes=self.prefixes, normalize_decoder=self.normalize_decoder,
            )  # fmt: skip
        if latents not in (0, start.config.num_latents):
            raise ValueError(
                f"latents: {self.start} has {start.config.num_latents:,}, got {latents:,}"
            )
        return replace(start.config, activation=kind, k=k)
