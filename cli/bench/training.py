"""`twinsae bench training`: times other people's training loops, stock and plugged."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from .. import paths
from ..options import Argument, positive

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class BenchTraining:
    """Time other trainers, plugged and not, or beside our own.

    sparsify, SAELens and dictionary_learning train on the same batches in both ways. "stock" is a
    trainer as it is, and "twinsae" the same trainer with our plug-in. With --beside, "twinsae" is
    our trainer, with the same weights at first, optimiser, schedule and clipping; the last column
    says how far its losses are from theirs.
    """

    example: ClassVar[str] = "twinsae bench training --shape 2048 576 20736 32 --rounds 5"

    activations: Annotated[Path | None, Argument(paths.existing)] = None
    """A .safetensors or .npy file to train on; by default that of runs/demo or random numbers."""
    shape: Annotated[tuple[int, int, int, int] | None, Argument(positive, metavar="N D L K")] = None
    """Sizes (tokens, width, latents, active) instead of the usual ones."""
    rounds: Annotated[int, Argument(positive)] = 5
    """How many steps of each are timed."""
    beside: tuple[
        Literal["topk", "batch_topk", "matryoshka", "relu", "gated", "jumprelu"], ...
    ] = ()
    """Train these architectures by our trainer, and by each peer that has them."""

    def run(self, console: "Console") -> None:
        """Train, and print one table."""
        from ...bench.beside import bench_beside
        from ...bench.contests import CONTESTS
        from ...bench.inputs import STEP_SHAPES
        from ...bench.problem import Shape
        from ...bench.training import bench_training, installed_loops, training_activations
        from .tables import TRAINING_COLUMNS, measurements_table, print_table

        shape = Shape(*self.shape) if self.shape else STEP_SHAPES[-1]
        x, source = training_activations(shape, self.activations)
        peers = installed_loops()
        calls = [
            (contest.peer, partial(bench_beside, contest))
            for contest in CONTESTS
            if contest.job in self.beside and contest.peer in peers
        ]
        if not self.beside:
            calls = [
                (peer, partial(bench_training, peer, auxk))
                for peer in peers
                for auxk in (False, True)
            ]
        measured = []
        for peer, call in calls:
            with console.status(f"training: {peer}"):
                measured.extend(call(x, shape, source, self.rounds))
        print_table(console, measurements_table(measured, TRAINING_COLUMNS))
