"""`twinsae bench training`: times other people's training loops, stock and plugged."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from .. import paths
from ..options import Argument, positive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from torch import Tensor

    from ...bench.problem import Shape


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
        Literal[
            "topk", "topk_auxk", "groupmax", "batch_topk", "matryoshka", "relu", "relu_unit_norm",
            "gated", "jumprelu", "jumprelu_tanh",
        ], ...
    ] = ()  # fmt: skip
    """Train these architectures by our trainer, and by each peer that has them."""
    few: bool = False
    """With --beside: only relu, gated and jumprelu, with one latent in 50 active, as in later
    training, and not half of them, as in the first steps."""
    losses: bool = False
    """With --beside: compare the losses of --rounds steps, and what was learned, not the times."""

    def __post_init__(self) -> None:
        """Raise for settings that do not fit one another."""
        for name in ("few", "losses"):
            if getattr(self, name) and not self.beside:
                raise ValueError(f"{name}: only with --beside, such as --beside relu")
        if self.few and self.losses:
            raise ValueError("few: not with --losses")

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
        if self.losses:
            self._compare_losses(console, x, shape, peers)
            return
        calls = [
            (contest.peer, partial(bench_beside, contest, few=self.few))
            for contest in CONTESTS
            if contest.job in self.beside and contest.peer in peers
            if not (self.few and contest.has_k)
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

    def _compare_losses(
        self, console: "Console", x: "Tensor", shape: "Shape", peers: "Sequence[str]"
    ) -> None:
        from ...bench.contests import CONTESTS, OTHER_LOSSES
        from ...bench.losses import compare
        from .losses import losses_table
        from .tables import print_table

        found = []
        for contest in (*CONTESTS, *OTHER_LOSSES):
            if contest.job in self.beside and contest.peer in peers:
                with console.status(f"training: {contest.job}, {contest.peer}"):
                    found.append(compare(contest, x, shape, self.rounds))
        print_table(console, losses_table(found))
