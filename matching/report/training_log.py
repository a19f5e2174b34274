"""What the report shows of training, read from the folder that ``train`` writes."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...sae.training.log import Record, read_log

Array = NDArray[np.float64]

_NO_CURVES = ("step", "sae", "hookpoint", "seed", "tokens")


@dataclass(frozen=True)
class SAELog:
    """The logged steps of one SAE, in order.

    Attributes:
        name: its folder in the run.
        seed: its seed.
        tokens: (steps,) tokens seen.
        values: (steps,) each, by what was logged, such as fvu; NaN where a step lacks it.
    """

    name: str
    seed: int
    tokens: Array
    values: dict[str, Array]


@dataclass(frozen=True)
class TrainingLog:
    """The log of one hookpoint of a training run.

    ``model`` is the language model's name, or None where the run's folder does not tell.
    """

    model: str | None
    hookpoint: str
    saes: list[SAELog]

    def find(self, path: str) -> SAELog | None:
        """Return the SAE that the path of a folder, or of a file in it, names, or None.

        A path from elsewhere is told by its seed, if only one SAE has it.
        """
        inside = [sae for sae in self.saes if f"/{sae.name}/" in f"/{Path(path).as_posix()}/"]
        if len(inside) == 1:
            return inside[0]
        same = [sae for sae in self.saes if sae.seed == _seed_of(path)]
        return same[0] if len(same) == 1 else None


def read_run(run: Path) -> list[TrainingLog]:
    """Read the log of a run, by hookpoint.

    The model's name is in ``run/activations``, where `twinsae train` keeps its stores.

    Raises:
        FileNotFoundError: there is no ``log.jsonl`` in ``run``.
        ValueError: a line is not JSON, or lacks a number that a log line has.
    """
    found: dict[str, list[SAELog]] = {}
    for name, records in read_log(run).items():
        found.setdefault(records[0]["hookpoint"], []).append(_sae_log(name, records))
    return [TrainingLog(_model(run, hookpoint), hookpoint, found[hookpoint]) for hookpoint in found]


def read_run_of(run: Path, sae: Path) -> TrainingLog | None:
    """Return the log of the hookpoint that ``sae`` belongs to, or None if nothing is logged for it.

    ``sae`` tells the hookpoint by its place, ``run/<hookpoint>/seed<N>``; a run of one hookpoint
    needs no telling.

    Raises:
        FileNotFoundError: as `read_run`.
        ValueError: as `read_run`.
    """
    logs = read_run(run)
    if len(logs) == 1:
        return logs[0]
    by_name = {log.hookpoint: log for log in logs}
    return next((by_name[part] for part in reversed(sae.parts) if part in by_name), None)


def _sae_log(name: str, records: list[Record]) -> SAELog:
    keys = dict.fromkeys(key for record in records for key in record if key not in _NO_CURVES)

    def column(key: str) -> Array:
        return np.array([record.get(key, np.nan) for record in records], dtype=np.float64)

    return SAELog(name, records[0]["seed"], column("tokens"), {key: column(key) for key in keys})


def _seed_of(path: str) -> int | None:
    """Return N of the innermost part ``seed<N>`` of a path, or None."""
    numbers = [re.fullmatch(r"seed(\d+)", part) for part in reversed(Path(path).parts)]
    return next((int(number[1]) for number in numbers if number), None)


def _model(run: Path, hookpoint: str) -> str | None:
    store = run / "activations"
    # Runs of one hookpoint used to keep their store one folder higher.
    places = (store / hookpoint / "meta.json", store / "meta.json")
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        return None
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    return str(meta["model"]) if isinstance(meta, dict) and "model" in meta else None
