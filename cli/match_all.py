"""`twinsae match-all`: every two of several dictionaries, and what all of them share."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from ..common.devices import Device
from ..common.files import StrPath
from ..common.units import parse_bytes
from ..sae.formats.orientation import Orientation
from ..sae.names import all_names
from . import paths
from .engines import Engines
from .options import Argument

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class MatchAll:
    """Match every two of several SAEs; count what all share.

    Writes OUT/<a>--<b>/ for each pair, as `twinsae match` does, and OUT/seeds.json. The same
    command matches only what is missing: after a stop, or when SAEs were added or changed. A pair
    that cannot be matched is named at the end and does not stop the others.

    An SAE is called by the part of its path that tells it from the others. NAME=DIR gives another
    name: first=a/seed0 second=b/seed0.
    """

    example: ClassVar[str] = "twinsae match-all runs/gpt2/h.6.mlp/seed* --out runs/gpt2/matches"

    dirs: Annotated[
        tuple[tuple[str | None, StrPath], ...],
        Argument(paths.named_sae, metavar="[NAME=]DIR", positional=True),
    ]
    """The SAEs, two or more: folders of any format, files, or names as `twinsae match` takes."""
    out: Annotated[Path, Argument(metavar="OUT")]
    """Folder for the results."""
    pairs: Literal["all", "chain", "to-first"] = "all"
    """Which pairs: every two, each SAE with the next, or the first with each other."""
    shard: Annotated[paths.Shard | None, Argument(paths.shard, metavar="I/N")] = None
    """Match only part I of N of the pairs, for N jobs that share OUT; by default all."""
    orientation: Orientation | None = None
    """How all files store encoder/decoder (L latents, D wide), where nothing in them tells it."""
    device: Device | None = None
    """Where dictionaries are scanned for pairs; by default cuda with --gpus, else cpu."""
    memory_limit: Annotated[int | None, Argument(parse_bytes, metavar="SIZE")] = None
    """Refuse a pair that needs more, such as 8GiB; by default 75 % of what is free."""
    engines: Engines = field(default_factory=Engines)

    def __post_init__(self) -> None:
        if len(self.dirs) < 2:
            raise ValueError(f"expected 2 SAEs or more, got {len(self.dirs)}")
        names, dictionaries = zip(*self.dirs, strict=True)
        all_names(dictionaries, names)

    def run(self, console: "Console") -> None:
        """Match what is missing, and print what was found.

        Raises:
            ValueError: some pairs could not be matched; all others are.
        """
        from ..common.devices import check_device
        from ..matching import AllSeeds
        from .progress import open_progress
        from .seed_tables import tables

        device: Device = self.device or ("cuda" if self.engines.gpus else "cpu")
        if not self.engines.is_parallel:
            check_device(device)
        names, dictionaries = zip(*self.dirs, strict=True)
        with open_progress(console) as progress:
            seeds = AllSeeds(
                dictionaries,
                self.out,
                names=names,
                pairs=self.pairs,
                orientation=self.orientation,
                device=device,
                progress=progress,
            )
        tasks = seeds.tasks(self.shard or (1, 1), memory_limit=self.memory_limit)
        left = sum(not task.is_done() for task in tasks)
        console.print(f"{left:,} of {len(seeds.pairs):,} pairs to match")
        failed = self.engines.run(console, tasks, self.out, left=left).failed
        result = seeds.finish()
        for table in tables(result):
            console.print(table)
        console.print(f"result: {self.out}", soft_wrap=True)
        waiting = len(result["missing"]) - len(failed)
        if waiting:
            console.print(f"{waiting:,} of {len(seeds.pairs):,} pairs are left to other shards")
        if failed:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
            raise ValueError(f"{len(failed):,} pairs could not be matched: {reasons}")
