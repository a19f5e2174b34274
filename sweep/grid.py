"""A grid: which SAEs a sweep trains, read from a file.

    base:                       # what every SAE has, unless a series says otherwise
      model: smollm2-135m
      hookpoint: layers.15.mlp
      num_latents: 2304
      seeds: [0, 1, 2, 3, 4]
    series:
      size:                     # one SAE of each size, and of each seed
        num_latents: [576, 1152, 9216]
        seeds: [0, 1]
      kind:                     # several mappings: one after another
        - architecture: relu
          sparsity: 3
        - architecture: gated
          sparsity: 2

The factors are the settings of `HarvestConfig`, `SAEConfig` and `TrainConfig` by their names, with
``hookpoint``, one module, and ``architecture`` for the activation. A list gives several values of a
factor; several lists give every combination. Each series contains the base, too, so that a figure
of it has the base's point. SAEs that differ in their seeds alone are one configuration, with the
seeds of all series that it is in.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from ..common.files import StrPath
from .configurations import Configuration, configuration
from .factors import check_factor, converted, is_list

Pairs = Literal["all", "chain", "to-first"]

_SEEDS = "seeds"
_KEYS = ("base", "series", "pairs")


@dataclass(frozen=True)
class Grid:
    """What is to be trained and matched."""

    configurations: tuple[Configuration, ...]
    """Each once, in the order of the file: the base first."""
    series: Mapping[str, tuple[Configuration, ...]]
    """By the name of the series, the base's among them."""
    pairs: Pairs = "all"
    """Which SAEs of a configuration are matched, as `match_all` takes it."""


class _Given:
    """A value of the file and its line."""

    def __init__(self, node: yaml.Node, file: Path) -> None:
        self._node, self._file = node, file
        self.line = node.start_mark.line + 1

    @property
    def value(self) -> Any:
        """As YAML reads it."""
        loader = yaml.SafeLoader("")
        try:
            return loader.construct_object(self._node, deep=True)
        except yaml.YAMLError as error:
            raise self.error(" ".join(str(error).split())) from error

    def mapping(self, what: str) -> dict[str, "_Given"]:
        """Return the entries.

        Raises:
            ValueError: it is no mapping of names, or one is there twice.
        """
        if not isinstance(self._node, yaml.MappingNode):
            raise self.error(f"{what}: expected names with values")
        found: dict[str, _Given] = {}
        for key, value in self._node.value:
            name = key.value
            if not isinstance(name, str) or name in found:
                raise _Given(key, self._file).error(f"{what}: {name!r} is given twice")
            found[name] = _Given(value, self._file)
            found[name].line = key.start_mark.line + 1
        return found

    def items(self) -> list["_Given"]:
        """Return the entries of a list, or itself."""
        if isinstance(self._node, yaml.SequenceNode):
            return [_Given(node, self._file) for node in self._node.value]
        return [self]

    def error(self, message: object) -> ValueError:
        """Return an error that names the line."""
        return ValueError(f"{self._file}, line {self.line}: {message}")


def read_grid(path: StrPath) -> Grid:
    """Read a grid.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no YAML, a factor is unknown, a value is of another type or out of range,
            or values conflict. The message names the line.
    """
    file = Path(path)
    try:
        node = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is no YAML: {' '.join(str(error).split())}") from error
    if node is None:
        raise ValueError(f"{file} is empty: expected base and series")
    whole = _Given(node, file)
    given = whole.mapping("grid")
    for name, entry in given.items():
        if name not in _KEYS:
            raise entry.error(f"expected one of {', '.join(_KEYS)}, got {name!r}")
    if "base" not in given:
        raise whole.error("there is no base: expected the factors of all SAEs")
    return _grid(given)


def _grid(given: Mapping[str, _Given]) -> Grid:
    base, seeds = _base(given["base"])
    first = _configured(base, base, seeds, given["base"], {})
    series = {}
    if "series" in given:
        for name, entry in given["series"].mapping("series").items():
            of_series = [
                _configured(base | own, base, own_seeds or seeds, line, own)
                for own, own_seeds, line in _combinations(entry)
            ]
            _refuse_twice(name, of_series, entry)
            series[name] = of_series
    pairs: Any = given["pairs"].value if "pairs" in given else "all"
    if pairs not in get_args(Pairs):
        raise given["pairs"].error(f"pairs: expected one of {', '.join(get_args(Pairs))}")
    try:
        return _merged(first, series, pairs)
    except ValueError as error:
        raise given["series"].error(error) from error


def _base(entry: _Given) -> tuple[dict[str, Any], tuple[int, ...]]:
    factors = entry.mapping("base")
    if _SEEDS not in factors:
        raise entry.error("base: seeds are needed, such as seeds: [0, 1]")
    seeds = _seeds(factors.pop(_SEEDS))
    base = {}
    for name, value in factors.items():
        values = _values(name, value)
        if len(values) != 1:
            raise value.error(f"{name}: the base has one value of it; a series has several")
        base[name] = values[0]
    return base, seeds


def _combinations(entry: _Given) -> Iterator[tuple[dict[str, Any], tuple[int, ...], _Given]]:
    """Yield the factors, the seeds (none: the base's) and the lines of a series."""
    for part in entry.items():
        factors = part.mapping("series")
        seeds = _seeds(factors.pop(_SEEDS)) if _SEEDS in factors else ()
        values = {name: _values(name, value) for name, value in factors.items()}
        for combination in product(*values.values()):
            yield dict(zip(values, combination, strict=True)), seeds, part


def _values(name: str, entry: _Given) -> list[Any]:
    try:
        check_factor(name)
        value = entry.value
        several = isinstance(value, list)
        if is_list(name):  # a list is one value, a list of lists are several
            several = several and any(isinstance(each, list) for each in value)
        values = [converted(name, each) for each in (value if several else [value])]
    except ValueError as error:
        raise entry.error(error) from error
    if not values:
        raise entry.error(f"{name}: expected a value, got an empty list")
    return values


def _seeds(entry: _Given) -> tuple[int, ...]:
    value = entry.value
    seeds = value if isinstance(value, list) else [value]
    if not all(type(seed) is int and seed >= 0 for seed in seeds) or len(set(seeds)) < len(seeds):
        raise entry.error(f"seeds: expected different numbers from 0, got {value!r}")
    if len(seeds) < 2:
        raise entry.error("seeds: a match needs two or more")
    return tuple(seeds)


def _configured(
    settings: Mapping[str, Any],
    base: Mapping[str, Any],
    seeds: Sequence[int],
    line: _Given,
    own: Mapping[str, Any],
) -> Configuration:
    both = [name for name in ("num_latents", "expansion_factor") if name in settings]
    if len(both) == 2:
        raise line.error("num_latents and expansion_factor: expected one of them, got both")
    try:
        found = configuration(settings, base, seeds)
        found.check(own)
    except (ValueError, TypeError) as error:
        raise line.error(error) from error
    return found


def _refuse_twice(name: str, found: Sequence[Configuration], entry: _Given) -> None:
    folders = [each.folder for each in found]
    for folder in folders:
        if folders.count(folder) > 1:
            raise entry.error(f"{name}: two entries are the same, {folder}")


def _merged(
    first: Configuration, series: Mapping[str, Sequence[Configuration]], pairs: Pairs
) -> Grid:
    """Give each configuration the seeds of all series that it is in."""
    every = [first, *(each for members in series.values() for each in members)]
    merged: dict[str, Configuration] = {}
    for each in every:
        known = merged.get(each.folder, each)
        if known.settings != each.settings:
            raise ValueError(f"two different configurations would have the folder {each.folder}")
        seeds = tuple(dict.fromkeys((*known.seeds, *each.seeds)))
        merged[each.folder] = replace(each, seeds=seeds)
    return Grid(
        tuple(merged.values()),
        {
            name: tuple(
                merged[folder]
                for folder in dict.fromkeys(each.folder for each in [first, *members])
            )
            for name, members in series.items()
        },
        pairs,
    )
