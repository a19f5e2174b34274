"""`validate`: whether a folder's files are what their formats say."""

from dataclasses import dataclass, field
from pathlib import Path

from ...common.files import StrPath, sha256
from ...common.tables import read_json
from ..match_all import ALL_FORMAT, ALL_SUMMARY
from ..match_files import SIDES, SUMMARY
from .matches import match_faults, unseen_inputs
from .reports import MANIFEST, report_faults

_REPORTS = ("report/data", "data", ".")


@dataclass(frozen=True)
class Validated:
    """What was found in a folder."""

    checked: list[str] = field(default_factory=list)
    """The matchings and reports that were looked at, by their paths."""
    faults: list[str] = field(default_factory=list)
    """Everything that is wrong, in one line each; empty if all is as it should be."""
    unseen: list[str] = field(default_factory=list)
    """Paths of SAEs that are not there any more, so that their bytes were not checked."""


def validate(folder: StrPath) -> Validated:
    """Check the files of matchings and reports, by their schemas and by what arrays must be.

    Args:
        folder: what `match_files` or `match_all` wrote, with the report in it, if there is one; or
            a report's folder.

    Returns:
        What was looked at and what is wrong. Whether a matching's cosines are true and whether it
        is the best is proved by `verify`, not here.

    Raises:
        FileNotFoundError: there is nothing to check.
        ImportError: the package jsonschema is not installed.
    """
    place, found = Path(folder), Validated()
    matches = _matches(place, found.faults)
    for match in matches:
        faults = list(match_faults(match))
        found.checked.append(f"matching {match}")
        found.faults.extend(faults)
        if not faults:
            found.unseen.extend(path for path in unseen_inputs(match) if path not in found.unseen)
    # Which matching a report is of is told by files that are as they should be.
    matchings = None if found.faults else _matchings(matches)
    for data in (place / below for below in _REPORTS):
        if (data / f"{MANIFEST}.js").is_file():
            found.checked.append(f"report {data}")
            found.faults.extend(report_faults(data, matchings))
    if not found.checked and not found.faults:
        raise FileNotFoundError(
            f"nothing to check in {place}: expected a folder of `twinsae match`, `twinsae "
            "match-all` or `twinsae report`"
        )
    return found


def _matchings(matches: list[Path]) -> set[str] | None:
    """Return the SHA-256 of all matchings' files; None where there are none."""
    files = [match / f"{side}.npz" for match in matches for side in SIDES]
    return {sha256(file) for file in files if file.is_file()} or None


def _matches(place: Path, faults: list[str]) -> list[Path]:
    """Return the folders of the matchings."""
    if (place / SUMMARY).is_file():
        return [place]
    if not (place / ALL_SUMMARY).is_file():
        return []
    try:
        pairs = read_json(place / ALL_SUMMARY, ALL_FORMAT)["pairs"]
        return [place / f"{pair['a']}--{pair['b']}" for pair in pairs]
    except (ValueError, KeyError, TypeError) as error:
        faults.append(f"{place / ALL_SUMMARY}: {' '.join(str(error).split())}")
        return []
