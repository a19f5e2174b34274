"""`twinsae bench encode`, `step`, `candidates` and `all`: kernels beside other ways of the same."""

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
    """What these commands have in common."""

    benches: ClassVar[Sequence[str]]

    saes: Annotated[tuple[Path, Path] | None, Argument(paths.sae)] = None
    """Two SAEs of one shape to measure on, too; by default those of runs/demo, if there are."""
    activations: Annotated[Path | None, Argument(paths.existing)] = None
    """A .safetensors or .npy file of activations for --saes; by default random ones."""
    shape: Annotated[tuple[int, int, int, int] | None, Argument(positive, metavar="N D L K")] = None
    """One shape of random inputs (tokens, width, latents, active) in place of the usual ones."""
    rounds: Annotated[int, Argument(positive)] = 5
    """How often each way is timed."""

    def __post_init__(self) -> None:
        if self.activations is not None and self.saes is None:
            raise ValueError("--activations needs --saes, whose inputs they are")
        if self.shape is not None and self.shape[3] > self.shape[2]:
            raise ValueError(f"--shape: {self.shape[3]} active latents of only {self.shape[2]}")

    def run(self, console: "Console") -> None:
        """Time, and print one table."""
        from ...bench.candidates import bench_candidates
        from ...bench.encode import bench_encode
        from ...bench.step import bench_step
        from .tables import measurements_table, print_table, sizes_of

        ways = {"encode": bench_encode, "step": bench_step, "candidates": bench_candidates}
        results = []
        for what in self.benches:
            for inputs in self._inputs(what):
                with console.status(f"{what}: {sizes_of(inputs.sizes)}, {inputs.source}"):
                    measured = ways[what](inputs, self.rounds)
                results.append((what, inputs.source, measured))
        print_table(console, measurements_table(results))

    def _inputs(self, what: str) -> Iterator["Inputs"]:
        from ...bench import inputs

        if self.shape is not None:
            shapes: Sequence[inputs.Shape] = [inputs.Shape(*self.shape)]
        elif what == "step":
            shapes = inputs.STEP_SHAPES
        else:
            # All pairs of latents of the last shape are ten trillion operations.
            shapes = inputs.SHAPES[:2] if what == "candidates" else inputs.SHAPES
        yield from map(inputs.random_inputs, shapes)
        if self.saes is not None:
            yield inputs.trained_inputs(self.saes, self.activations)
        elif self.shape is None:
            yield from inputs.demo_inputs()


@dataclass(frozen=True)
class BenchEncode(_SideBySide):
    """Time the encoder: from inputs to active latents."""

    example: ClassVar[str] = "twinsae bench encode --shape 2048 576 20736 32"
    benches: ClassVar[Sequence[str]] = ("encode",)


@dataclass(frozen=True)
class BenchStep(_SideBySide):
    """Time forward and backward of one training step."""

    example: ClassVar[str] = "twinsae bench step --shape 2048 576 20736 32"
    benches: ClassVar[Sequence[str]] = ("step",)


@dataclass(frozen=True)
class BenchCandidates(_SideBySide):
    """Time the search for nearest latents, of both sides.

    Of two dictionaries, each latent's 32 nearest in the other are found.
    """

    example: ClassVar[str] = "twinsae bench candidates --shape 1 576 20736 32"
    benches: ClassVar[Sequence[str]] = ("candidates",)


@dataclass(frozen=True)
class BenchAll(_SideBySide):
    """Time encode, step and candidates, in one table."""

    example: ClassVar[str] = "twinsae bench all --rounds 9"
    benches: ClassVar[Sequence[str]] = ("encode", "step", "candidates")
