"""What the report shows, read from the folders that ``match_files`` writes."""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMAT = "twinsae-match/1"


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
