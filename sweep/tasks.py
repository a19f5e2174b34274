"""The tasks of a sweep: each knows whether it is done, what it waits for, and how to run.

A task is done when its folders say so, so that nothing else needs to be kept between two calls, and
several machines can share the folder. The folder of a sweep:

| path | what |
|---|---|
| ``activations/<stream>/<hookpoint>/`` | a store |
| ``saes/<stream>/<hookpoint>/<variant>/seed<N>/`` | an SAE, and its firing counts |
| ``saes/<stream>/log.jsonl`` | the log of all SAEs that were trained on one stream |
| ``matches/<stream>/<hookpoint>/<variant>/`` | the matches of one configuration, and its figures |
| ``series/<name>/`` | one table of a series, and its figures |
| ``.failed/`` | why tasks failed, until they succeed |
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from ..common.files import sha256
from ..common.progress import renamed
from ..common.tasks import Need, Task, Tools
from ..matching import AllSeeds
from ..matching.match_all import Pair, pairs_of
from ..sae.activations import (
    ActivationStore,
    ActivationStream,
    BatchSource,
    HarvestConfig,
    HarvestPart,
    StoredBatches,
    harvest_tasks,
    open_activations,
)
from ..sae.firing import fire, load_firing
from ..sae.formats.paths import weight_file
from ..sae.training import Job, train_many
from ..sae.training.checkpoint import is_finished
from .configurations import Configuration
from .grid import Grid, Pairs


@dataclass(frozen=True)
class Train:
    """All SAEs that are trained on the same tokens, in the same order."""

    configurations: tuple[Configuration, ...]
    run_folder: Path
    activations: Path

    @property
    def name(self) -> str:
        """Of the task."""
        return f"train {self.run_folder.name}"

    def stores(self, hookpoint: str | None = None) -> dict[str, ActivationStore]:
        """Open what is stored, of all hookpoints or of one, cut to what this stream needs of it."""
        names = dict.fromkeys(each.hookpoint for each in self.configurations)
        tokens = self.configurations[0].harvest.tokens
        return {
            name: open_activations(self.activations / name).first(tokens)
            for name in names
            if hookpoint in (None, name)
        }

    def jobs(self, widths: Mapping[str, int]) -> list[Job]:
        """Return the SAEs to train on activations of these widths, by hookpoint."""
        return [
            Job(
                each.hookpoint,
                each.sae(widths[each.hookpoint]),
                each.training,
                seed,
                f"{each.hookpoint}/{each.variant}/seed{seed}",
            )
            for each in self.configurations
            if each.hookpoint in widths
            for seed in each.seeds
        ]

    def is_done(self) -> bool:
        """Return whether every SAE is trained to its end."""
        return self.is_trained()

    def is_trained(self, hookpoint: str | None = None) -> bool:
        """Return whether the SAEs of all hookpoints, or of one, are trained to their end."""
        if self.waits_for():
            return False
        widths = {name: store.d_in for name, store in self.stores(hookpoint).items()}
        jobs = self.jobs(widths)
        return all(is_finished(self.run_folder / job.folder, job) for job in jobs)

    def waits_for(self) -> str | None:
        """Wait for the activations."""
        for each in self.configurations:
            if not _is_complete(self.activations / each.hookpoint):
                return f"activations of {each.hookpoint}"
        return None

    def need(self) -> Need:
        """Return the memory of weights, gradients and two moments of all SAEs at once."""
        return Need(memory=_LIBRARIES + 4 * self.weights())

    def weights(self, hookpoint: str | None = None) -> int:
        """Return the bytes of the weights of all SAEs, or those of one hookpoint."""
        widths = {name: store.d_in for name, store in self.stores(hookpoint).items()}
        return sum(2 * 4 * job.sae.num_latents * job.sae.d_in for job in self.jobs(widths))

    def run(self, tools: Tools) -> None:
        """Train, or go on from the checkpoints.

        On what is stored, one hookpoint comes after another, because the stores may leave out
        different tokens; a stream runs the model once for all.
        """
        stores, streamed = self.stores(), self.configurations[0].streamed
        if streamed is None:
            for name, store in stores.items():
                told = renamed(tools.progress, after=f" {name}" if len(stores) > 1 else "")
                self._train(StoredBatches({name: store}), tools._replace(progress=told))
        else:
            every = replace(streamed, hookpoint=tuple(stores))
            with ActivationStream(every, progress=tools.progress, say=tools.say) as stream:
                self._train(stream, tools)

    def _train(self, source: BatchSource, tools: Tools) -> None:
        jobs = self.jobs(source.widths)
        train_many(source, self.run_folder, jobs, progress=tools.progress, stop=tools.stop)


@dataclass(frozen=True)
class Fire:
    """How often the latents of all SAEs fire that were trained on one hookpoint of a stream."""

    training: Train
    hookpoint: str

    @property
    def name(self) -> str:
        """Of the task."""
        return f"fire {self.training.run_folder.name} {self.hookpoint}"

    @property
    def configurations(self) -> list[Configuration]:
        """Those of the hookpoint."""
        every = self.training.configurations
        return [each for each in every if each.hookpoint == self.hookpoint]

    @property
    def saes(self) -> list[Path]:
        """The SAEs' folders."""
        folder = self.training.run_folder / self.hookpoint
        return [
            folder / each.variant / f"seed{seed}"
            for each in self.configurations
            for seed in each.seeds
        ]

    def is_done(self) -> bool:
        """Return whether every SAE has the counts of its present weights."""
        return all(map(_is_counted, self.saes))

    def waits_for(self) -> str | None:
        """Wait for the SAEs."""
        missing = not self.training.is_trained(self.hookpoint)
        return f"SAEs of {self.training.run_folder.name} {self.hookpoint}" if missing else None

    def need(self) -> Need:
        """Return the memory of all SAEs, each once as it is and once packed."""
        return Need(memory=_LIBRARIES + 2 * self.training.weights(self.hookpoint))

    def run(self, tools: Tools) -> None:
        """Count, on what is stored of the activations that the SAEs were trained on."""
        store = self.training.stores(self.hookpoint)[self.hookpoint]
        fire(self.saes, store, progress=tools.progress, say=tools.say)


_LIBRARIES = 2**30
"""Bytes that a process takes before it has any data, about."""


class Group:
    """The SAEs of one configuration, to be matched with one another.

    Args:
        configuration: what they have in common.
        pairs: which of them are matched.
        out: the sweep's folder.
    """

    def __init__(self, configuration: Configuration, pairs: Pairs, out: Path) -> None:
        self.configuration = configuration
        self.folder = out / "matches" / configuration.folder
        self.activations = out / "activations" / configuration.source
        self.names = [f"seed{seed}" for seed in configuration.seeds]
        self.saes = [out / "saes" / configuration.folder / name for name in self.names]
        self.kind = pairs
        self._counted: set[int] = set()
        self.pairs = pairs_of(len(self.names), pairs)

    @property
    def tasks(self) -> "list[Match]":
        """The tasks to match the pairs."""
        return [Match(self, pair) for pair in self.pairs]

    def is_counted(self, place: int) -> bool:
        """Return whether an SAE has its firing counts; once it has, its files are not read again.

        An SAE of many pairs would be hashed for each of them.
        """
        if place not in self._counted and _is_counted(self.saes[place]):
            self._counted.add(place)
        return place in self._counted

    @cached_property
    def matcher(self) -> AllSeeds:
        """What matches them, once the SAEs are there."""
        device = self.configuration.settings["device"]
        return AllSeeds(self.saes, self.folder, names=self.names, pairs=self.kind, device=device)


@dataclass(frozen=True)
class Match:
    """One pair of SAEs."""

    group: Group
    pair: Pair

    @property
    def name(self) -> str:
        """Of the task."""
        a, b = (self.group.names[place] for place in self.pair)
        return f"match {self.group.configuration.folder} {a}--{b}"

    def is_done(self) -> bool:
        """Return whether the pair was matched, with the SAEs' present weights."""
        return self.waits_for() is None and self.group.matcher.is_done(self.pair)

    def waits_for(self) -> str | None:
        """Wait for the two SAEs with their firing counts."""
        for place in self.pair:
            if not self.group.is_counted(place):
                return f"firing counts of {self.group.saes[place]}"
        return None

    def need(self) -> Need:
        """Return the memory of the match, and of the two SAEs."""
        return self.group.matcher.need(self.pair)

    def run(self, tools: Tools) -> None:
        """Match them."""
        self.group.matcher.match(self.pair, progress=tools.progress)


def _is_complete(folder: Path) -> bool:
    try:
        open_activations(folder)
    except (FileNotFoundError, ValueError):
        return False
    return True


def _is_counted(sae: Path) -> bool:
    try:
        load_firing(sae, sha256(weight_file(sae)))
    except (FileNotFoundError, ValueError):
        return False
    return True


def tasks_of(grid: Grid, out: Path, parts: int) -> tuple[list[list[Task]], list[Group]]:
    """Return the tasks of a grid, in the order of the work, and the groups that are matched.

    Args:
        grid: what is to be trained.
        out: the sweep's folder.
        parts: of each harvest, which is too long for one machine.

    Returns:
        Harvests, trainings, counts and matches, each a list in a fixed order; and the groups, in
        the order of the grid's configurations.
    """
    streams: dict[str, list[Configuration]] = {}
    for each in grid.configurations:
        streams.setdefault(each.stream, []).append(each)
    trainings = [
        Train(tuple(members), out / "saes" / stream, out / "activations" / members[0].source)
        for stream, members in streams.items()
    ]
    counts = [
        Fire(training, hookpoint)
        for training in trainings
        for hookpoint in dict.fromkeys(each.hookpoint for each in training.configurations)
    ]
    groups = [Group(each, grid.pairs, out) for each in grid.configurations]
    pairs = [task for group in groups for task in group.tasks]
    harvests = _harvests(grid, out / "activations", parts)
    return [[*harvests], [*trainings], [*counts], [*pairs]], groups


def _harvests(grid: Grid, out: Path, parts: int) -> list[HarvestPart]:
    """Return the parts of one harvest for the modules of a text that need equally many tokens."""
    needed: dict[tuple[str, str], HarvestConfig] = {}
    for each in grid.configurations:
        known = needed.get((each.source, each.hookpoint), each.harvest)
        needed[each.source, each.hookpoint] = max(known, each.harvest, key=lambda it: it.tokens)
    together: dict[tuple[str, int], list[HarvestConfig]] = {}
    for (source, _), config in needed.items():
        together.setdefault((source, config.tokens), []).append(config)
    return [
        part
        for (name, _), configs in together.items()
        for part in harvest_tasks(
            replace(configs[0], hookpoint=tuple(it.hookpoint[0] for it in configs)),
            out / name,
            parts,
        )
    ]
