"""`twinsae bench`: the kernels' speed and memory on this machine."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from rich.console import Console
from tyro.conf import Positional, arg

from ..bench.candidates import bench_candidates
from ..bench.encode import bench_encode
from ..bench.gpu.clock import find_gpu
from ..bench.gpu.plan import OPS, Op, Plan
from ..bench.inputs import (
    SHAPES,
    STEP_SHAPES,
    Inputs,
    Shape,
    demo_inputs,
    random_inputs,
    trained_inputs,
)
from ..bench.machine import describe, warnings
from ..bench.match import Pair, bench_match, planted_files, trained_pairs
from ..bench.measurement import Measurement
from ..bench.scaling import LATENTS, TOKENS, bench_growth
from ..bench.step import bench_step
from ..bench.training import bench_training, installed_loops, training_activations
from .bench_gpu import DTYPES, run_gpu
from .progress import open_progress
from .timings import growth_table, measurements_table, sizes_of, training_table

BENCHES: dict[str, Callable[[Inputs, int], Measurement]] = {
    "encode": bench_encode,
    "step": bench_step,
    "candidates": bench_candidates,
}
# All pairs of latents of the last shape are ten trillion operations.
USUAL: dict[str, Sequence[Shape]] = {
    "encode": SHAPES,
    "step": STEP_SHAPES,
    "candidates": SHAPES[:2],
}
MATCHES = ((32768, 768), (131072, 256), (131072, 768))  # L and D


@dataclass(frozen=True)
class Bench:
    """Time the kernels beside torch's own ops and those peers that are installed.

    All ways take turns in one run, after a check that they agree; times are medians. encode: inputs
    to active latents. step: forward and backward of one training step. candidates: the 32 nearest
    of both sides of two dictionaries. scaling: time per latent and per token as they grow. match:
    the whole exact matching of two dictionaries of which much is known, once.
    training: other people's training loops, as they are and with our plug-ins. gpu: every kernel
    is checked on an NVIDIA GPU and, if it is right, timed. The tables are Markdown.
    """

    what: Annotated[
        Positional[
            Literal["encode", "step", "candidates", "all", "scaling", "match", "training", "gpu"]
        ],
        arg(metavar="WHAT"),
    ]
    """encode, step, candidates, all three, scaling, match, training, or gpu."""
    saes: tuple[Path, Path] | None = None
    """Two SAE folders of one shape to measure on, too; None: those of runs/demo, if there are."""
    activations: Path | None = None
    """For --saes or training: a .safetensors or .npy file of activations; None: random ones."""
    shape: Annotated[tuple[int, int, int, int] | None, arg(metavar="N D L K")] = None
    """One shape of random inputs (tokens, width, latents, active) in place of the usual ones."""
    rounds: int = 5
    """How often each way is timed; a match is timed once; of training, its steps."""
    latents: int | None = None
    """match: latents of two planted dictionaries, with --d-in; None: the usual sizes."""
    d_in: int | None = None
    """match: their width."""
    seeds: tuple[int, ...] = (0,)
    """match: one planted pair for each."""
    against: bool = False
    """match: time dense solvers that are installed and fit, and the candidates alone, too."""
    out: Path = Path("runs/bench-gpu")
    """gpu: the folder for its numbers, table and plot."""
    minutes: float = 8.0
    """gpu: after so many it ends; what it did not reach is listed."""
    dtype: Literal["bf16", "fp16", "fp32"] = "bf16"
    """gpu: of what is timed."""
    only: tuple[Op, ...] = OPS
    """gpu: what is checked and timed, for another run after one kernel has stopped the GPU."""

    def run(self, console: Console) -> int:
        """Print one table and a line on the machine; return 1 if gpu finds our kernels wrong."""
        if self.what == "gpu":
            return self.gpu(console)
        if self.rounds < 1:
            raise ValueError(f"rounds: expected 1 or more, got {self.rounds}")
        if self.activations is not None and self.saes is None and self.what != "training":
            raise ValueError("activations: needs --saes, whose inputs they are")
        if (self.latents is None) != (self.d_in is None):
            raise ValueError("latents, d-in: give both or neither")
        if self.what != "match" and (self.latents is not None or self.against):
            raise ValueError(f"latents, d-in, against: not for {self.what}, but for match alone")
        if self.what == "match" and (self.shape is not None or self.activations is not None):
            raise ValueError("shape, activations: not for match, which has --latents and --d-in")
        tables = {"scaling": self.scaling, "match": self.matches, "training": self.training}
        table = tables.get(self.what, self.beside_others)(console)
        for text in (*warnings(), table, "", describe()):
            console.print(text, markup=False, highlight=False, soft_wrap=True)
        return 0

    def gpu(self, console: Console) -> int:
        """Check and time the kernels on a GPU."""
        if not self.minutes > 0:
            raise ValueError(f"minutes: expected more than 0, got {self.minutes}")
        clock = find_gpu()
        plan = Plan(dtype=DTYPES[self.dtype], minutes=self.minutes, ops=self.only)
        return run_gpu(plan, clock, self.out, console)

    def beside_others(self, console: Console) -> str:
        """Return the table of encode, step and candidates, or of one of them."""
        results = []
        for what in BENCHES if self.what == "all" else (self.what,):
            for inputs in self._inputs(what):
                with console.status(f"{what}: {sizes_of(inputs.sizes)}, {inputs.source}"):
                    measured = BENCHES[what](inputs, self.rounds)
                results.append((what, inputs.source, measured))
        return measurements_table(results)

    def scaling(self, console: Console) -> str:
        """Return the table of times per latent and per token."""
        if self.saes is not None or self.shape is not None:
            raise ValueError("scaling: has its own random inputs; give neither --saes nor --shape")
        with console.status("scaling"):
            by_latent = bench_growth("L", LATENTS, self.rounds)
            by_token = bench_growth("N", TOKENS, self.rounds)
        return growth_table([by_latent, by_token])

    def matches(self, console: Console) -> str:
        """Return the table of whole matches: of SAEs if there are any given, else of planted."""
        results = []
        for pair in self._pairs():
            with open_progress(console) as progress:
                measured = bench_match(pair, self.against, progress)
            results.append(("match", pair.source, measured))
        return measurements_table(results)

    def _pairs(self) -> Iterator[Pair]:
        if self.saes is not None:
            yield from trained_pairs(self.saes)
        if self.latents is not None and self.d_in is not None:
            sizes: Sequence[tuple[int, int]] = [(self.latents, self.d_in)]
        else:
            sizes = () if self.saes is not None else MATCHES
        for latents, d_in in sizes:
            for seed in self.seeds:
                with planted_files(latents, d_in, seed) as pair:
                    yield pair

    def training(self, console: Console) -> str:
        """Return the table of the installed trainers, as they are and plugged."""
        if self.saes is not None:
            raise ValueError("saes: training begins with new ones; give --activations instead")
        shape = Shape(*self.shape) if self.shape else STEP_SHAPES[-1]
        x, source = training_activations(shape, self.activations)
        results = []
        for peer in installed_loops():
            for auxk in (False, True):
                with console.status(f"training: {peer}"):
                    results.append(bench_training(peer, auxk, x, shape, self.rounds))
        return training_table(results, shape, source)

    def _inputs(self, what: str) -> Iterator[Inputs]:
        yield from map(random_inputs, [Shape(*self.shape)] if self.shape else USUAL[what])
        if self.saes is not None:
            yield trained_inputs(self.saes, self.activations)
        elif self.shape is None:
            yield from demo_inputs()
