"""What a sweep takes, told before it begins: tasks, tokens, disk, memory, and a predicted time."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..common.memory import check_memory
from ..common.units import format_bytes
from ..matching import match_memory
from ..matching.probe import predicted_seconds
from ..sae.activations import HarvestPart, open_activations
from ..sae.activations.disk import row_bytes
from .probe import probe_encoding, probe_harvest, probe_training
from .running import Sweep
from .tasks import Fire, Match, Train

_SAVED = 4
"""Numbers on the disk for each weight: the SAE's, and the checkpoint's with its two moments."""
_OF_MATCH = 100
"""Bytes that a match writes for each latent, about."""


@dataclass
class Kind:
    """What is left of one kind of task."""

    name: str
    tasks: int
    left: int = 0
    """Those that are not done."""
    tokens: int = 0
    """Tokens that pass, each as often as it does."""
    disk: int = 0
    """Bytes to write."""
    memory: int = 0
    """Bytes of the largest task."""
    seconds: float = 0.0
    """Predicted for one task after another."""

    def add(self, *, tokens: int, disk: int, memory: int, seconds: float) -> None:
        """Add a task."""
        self.left += 1
        self.tokens += tokens
        self.disk += disk
        self.memory = max(self.memory, memory)
        self.seconds += seconds


@dataclass
class Plan:
    """What the tasks of a sweep, or of its shard, take."""

    out: Path
    kinds: list[Kind] = field(default_factory=list)

    @property
    def disk(self) -> int:
        """Bytes to write, in all."""
        return sum(kind.disk for kind in self.kinds)

    def check(self) -> None:
        """Raise unless there is room for what is left.

        Raises:
            OSError: the disk is too small.
            ValueError: a task takes more memory than is allowed.
        """
        place = self.out.absolute()
        existing = next(path for path in (place, *place.parents) if path.exists())
        free = shutil.disk_usage(existing).free
        if self.disk > free:
            raise OSError(
                f"the sweep takes up to {format_bytes(self.disk)} more in {self.out}, but that "
                f"disk has {format_bytes(free)} free"
            )
        for kind in self.kinds:
            check_memory(f"the largest task of {kind.name}", kind.memory, None)


def plan(sweep: Sweep) -> Plan:
    """Find out what is left of a sweep and what it takes.

    What is not known yet is measured: the model is loaded and a little text harvested, SAEs are
    trained for three steps on random numbers, and one scan of a match is timed.

    Raises:
        As `harvest` and `train_many`: what is wrong with the model, the text or the sizes shows
        here, before the first task.
    """
    planner = _Planner(sweep)
    kinds = [
        planner.harvests([task for task in sweep.tasks if isinstance(task, HarvestPart)]),
        planner.trainings([task for task in sweep.tasks if isinstance(task, Train)]),
        planner.counts([task for task in sweep.tasks if isinstance(task, Fire)]),
        planner.matches([task for task in sweep.tasks if isinstance(task, Match)]),
    ]
    return Plan(sweep.out, kinds)


class _Planner:
    """Keeps what was measured, to measure it once."""

    def __init__(self, sweep: Sweep) -> None:
        self._widths: dict[Path, int] = {}
        """By store."""
        self._probes: dict[HarvestPart, tuple[float, int]] = {}
        """Seconds of a token and bytes of all its activations, by the whole harvest."""
        parts = [task for task in sweep.every if isinstance(task, HarvestPart)]
        for whole in dict.fromkeys(map(_whole, parts)):
            self._learn_widths(whole)

    def _learn_widths(self, task: HarvestPart) -> None:
        if task.is_done():
            for name in task.config.hookpoint:
                self._widths[task.folder / name] = open_activations(task.folder / name).d_in
            return
        probe = probe_harvest(task.config)
        self._widths |= {task.folder / name: width for name, width in probe.widths.items()}
        row = sum(row_bytes(width, probe.itemsize) for width in probe.widths.values())
        self._probes[task] = probe.seconds_per_token, row

    def harvests(self, tasks: Sequence[HarvestPart]) -> Kind:
        """Return what is left to harvest."""
        kind = Kind("harvest", len(tasks))
        for task in tasks:
            if _whole(task) in self._probes and not task.is_done():
                seconds, row = self._probes[_whole(task)]
                tokens = -(-task.config.tokens // task.shard[1])
                kind.add(tokens=tokens, disk=tokens * row, memory=0, seconds=seconds * tokens)
        return kind

    def trainings(self, tasks: Sequence[Train]) -> Kind:
        """Return what is left to train."""
        kind = Kind("train", len(tasks))
        for task in tasks:
            if task.is_done():
                continue
            jobs = task.jobs(self._widths_of(task))
            config, streamed = jobs[0].config, task.configurations[0].streamed
            tokens = (streamed or task.configurations[0].harvest).tokens
            steps = tokens // config.batch_size * config.epochs
            probe = probe_training(jobs)
            seconds = steps * probe.seconds_per_step
            if streamed is not None:  # predicted as if the harvest took turns with the training
                every = replace(streamed, hookpoint=tuple({job.hookpoint for job in jobs}))
                seconds += tokens * config.epochs * probe_harvest(every).seconds_per_token
            weights = sum(2 * job.sae.num_latents * job.sae.d_in for job in jobs)
            kind.add(
                tokens=steps * config.batch_size,
                disk=_SAVED * 4 * weights,
                memory=probe.memory,
                seconds=seconds,
            )
        return kind

    def counts(self, tasks: Sequence[Fire]) -> Kind:
        """Return what is left to count."""
        kind = Kind("count", len(tasks))
        for task in tasks:
            if task.is_done():
                continue
            tokens = task.configurations[0].harvest.tokens
            widths = self._widths_of(task.training)
            jobs = task.training.jobs({task.hookpoint: widths[task.hookpoint]})
            shapes = {job.sae: job for job in jobs}
            each = {shape: probe_encoding(job) for shape, job in shapes.items()}
            seconds = tokens * sum(each[job.sae] for job in jobs)
            kind.add(tokens=tokens, disk=0, memory=0, seconds=seconds)
        return kind

    def matches(self, tasks: Sequence[Match]) -> Kind:
        """Return what is left to match."""
        kind = Kind("match", len(tasks))
        seconds: dict[tuple[int, int], float] = {}
        for task in tasks:
            if task.is_done():
                continue
            own = task.group.configuration
            width = self._widths[task.group.activations / own.hookpoint]
            size = own.sae(width).num_latents
            if (size, width) not in seconds:
                seconds[size, width] = predicted_seconds(size, size, width)
            kind.add(
                tokens=0,
                disk=_OF_MATCH * size,
                memory=match_memory(size, size, width).host,
                seconds=2 * seconds[size, width],
            )
        return kind

    def _widths_of(self, task: Train) -> dict[str, int]:
        names = dict.fromkeys(each.hookpoint for each in task.configurations)
        return {name: self._widths[task.activations / name] for name in names}


def _whole(part: HarvestPart) -> HarvestPart:
    """Return the harvest that a part is of, as one task."""
    return replace(part, shard=(1, 1))
