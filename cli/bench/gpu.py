"""`twinsae bench gpu`: checks every kernel on a GPU and times those that are right."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from ...bench.gpu.ops import OPS, Op
from ..options import Argument

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class BenchGpu:
    """Check every kernel on a GPU, then time those that pass.

    It needs an NVIDIA GPU. The folder OUT gets the numbers (gpu.json), the table (gpu.md) and a
    plot (gpu.svg). The exit code is 1 if a kernel is wrong.
    """

    example: ClassVar[str] = "twinsae bench gpu --out runs/bench-gpu --minutes 8"

    out: Annotated[Path, Argument(metavar="OUT")] = Path("runs/bench-gpu")
    """Folder for the numbers, the table and the plot."""
    minutes: float = 8.0
    """The run ends after so many minutes, and lists what it did not reach."""
    dtype: Literal["bf16", "fp16", "fp32"] = "bf16"
    """The dtype of the timed inputs."""
    only: tuple[Op, ...] = OPS
    """Check and time only these, for example after one kernel has stopped the GPU."""

    def __post_init__(self) -> None:
        if not self.minutes > 0:
            raise ValueError(f"--minutes: expected more than 0, got {self.minutes:g}")

    def run(self, console: "Console") -> int:
        """Print the table; return 1 if a kernel is wrong."""
        from ...bench.gpu.cuda_clock import find_gpu
        from ...bench.gpu.plan import Plan
        from .gpu_report import DTYPES, run_gpu

        clock = find_gpu()
        plan = Plan(dtype=DTYPES[self.dtype], minutes=self.minutes, ops=self.only)
        return run_gpu(plan, clock, self.out, console)
