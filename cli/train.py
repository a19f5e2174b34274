"""`twinsae train`: activations of a language model, then SAEs of several seeds on them."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from ..common.files import StrPath
from ..common.progress import Progress, renamed
from ..sae import SAEConfig, TrainConfig
from ..sae.activations import HarvestConfig
from ..sae.activations.config import BLOCK_TOKENS
from ..sae.log_to import LogTo, check_installed
from ..sae.train_config import check_optimizer, check_settings
from . import paths
from .engines import Engines
from .options import Argument
from .shapes import Shapes

if TYPE_CHECKING:
    from rich.console import Console

    from ..sae import Start
    from ..sae.activations import ActivationStore, BatchSource, StoredBatches
    from ..sae.training import HeldOut, Job, Ranks
    from .training_view import TrainingView


@dataclass(frozen=True)
class Train:
    """Train SAEs of several seeds on one stream of activations.

    The same command continues a run that was stopped, to the same bits. More seeds can be added
    to a finished run. With --gpus or --ray activations are harvested there, in parts; what comes
    after runs in this process.
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
    """Begin one seed with this SAE, a path or a name on the Hub, not with random weights."""
    target: str = ""
    """Train transcoders: from a hookpoint's output they reconstruct that of this module."""
    target_activations: Annotated[Path | None, Argument(paths.existing)] = None
    """With --activations and --target: those to reconstruct, of the same tokens, row by row."""
    stream: bool = False
    """Harvest while training, and store nothing: where activations do not fit on the disk."""
    block_tokens: int = BLOCK_TOKENS
    """With --stream: tokens that are shuffled together, of which two blocks are in memory."""
    shared: Path | None = None
    """Folder of activations that runs share, in place of OUT/activations."""
    shard: Annotated[paths.Shard | None, Argument(paths.shard, metavar="I/N")] = None
    """Only harvest part I of N of the activations, for N jobs that share OUT, and train nothing:
    without --shard the same command trains."""
    held_out: Annotated[Path | None, Argument(paths.existing)] = None
    """Activations to measure on, which are not trained on: a store, a file of arrays, or a folder
    with one of each hookpoint."""
    evaluate_every: int = 1000
    """With --held-out: steps between two measurements."""
    log_to: tuple[LogTo, ...] = ()
    """Show the log there, too: in OUT/tensorboard, or in a run of wandb. Needs the package."""
    engines: Engines = field(default_factory=Engines)
    data_parallel: bool = False
    """With torchrun: all processes train each SAE together; by default each trains some of them."""
    shapes: Shapes = field(default_factory=Shapes)
    harvest: HarvestConfig = field(default_factory=HarvestConfig)
    training: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        """Raise for what is wrong whatever the activations are, before they are harvested."""
        check_installed(self.log_to)
        check_optimizer(self.training)
        if self.start is not None and len(self.training.seeds) > 1:
            raise ValueError(
                "seeds: with --start all become the same SAE: give one, such as --seeds 0"
            )
        if self.start is not None and self.shapes.number > 1:
            raise ValueError("start: one SAE begins with it: give one --architecture and one --k")
        if self.start is None:
            shapes = self.shapes.variants(1, 1 if self.target else 0, self.training)
            for sae, config in shapes.values():
                check_settings(sae, config)
        self._check_stores()
        if self.activations is None:
            paths.check_harvest(self.harvest, self.out / "activations")
        elif len(self.harvest.hookpoint) > 1:
            names = " ".join(self.harvest.hookpoint)
            raise ValueError(f"hookpoint: --activations are of one hookpoint, got {names}")
        if self.max_norm is not None and not self.max_norm >= 1:
            raise ValueError(f"max_norm must be at least 1, got {self.max_norm}")

    def _check_stores(self) -> None:
        if self.target_activations is not None and not (self.activations and self.target):
            raise ValueError("target_activations: only with --activations and --target")
        if self.activations is not None and self.target and self.target_activations is None:
            raise ValueError("target_activations: --activations and --target need them, too")
        if self.stream and (self.activations or self.shared or self.max_norm is not None):
            raise ValueError("stream: not with --activations, --shared or --max-norm")
        if self.shard is not None and (self.activations or self.stream):
            raise ValueError("shard: it is of a harvest: not with --activations or --stream")
        others = self.activations or self.stream or self.shared or self.shard
        if self.engines.is_parallel and others:
            raise ValueError(
                "gpus, ray: a harvest into OUT: not with --activations, --stream, --shared, --shard"
            )
        if self.shapes.skip_connection and not self.target:
            raise ValueError("skip_connection: only transcoders have one, which need --target")
        if self.target in self.harvest.hookpoint:
            raise ValueError(f"target: {self.target} is the hookpoint itself")

    def run(self, console: "Console") -> None:
        """Harvest what is missing, train, and print one line per SAE."""
        if self.shard is not None:
            self._harvest_part(self.shard, console)
            return
        from ..common.devices import check_device
        from ..sae import open_start
        from ..sae.training import open_ranks
        from .tables import training_table
        from .training_view import open_training_view, unseen

        check_device(self.training.device)
        with open_ranks(self.training.device) as ranks, ExitStack() as stack:
            if self.engines.is_parallel:
                ranks.on_first(lambda: self._harvest_elsewhere(console))
            if ranks.first:
                view = stack.enter_context(open_training_view(console, self.out, self.log_to))
            else:
                console, view = unseen()
            start = None
            if self.start is not None:
                open_it = partial(open_start, self.start, progress=view.progress)
                start = ranks.on_first(open_it) or open_it()  # the first one downloads it
            if self.stream:
                hookpoints = self._train_on_stream(start, console, view, ranks)
            else:
                hookpoints = self._train_on_stores(start, console, view, ranks)
        console.print(training_table(self.out))
        for hookpoint in hookpoints:
            console.print(f"SAEs: {self.out / hookpoint}", soft_wrap=True)

    def _train_on_stream(
        self, start: "Start | None", console: "Console", view: "TrainingView", ranks: "Ranks"
    ) -> list[str]:
        from ..sae.activations import ActivationStream
        from ..sae.training import share_batches

        open_stream = partial(
            ActivationStream, self._harvest(), block_tokens=self.block_tokens,
            progress=view.progress, say=_say(console),
        )  # fmt: skip
        with ExitStack() as stack:
            stream = ranks.on_first(lambda: stack.enter_context(open_stream()))
            source = share_batches(ranks, stream)
            read = [name for name in source.widths if name != self.target]
            self._train(source, read, start, console, view, ranks)
        return read

    def _train_on_stores(
        self, start: "Start | None", console: "Console", view: "TrainingView", ranks: "Ranks"
    ) -> list[str]:
        """Train on one hookpoint after another, and note beside the SAEs what its store holds."""
        from ..sae.training import share_batches
        from .activations import record

        stores = ranks.on_first(lambda: self._open_stores(console, view.progress)) or {}
        read = ranks.from_first([name for name in stores if name != self.target])
        for hookpoint in read:
            batches = ranks.on_first(partial(self._batches, stores, hookpoint, console))
            named = view
            if len(read) > 1:
                named = view._replace(progress=renamed(view.progress, after=f" {hookpoint}"))
            source = share_batches(ranks, batches)
            self._train(source, [hookpoint], start, console, named, ranks)
            if batches is not None:
                record(batches.stores[hookpoint], self.out / hookpoint / "activations.json")
        return read

    def _batches(
        self, stores: "Mapping[str, ActivationStore]", hookpoint: str, console: "Console"
    ) -> "StoredBatches":
        from ..sae.activations import StoredBatches
        from .activations import describe

        names = [hookpoint, self.target] if self.target else [hookpoint]
        batches = StoredBatches({name: stores[name] for name in names})
        if self.max_norm is not None:
            batches = batches.without_outliers(self.max_norm)
        for name, store in batches.stores.items():
            for line in describe(store):
                console.print(f"{name}: {line}", soft_wrap=True, highlight=False)
        return batches

    def _train(
        self,
        source: "BatchSource",
        hookpoints: Sequence[str],
        start: "Start | None",
        console: "Console",
        view: "TrainingView",
        ranks: "Ranks",
    ) -> None:
        from ..sae.training import Job, train_many
        from .stopping import StopRequest

        jobs = [
            Job(hookpoint, sae, config, seed, f"{hookpoint}/{folder}seed{seed}", self.target)
            for hookpoint in hookpoints
            for folder, (sae, config) in self._variants(source.widths, hookpoint, start).items()
            for seed in config.seeds
        ]
        with StopRequest(console) as stop:
            train_many(
                source, self.out, jobs, start=start, progress=view.progress, stop=stop,
                on_log=view.on_log, held_out=self._open_held_out(jobs), ranks=ranks,
                data_parallel=self.data_parallel,
            )  # fmt: skip

    def _open_held_out(self, jobs: "Sequence[Job]") -> "HeldOut | None":
        from ..sae.activations import open_activations
        from ..sae.training import HeldOut

        if self.held_out is None:
            return None
        names = sorted({name for job in jobs for name in job.hookpoints})
        folders = {name: self.held_out / name for name in names}
        if len(names) == 1 and not folders[names[0]].exists():
            folders[names[0]] = self.held_out
        stores = {name: open_activations(folder) for name, folder in folders.items()}
        return HeldOut(stores, self.evaluate_every)

    def _variants(
        self, widths: Mapping[str, int], hookpoint: str, start: "Start | None"
    ) -> dict[str, tuple[SAEConfig, TrainConfig]]:
        d_out = widths[self.target] if self.target else 0
        return self.shapes.variants(widths[hookpoint], d_out, self.training, start)

    def _harvest(self) -> HarvestConfig:
        """Return what is to be collected: for a transcoder, its target, too."""
        if not self.target:
            return self.harvest
        return replace(self.harvest, hookpoint=(*self.harvest.hookpoint, self.target))

    def _open_stores(self, console: "Console", progress: Progress) -> "dict[str, ActivationStore]":
        """Open the given activations, or harvest them; by hookpoint."""
        from ..sae.activations import open_activations

        if self.activations is not None:
            (hookpoint,) = self.harvest.hookpoint
            stores = {hookpoint: open_activations(self.activations)}
            if self.target_activations is not None:
                stores[self.target] = open_activations(self.target_activations)
            return stores
        return self._collect((1, 1), _say(console), progress)

    def _harvest_part(self, part: paths.Shard, console: "Console") -> None:
        """Harvest one part of the activations, and say what is there."""
        from .progress import open_progress

        with open_progress(console) as progress:
            stores = self._collect(part, _say(console), progress)
        for name, store in stores.items():
            _say(console)(f"{name}: all {store.rows:,} activations are there, in {store.path}")

    def _harvest_elsewhere(self, console: "Console") -> None:
        """Harvest in other processes, so that what comes after finds the activations there."""
        from ..sae.activations import harvest_tasks

        folder = self.out / "activations"
        tasks = harvest_tasks(self._harvest(), folder, self.engines.workers)
        failed = self.engines.run(console, tasks, folder).failed
        if failed:
            raise ValueError("; ".join(f"{name}: {reason}" for name, reason in failed.items()))

    def _collect(
        self, part: tuple[int, int], say: Callable[[str], None], progress: Progress
    ) -> "dict[str, ActivationStore]":
        from ..sae.activations import harvest, harvest_shared

        if self.shared is not None:
            return harvest_shared(
                self._harvest(), self.shared, shard=part, progress=progress, say=say
            )
        folder = self.out / "activations"
        return harvest(self._harvest(), folder, shard=part, progress=progress, say=say)


def _say(console: "Console") -> Callable[[str], None]:
    return lambda line: console.print(line, soft_wrap=True, highlight=False)
