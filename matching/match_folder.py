"""A folder that `match_files` wrote, opened again: its matchings, and the rows of its two SAEs."""

from pathlib import Path
from typing import Any, NamedTuple

from ..common.files import StrPath, sha256
from ..common.tables import read_json
from ..sae.formats.dictionary import load_dictionary
from ..sae.formats.orientation import Orientation, Side
from ..sae.formats.paths import weight_file
from .match_files import FORMAT, SIDES, SUMMARY
from .matching import Matching
from .rows import StoredRows


class OpenedSide(NamedTuple):
    """One side of a match."""

    a: StoredRows
    b: StoredRows
    matching: Matching
    sha256: str
    """Of the file that holds the matching."""


class OpenedMatch(NamedTuple):
    """A match, and all that it was made from."""

    folder: Path
    summary: dict[str, Any]
    sides: dict[Side, OpenedSide]

    @property
    def facts(self) -> dict[str, Any]:
        """What a table that is made from the match says of it."""
        inputs = {
            name: {key: facts[key] for key in ("path", "sha256")}
            for name, facts in self.summary["inputs"].items()
        }
        sides = {side: opened.sha256 for side, opened in self.sides.items()}
        return {"match": str(self.folder.resolve()), "matchings": sides, "inputs": inputs}


def open_match(folder: StrPath, *, orientation: Orientation | None = None) -> OpenedMatch:
    """Open a match and its two SAEs, which must still be where they were, with the same bytes.

    Args:
        folder: what `match_files` wrote.
        orientation: as for `match_files`, if the match needed one.

    Raises:
        FileNotFoundError: the folder is no match, or a file is gone.
        ValueError: a file is corrupt, or an SAE has changed since the match.
    """
    folder = Path(folder)
    summary = read_summary(folder)
    for name, facts in summary["inputs"].items():
        if sha256(weight_file(Path(facts["path"]))) != facts["sha256"]:
            raise ValueError(f"{facts['path']} has changed since it was matched as {name}")
    sides = {side: _open_side(folder, summary, side, orientation) for side in SIDES
             if side in summary["sides"]}  # fmt: skip
    return OpenedMatch(folder, summary, sides)


def read_summary(folder: Path) -> dict[str, Any]:
    """Return the summary of a folder that `match_files` wrote.

    Raises:
        FileNotFoundError: the folder is no match.
        ValueError: the summary is corrupt or of another format.
    """
    file = folder / SUMMARY
    if not file.is_file():
        raise FileNotFoundError(f"{folder} is no match: it has no {SUMMARY}")
    return read_json(file, FORMAT)


def _open_side(
    folder: Path, summary: dict[str, Any], side: Side, orientation: Orientation | None
) -> OpenedSide:
    file = folder / f"{side}.npz"
    matching = Matching.load(file)
    paths = [Path(summary["inputs"][name]["path"]) for name in "ab"]
    weights = [load_dictionary(path, side, orientation=orientation) for path in paths]
    a, b = (
        StoredRows(weight, f"{path} ({side})", matching.absolute)
        for path, weight in zip(paths, weights, strict=True)
    )
    return OpenedSide(a, b, matching, sha256(file))
