"""`twinsae bench encode`, `above`, `step`, `candidates`, `all`: our kernels beside others."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from .. import paths
from ..options import Argument, positive

if TYPE_CHECKING:
    from rich.console import Console

    from ...bench.inputs import Inputs


@dataclass(frozen=True)
class _SideBySide:
    """The options that these commands share, and their run."""

    benches: ClassVar[Sequence[str]]

    saes: Annotated[tuple[Path, Path] | None, Argument(paths.sae)] = None
    """Measure also on two SAEs of one shape; by default on those in runs/demo, if there are any."""
    activations: Annotated[Path | None, Argument(paths.existing)] = None
    """A .safetensors or .npy file of activations for --saes; by default they are random."""
    shape: Annotated[tuple[int, int, int, int] | None, Argument(positive, metavar="N D L K")] = None
    """One shape of random inputs (tokens, width, latents, active) instead of the usual ones."""
    rounds: Annotated[int, Argument(positive)] = 5
    """How often each way is timed."""

    def __post_init__(self) -> None:
        if self.activations is not None and self.saes is None:
            raise ValueError("--activations needs --saes, whose inputs they are")
        if self.shape is not None and self.shape[3] > self.shape[2]:
            raise ValueError(
                f"--shape: expected K of at most L = {self.shape[2]:,}, got {self.shape[3]:,}"
            )

    def run(self, console: "Console") -> None:
        """Time, and print one table."""
        from ...bench.above import bench_above
        from ...bench.candidates import bench_candidates
        from ...bench.encode import bench_encode
        from ...bench.step import bench_step
        from .tables import measurements_table, print_table

        benches = {
            "encode": bench_encode,
            "above": bench_above,
            "step": bench_step,
            "candidates": bench_candidates,
        }
        measured = []
        for what in self.benches:
            for inputs in self._inputs(what):
                with console.status(f"{what}: {inputs.shape}, {inputs.source}"):
                    measured.extend(benches[what](inputs, self.rounds))
        print_table(console, measurements_table(measured))

    def _inputs(self, what: str) -> Iterator["Inputs"]:
        from ...bench import inputs
        from ...bench.problem import Shape

        if self.shape is not None:
            shapes: Sequence[Shape] = [Shape(*self.shape)]
        elif what == "step":
            shapes = inputs.STEP_SHAPES
        elif what == "above":
            shapes = inputs.ABOVE_SHAPES
        else:
            # All pairs of latents of the last shape would take ten trillion operations.
            shapes = inputs.SHAPES[:2] if what == "candidates" else inputs.SHAPES
        yield from map(inputs.random_inputs, shapes)
        if self.saes is not None:
            yield inputs.trained_inputs(self.saes, self.activations)
        elif self.shape is None:
            yield from inputs.demo_inputs()


@dataclass(frozen=True)
class BenchEncode(_SideBySide):
    """Time the encoder, from inputs to active latents."""

    example: ClassVar[str] = "twinsae bench encode --shape 2048 576 20736 32"
    benches: ClassVar[Sequence[str]] = ("encode",)


@dataclass(frozen=True)
class BenchAbove(_SideBySide):
    """Time the threshold encoder of ReLU and JumpReLU SAEs."""

    example: ClassVar[str] = "twinsae bench above --shape 2048 2304 65536 60"
    benches: ClassVar[Sequence[str]] = ("above",)


@dataclass(frozen=True)
class BenchStep(_SideBySide):
    """Time a training step, forward and backward, and each phase."""

    example: ClassVar[str] = "twinsae bench step --shape 2048 576 20736 32"
    benches: ClassVar[Sequence[str]] = ("step",)


@dataclass(frozen=True)
class BenchCandidates(_SideBySide):
    """Time the search for the nearest latents of both sides.

    It finds for each latent of two dictionaries the 32 nearest latents of the other one.
    """

    example: ClassVar[str] = "twinsae bench candidates --shape 1 576 20736 32"
    benches: ClassVar[Sequence[str]] = ("candidates",)


@dataclass(frozen=True)
class BenchAll(_SideBySide):
    """Time encode, above, step and candidates, in one table."""

    example: ClassVar[str] = "twinsae bench all --rounds 9"
    benches: ClassVar[Sequence[str]] = ("encode", "above", "step", "candidates")
