"""`twinsae bench training`: times other people's training loops, stock and plugged."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from .. import paths
from ..options import Argument, positive

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class BenchTraining:
    """Time other people's trainers, with and without our plug-ins.

    sparsify, SAELens and dictionary_learning train on the same batches in both ways. "stock" is a
    trainer as it is, and "twinsae" the same trainer with our plug-in.
    """

    example: ClassVar[str] = "twinsae bench training --shape 2048 576 20736 32 --rounds 5"

    activations: Annotated[Path | None, Argument(paths.existing)] = None
    """A .safetensors or .npy file to train on; by default that of runs/demo or random numbers."""
    shape: Annotated[tuple[int, int, int, int] | None, Argument(positive, metavar="N D L K")] = None
    """Sizes (tokens, width, latents, active) instead of the usual ones."""
    rounds: Annotated[int, Argument(positive)] = 5
    """How many steps of each are timed."""

    def run(self, console: "Console") -> None:
        """Train, and print one table."""
        from ...bench.inputs import STEP_SHAPES
        from ...bench.problem import Shape
        from ...bench.training import bench_training, installed_loops, training_activations
        from .tables import TRAINING_COLUMNS, measurements_table, print_table

        shape = Shape(*self.shape) if self.shape else STEP_SHAPES[-1]
        x, source = training_activations(shape, self.activations)
        measured = []
        for peer in installed_loops():
            for auxk in (False, True):
                with console.status(f"training: {peer}"):
                    own = bench_training(peer, auxk, x, shape, source, self.rounds)
                measured.extend(own)
        print_table(console, measurements_table(measured, TRAINING_COLUMNS))
