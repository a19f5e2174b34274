"""The matches that a folder holds: of one pair of SAEs, or of many."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...common.files import StrPath
from ...sae.names import distinct_names
from ..match_all import ALL_FORMAT, ALL_SUMMARY
from ..match_files import FORMAT, SUMMARY
from ..matching import Matching


@dataclass(frozen=True, eq=False)
class Pair:
    """A match of two SAEs, in its folder."""

    a: str
    """What the first SAE is called."""
    b: str
    folder: Path
    summary: dict[str, Any]
    """What ``summary.json`` says."""

    @property
    def name(self) -> str:
        """What the pair is called: "<a>--<b>"."""
        return f"{self.a}--{self.b}"

    def matching(self, side: str) -> Matching:
        """Read the matching of the decoders or the encoders.

        Raises:
            ValueError: the match is of the other side alone, or the file is damaged.
            FileNotFoundError: the file is gone.
        """
        if side not in self.summary["sides"]:
            raise ValueError(
                f"{self.folder} has no matching of the {side}s: run `twinsae match --side both`"
            )
        return Matching.load(self.folder / f"{side}.npz")

    def chance_floor(self, side: str) -> float:
        """Return the cosine that the best of B's latents would reach if all were random."""
        return float(self.summary["sides"][side]["chance_floor"])


def read_pairs(folder: StrPath) -> list[Pair]:
    """Return the pairs in a folder of `twinsae match` or `twinsae match-all`.

    Raises:
        FileNotFoundError: it is no such folder, or one of its files is gone.
        ValueError: a file is damaged or of another format, or no pair is matched yet.
    """
    place = Path(folder)
    for file, read in _READERS.items():
        if (place / file).is_file():
            return read(place)
    raise FileNotFoundError(
        f"no {' or '.join(_READERS)} in {place}: expected a folder of `twinsae match` or "
        "`twinsae match-all`"
    )


def read_seeds(folder: StrPath) -> dict[str, Any]:
    """Return what ``seeds.json`` says, in a folder of `twinsae match-all`.

    Raises:
        FileNotFoundError: it is no such folder.
        ValueError: the file is damaged or of another format, or no pair is matched yet.
    """
    path = Path(folder) / ALL_SUMMARY
    if not path.is_file():
        raise FileNotFoundError(
            f"no {ALL_SUMMARY} in {folder}: expected a folder of `twinsae match-all`"
        )
    content = read_json(path, ALL_FORMAT)
    if not content["pairs"]:
        raise ValueError(f"{path} has no pair that is matched")
    return content


def _single(folder: Path) -> list[Pair]:
    if (folder.resolve().parent / ALL_SUMMARY).is_file():
        # One of the pairs of `match_all` keeps the names that its SAEs have there.
        for pair in _many(folder.resolve().parent):
            if pair.folder.name == folder.resolve().name:
                return [pair]
    summary = read_json(folder / SUMMARY, FORMAT)
    paths = [summary["inputs"][letter]["path"] for letter in "ab"]
    a, b = distinct_names(paths) if paths[0] != paths[1] else ("a", "b")
    return [Pair(a, b, folder, summary)]


def _many(folder: Path) -> list[Pair]:
    names = [(pair["a"], pair["b"]) for pair in read_seeds(folder)["pairs"]]
    folders = [folder / f"{a}--{b}" for a, b in names]
    return [
        Pair(a, b, place, read_json(place / SUMMARY, FORMAT))
        for (a, b), place in zip(names, folders, strict=True)
    ]


# What a folder holds is told by its summary's name: a further kind of folder is one line more.
_READERS: dict[str, Callable[[Path], list[Pair]]] = {SUMMARY: _single, ALL_SUMMARY: _many}


def read_json(path: Path, expected: str) -> dict[str, Any]:
    """Return the content of a JSON file of the expected format, or raise ValueError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != expected:
        raise ValueError(f"{path}: expected format {expected!r}, got {found!r}")
    return dict(content)
