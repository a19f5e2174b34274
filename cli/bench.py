"""`twinsae bench`: the kernels' speed and memory on this machine."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from rich.console import Console
from rich.table import Column, Table
from tyro.conf import Positional, arg

from ..bench.candidates import bench_candidates
from ..bench.encode import bench_encode
from ..bench.inputs import SHAPES, Inputs, Shape, random_inputs, trained_inputs
from ..bench.machine import describe
from ..bench.measurement import OURS, PRODUCT, Measurement
from ..bench.step import bench_step
from .units import format_bytes

BENCHES: dict[str, Callable[[Inputs, int], Measurement]] = {
    "encode": bench_encode,
    "step": bench_step,
    "candidates": bench_candidates,
}
NUMBERS = ("ms", f"{OURS} is", "GFLOP/s", "of product", "memory")


@dataclass(frozen=True)
class Bench:
    """Time the kernels beside torch's own ops and other libraries.

    All ways take turns in one run, after a check that they agree; times are medians. encode: inputs
    to active latents. step: forward and backward of one training step. candidates: the 32 nearest
    of both sides of two dictionaries.
    """

    what: Annotated[Positional[Literal["encode", "step", "candidates", "all"]], arg(metavar="WHAT")]
    """encode, step, candidates, or all three."""
    saes: tuple[Path, Path] | None = None
    """Two SAE folders of one shape to measure on; None: random weights of several shapes."""
    activations: Path | None = None
    """With --saes: a .safetensors or .npy file of activations; None: random ones."""
    shape: Annotated[tuple[int, int, int, int] | None, arg(metavar="N D L K")] = None
    """One shape of random inputs (tokens, width, latents, active) in place of the usual ones."""
    rounds: int = 5
    """How often each way is timed."""

    def run(self, console: Console) -> None:
        """Print one table for each benchmark."""
        if self.rounds < 1:
            raise ValueError(f"rounds: expected 1 or more, got {self.rounds}")
        if self.activations is not None and self.saes is None:
            raise ValueError("activations: needs --saes, whose inputs they are")
        if self.shape is not None and self.saes is not None:
            raise ValueError("shape: the SAEs of --saes have their own; give one of the two")
        for what in BENCHES if self.what == "all" else (self.what,):
            results = []
            for inputs in self._inputs(what):
                with console.status(f"{what}: {_sizes(inputs.sizes)}"):
                    results.append(BENCHES[what](inputs, self.rounds))
            console.print(bench_table(what, results))
        console.print(describe())

    def _inputs(self, what: str) -> Iterator[Inputs]:
        if self.saes is not None:
            yield trained_inputs(self.saes, self.activations)
        elif self.shape is not None:
            yield random_inputs(Shape(*self.shape))
        else:
            # All pairs of latents of the last shape are ten trillion operations.
            yield from map(random_inputs, SHAPES[:2] if what == "candidates" else SHAPES)


def bench_table(what: str, results: list[Measurement]) -> Table:
    """Return the measurements as a table, one section for each shape."""
    table = Table("way", *(Column(name, justify="right") for name in NUMBERS), title=what)
    for result in results:
        table.add_row(f"[bold]{_sizes(result.sizes)}[/]")
        ours, product = result.seconds[OURS], result.seconds[PRODUCT]
        for way, seconds in result.seconds.items():
            table.add_row(
                way,
                f"{1e3 * seconds:,.1f}",
                "" if way == OURS else f"{seconds / ours:.2f}x",
                f"{result.operations / seconds / 1e9:,.0f}",
                f"{product / seconds:.2f}",
                format_bytes(result.peak_bytes) if way == OURS else "",
            )
        for name, fact in result.facts.items():
            table.add_row(f"{name}: {fact}", style="dim")
        table.add_section()
    table.caption = (
        f'"{OURS} is": times as fast as that way. GFLOP/s: as if the whole product were computed, '
        "once. Memory: peak above the inputs."
    )
    return table


def _sizes(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name} = {size:,}" for name, size in sizes.items())
