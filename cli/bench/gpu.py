"""`twinsae bench gpu`: checks and times every kernel on a GPU, in stages."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from ...bench.gpu.stages import MINUTES, STAGES, Stage
from ..options import Argument

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class BenchGpu:
    """Check and time every kernel on a GPU, in stages.

    It needs an NVIDIA GPU. Each stage is a process of its own, and what was measured stays whatever
    ends it. The folder OUT gets each step (steps.jsonl), all results (gpu.json), tables (gpu.md),
    a plot (gpu.svg) and a log (log.txt). The exit code is 1 if a kernel is wrong.
    """

    example: ClassVar[str] = "twinsae bench gpu --out runs/bench-gpu"

    out: Annotated[Path, Argument(metavar="OUT")] = Path("runs/bench-gpu")
    """Folder for the results. Those of an earlier run are replaced."""
    minutes: float = MINUTES
    """The run ends after so many minutes. Each stage has its share of them."""
    stages: tuple[Stage, ...] = STAGES
    """Run only these."""
    rehearse: bool = False
    """Run on the CPU at toy sizes, to see whether everything works. The times mean nothing."""

    def __post_init__(self) -> None:
        if not self.minutes > 0:
            raise ValueError(f"--minutes: expected more than 0, got {self.minutes:g}")

    def run(self, console: "Console") -> int:
        """Run the stages and print a summary; return 1 if a kernel is wrong."""
        from ...bench.gpu.parent import run_stages
        from .gpu_report import write_reports

        def tell(line: str) -> None:
            console.print(line, markup=False, highlight=False, soft_wrap=True)

        options = ["--rehearse"] if self.rehearse else []
        if not self.rehearse:
            from ...bench.gpu.cuda_clock import find_gpu

            find_gpu()
        stopped = run_stages(self.stages, self.out, self.minutes, tell, options)
        report = write_reports(self.out)
        tell(f"\n{report.summary}")
        return 128 + stopped if stopped else int(report.wrong)
