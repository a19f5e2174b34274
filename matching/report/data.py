"""What the report shows, read from the folders that ``match_files`` and ``train`` write."""

import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMAT = "twinsae-match/1"
LOG_KEYS: dict[str, type | tuple[type, ...]] = {
    "step": int,
    "tokens": int,
    "hookpoint": str,
    "seed": int,
    "fvu": (int, float),
    "l0": (int, float),
    "dead": int,
}


@dataclass(frozen=True)
class MatchedSide:
    """One matching, laid out by the latents of A.

    Attributes:
        cosine: (L_A,) float64, cosine of each latent with its match; NaN where it has none.
        partner: (L_A,) int64, the matched latent of B; -1 where there is none.
        chance_floor: the cosine that the best of L_B random directions reaches.
    """

    cosine: NDArray[np.float64]
    partner: NDArray[np.int64]
    chance_floor: float


@dataclass(frozen=True)
class MatchFolder:
    """A folder written by ``match_files``: its summary, and its matchings by side."""

    path: Path
    summary: dict[str, Any]
    sides: dict[str, MatchedSide]

    @property
    def num_latents(self) -> int:
        """L_A, the denominator of every share."""
        return int(self.summary["overlap"]["num_latents"])

    @property
    def threshold(self) -> float:
        """The cosine above which a latent counts as shared."""
        return float(self.summary["overlap"]["threshold"])


@dataclass(frozen=True)
class SeedLog:
    """The logged steps of one seed, in order; every array is (steps,) float64."""

    seed: int
    tokens: NDArray[np.float64]
    fvu: NDArray[np.float64]
    l0: NDArray[np.float64]
    dead: NDArray[np.float64]


@dataclass(frozen=True)
class TrainingLog:
    """The log of one hookpoint of a training run, one ``SeedLog`` a seed, by ascending seed.

    ``model`` is the language model's name, or None where the run's folder does not tell.
    """

    model: str | None
    hookpoint: str
    seeds: list[SeedLog]


def read_match(folder: Path) -> MatchFolder:
    """Read ``summary.json`` and the ``<side>.npz`` files of a match folder.

    Raises:
        FileNotFoundError: ``summary.json`` or a matching that it names is not there.
        ValueError: a file is damaged, of another format, or does not fit the others.
    """
    path = folder / "summary.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"no summary.json in {folder}: expected a folder of `twinsae match`"
        )
    summary = _read_summary(path)
    num_rows, num_cols = (int(summary["inputs"][key]["num_latents"]) for key in ("a", "b"))
    sides = {
        name: _read_side(folder / f"{name}.npz", num_rows, num_cols, float(facts["chance_floor"]))
        for name, facts in summary["sides"].items()
    }
    return MatchFolder(folder, summary, sides)


def _read_summary(path: Path) -> dict[str, Any]:
    summary = _read_json(path)
    found = summary.get("format") if isinstance(summary, dict) else None
    if found != FORMAT:
        raise ValueError(f"{path}: expected format {FORMAT!r}, got {found!r}")
    for key in ("versions", "inputs", "settings", "sides", "overlap"):
        if key not in summary:
            raise ValueError(f"{path} has no {key!r}")
    if not summary["sides"]:
        raise ValueError(f"{path} names no side: expected 'decoder', 'encoder' or both")
    return dict(summary)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error


def _read_side(path: Path, num_rows: int, num_cols: int, chance_floor: float) -> MatchedSide:
    if not path.is_file():
        raise FileNotFoundError(f"no {path.name} in {path.parent}, though summary.json names it")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            rows, cols, values = arrays["rows"], arrays["cols"], arrays["cosine"]
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    matched = min(num_rows, num_cols)
    if not rows.shape == cols.shape == values.shape == (matched,):
        raise ValueError(
            f"{path}: expected rows, cols and cosine of shape ({matched},), "
            f"got {rows.shape}, {cols.shape} and {values.shape}"
        )
    if matched and not (_within(rows, num_rows) and _within(cols, num_cols)):
        raise ValueError(f"{path}: expected rows below {num_rows} and cols below {num_cols}")
    cosine = np.full(num_rows, np.nan)
    partner = np.full(num_rows, -1, dtype=np.int64)
    cosine[rows], partner[rows] = values, cols
    return MatchedSide(cosine, partner, chance_floor)


def _within(indices: NDArray[np.int64], limit: int) -> bool:
    return bool(indices.min() >= 0 and indices.max() < limit)


def seed_of(path: str) -> int | None:
    """Return N of the innermost part ``seed<N>`` of a path, or None."""
    numbers = [re.fullmatch(r"seed(\d+)", part) for part in reversed(Path(path).parts)]
    return next((int(number[1]) for number in numbers if number), None)


def find_run(sae: Path) -> Path | None:
    """Return the training run that ``sae`` is a part of, or None.

    That is the nearest folder with a ``log.jsonl``, ``sae`` itself or at most three up, as
    ``run/<hookpoint>/seed<N>/sae.safetensors`` is.
    """
    folders = [sae, *sae.parents][:4]
    return next((folder for folder in folders if (folder / "log.jsonl").is_file()), None)


def read_log(run: Path, sae: Path) -> TrainingLog | None:
    """Read ``run/log.jsonl``: the lines of the hookpoint that ``sae`` belongs to.

    The model's name is in ``run/activations/meta.json``, where `twinsae demo` keeps its store.

    ``sae`` tells the hookpoint by its place, ``run/<hookpoint>/seed<N>``; a run of one hookpoint
    needs no telling. Returns None if nothing is logged for it. A last line that is cut short, as a
    killed run leaves it, is passed over; of steps logged twice, as by a resumed run, the later
    line counts.

    Raises:
        FileNotFoundError: there is no ``log.jsonl`` in ``run``.
        ValueError: a line is not JSON, or lacks a number that a log line has.
    """
    path = run / "log.jsonl"
    if not path.is_file():
        raise FileNotFoundError(f"no log.jsonl in {run}: expected the folder of `twinsae train`")
    lines = _read_lines(path)
    hookpoint = _hookpoint({line["hookpoint"] for line in lines}, sae)
    if hookpoint is None:
        return None
    steps: dict[int, dict[int, dict[str, Any]]] = {}
    for line in lines:
        if line["hookpoint"] == hookpoint:
            steps.setdefault(line["seed"], {})[line["step"]] = line
    seeds = [_seed_log(seed, steps[seed]) for seed in sorted(steps)]
    return TrainingLog(_model(run, hookpoint), hookpoint, seeds)


def _hookpoint(logged: set[str], sae: Path) -> str | None:
    if len(logged) == 1:
        return logged.pop()
    return next((part for part in reversed(sae.parts) if part in logged), None)


def _model(run: Path, hookpoint: str) -> str | None:
    store = run / "activations"
    # Runs of one hookpoint used to keep their store one folder higher.
    places = (store / hookpoint / "meta.json", store / "meta.json")
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        return None
    meta = _read_json(path)
    return str(meta["model"]) if isinstance(meta, dict) and "model" in meta else None


def _read_lines(path: Path) -> list[dict[str, Any]]:
    texts = path.read_text(encoding="utf-8").splitlines()
    lines = []
    for number, text in enumerate(texts, start=1):
        try:
            line = json.loads(text)
        except ValueError as error:
            if number == len(texts):
                break
            raise ValueError(f"{path}, line {number}: not valid JSON: {error}") from error
        entry = line if isinstance(line, dict) else {}
        wrong = [key for key, kind in LOG_KEYS.items() if not isinstance(entry.get(key), kind)]
        if wrong:
            raise ValueError(
                f"{path}, line {number}: not a line of a training log, "
                f"{wrong[0]!r} is {entry.get(wrong[0])!r}"
            )
        lines.append(line)
    return lines


def _seed_log(seed: int, steps: dict[int, dict[str, Any]]) -> SeedLog:
    ordered = [steps[step] for step in sorted(steps)]
    tokens, fvu, l0, dead = (
        np.array([line[key] for line in ordered], dtype=np.float64)
        for key in ("tokens", "fvu", "l0", "dead")
    )
    return SeedLog(seed, tokens, fvu, l0, dead)
