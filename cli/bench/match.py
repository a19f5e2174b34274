"""`twinsae bench match`: times whole exact matches, once each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from .. import paths
from ..options import Argument, positive

if TYPE_CHECKING:
    from rich.console import Console

    from ...bench.match import Pair

SIZES = ((32768, 768), (131072, 256), (131072, 768))  # L and D


@dataclass(frozen=True)
class BenchMatch:
    """Time the whole exact match of two dictionaries, once.

    The dictionaries are planted: they are made with known pairs of shared latents.
    """

    example: ClassVar[str] = "twinsae bench match --latents 131072 --d-in 4096"

    saes: Annotated[tuple[Path, Path] | None, Argument(paths.sae)] = None
    """Two SAEs to match instead of planted dictionaries."""
    latents: Annotated[int | None, Argument(positive)] = None
    """Latents of each planted dictionary, with --d-in; by default three usual sizes."""
    d_in: Annotated[int | None, Argument(positive)] = None
    """Width of the planted dictionaries, with --latents."""
    seeds: tuple[int, ...] = (0,)
    """One planted pair is made and matched for each seed."""
    against: bool = False
    """Also time dense solvers that are installed and fit into memory, and the candidates alone."""
    threads: bool = False
    """Match with one thread and with two, and predict the times of 16 and 64."""

    def __post_init__(self) -> None:
        if (self.latents is None) != (self.d_in is None):
            raise ValueError("--latents, --d-in: expected both or neither")
        if self.threads and self.against:
            raise ValueError("--threads, --against: expected one of them, got both")

    def run(self, console: "Console") -> None:
        """Match, and print one table."""
        from ...bench.match import bench_match
        from ..progress import open_progress
        from .tables import measurements_table, print_table

        if self.threads:
            self._time_threads(console)
            return
        measured = []
        for pair in self._pairs():
            with open_progress(console) as progress:
                measured.extend(bench_match(pair, self.against, progress))
        print_table(console, measurements_table(measured))

    def _time_threads(self, console: "Console") -> None:
        from ...bench.match import match_task
        from ...bench.problem import in_words
        from ...bench.threads import bench_threads
        from ..progress import open_progress
        from .tables import print_table, threads_table

        measured = []
        for pair in self._pairs():
            with open_progress(console) as progress:
                label = f"{in_words(match_task(pair).sizes)}, {pair.source}"
                measured.append((label, bench_threads(pair, progress)))
        print_table(console, threads_table(measured))

    def _pairs(self) -> Iterator["Pair"]:
        from ...bench.match import planted_files, trained_pairs

        if self.saes is not None:
            yield from trained_pairs(self.saes)
        if self.latents is not None and self.d_in is not None:
            sizes: Sequence[tuple[int, int]] = [(self.latents, self.d_in)]
        else:
            sizes = () if self.saes is not None else SIZES
        for latents, d_in in sizes:
            for seed in self.seeds:
                with planted_files(latents, d_in, seed) as pair:
                    yield pair
