"""`twinsae bench seeds`: times the training of several seeds at once beside each alone."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from ..options import Argument, positive

if TYPE_CHECKING:
    from rich.console import Console

SEEDS = 4


@dataclass(frozen=True)
class BenchSeeds:
    """Time four seeds that train at once beside four runs.

    TopK SAEs of four seeds are trained by one `twinsae train`, and by one for each. Only the steps
    count, not the start of a run and its end.
    """

    example: ClassVar[str] = "twinsae bench seeds --stream --steps 20 --rounds 3"

    shape: Annotated[tuple[int, int, int, int], Argument(positive, metavar="N D L K")] = (
        2048, 576, 20736, 32,
    )  # fmt: skip
    """Sizes: tokens of a step, width, latents, active latents."""
    stream: bool = False
    """Harvest while training, so that D is the model's, and not random stored activations."""
    steps: Annotated[int, Argument(positive)] = 20
    """How many steps are timed."""
    rounds: Annotated[int, Argument(positive)] = 3
    """How often each run is made."""

    def run(self, console: "Console") -> None:
        """Train, and print one table."""
        from ...bench.problem import Shape, in_words
        from ...bench.seeds import ALONE, TOGETHER, bench_seeds
        from .markdown import markdown_table
        from .tables import print_table

        shape = Shape(*self.shape)
        with console.status("training"):
            costs = bench_seeds(shape, SEEDS, self.stream, self.steps, self.rounds)
        alone = costs[ALONE]
        rows = [
            (
                way,
                f"{cost.wall:.2f}",
                f"{cost.processor:.2f}",
                f"{cost.wall / alone.wall:.2f}x",
                f"{cost.processor / alone.processor:.2f}x",
            )
            for way, cost in ((way, costs[way]) for way in (TOGETHER, ALONE))
        ]
        what = f"{SEEDS} seeds, {in_words(shape.sizes)}"
        header = (what, "seconds", "processor seconds", "share", "processor share")
        meaning = (
            f"Seconds: of {self.steps} steps of all seeds, "
            f"{'with' if self.stream else 'without'} harvesting; the median of {self.rounds}. "
            f"Share: of {ALONE}."
        )
        table = markdown_table(header, rows, set(header[1:]))
        print_table(console, f"{table}\n\n{meaning}")
