"""`twinsae sweep`: a grid of SAEs, each trained, counted, matched and drawn."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from ..common.packages import need
from . import paths
from .engines import Engines
from .options import Argument

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Sweep:
    """Train and match a whole grid of SAEs.

    The grid says what all SAEs have in common, and which factors each series varies. Activations
    are harvested once for each model, text and module, SAEs that see the same batches are trained
    in one pass, latents' firing is counted, seeds are matched, and figures are drawn. The same
    command goes on where it was stopped, skips what is done, and tries again what failed.
    """

    example: ClassVar[str] = "twinsae sweep paper-mini --out runs/paper-mini --dry-run"

    grid: Annotated[Path, Argument(paths.grid, metavar="GRID", positional=True)]
    """A grid's file, or the name of one that comes with twinsae: see the manual's page Sweeps."""
    out: Annotated[Path, Argument(metavar="OUT")]
    """Folder for everything."""
    shard: Annotated[paths.Shard | None, Argument(paths.shard, metavar="I/N")] = None
    """Run only part I of N of the tasks, for N jobs that share OUT; by default all."""
    dry_run: bool = False
    """Say which tasks there are and what they take, and run none."""
    engines: Engines = field(default_factory=Engines)

    def __post_init__(self) -> None:
        if not self.dry_run:
            need("the report of a sweep", "jinja2", "matplotlib")

    def run(self, console: "Console") -> None:
        """Run what is missing, sum up, and draw.

        Raises:
            ValueError: some tasks failed; all others that could run did.
        """
        from ..sweep import Sweep as Tasks
        from ..sweep import plan, read_grid
        from .progress import plain_lines
        from .stopping import StopRequest
        from .sweep_tables import outcome_table, plan_table

        say = plain_lines(console)
        sweep = Tasks(
            read_grid(self.grid),
            self.out,
            shard=self.shard or (1, 1),
            workers=self.engines.workers,
        )
        found = plan(sweep)
        console.print(plan_table(found))
        if self.dry_run:
            return
        from ..sweep import finish  # here, as a dry run draws nothing

        found.check()
        with StopRequest(console) as stop:
            left = sum(kind.left for kind in found.kinds)
            outcome = self.engines.run(console, sweep.tasks, self.out, left=left, stop=stop)
        page = finish(sweep, say)
        if page is not None:
            say(f"report: {page}")
        console.print(f"{len(outcome.done):,} of {len(sweep.tasks):,} tasks are done")
        if outcome.failed or outcome.waiting:
            console.print(outcome_table(outcome))
        if outcome.failed:
            raise ValueError(
                f"{len(outcome.failed):,} tasks failed; the same command tries them again"
            )
