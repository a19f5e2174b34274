"""`series`: the overlaps of many matches in one table, with what their SAEs differ in."""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from ..common.files import StrPath, atomic_write, sha256
from ..sae.formats.paths import weight_file
from ..sae.formats.registry import load
from ..sae.hub.names import SAELENS
from ..sae.training.log import find_run
from .criteria.series import COLUMNS, FACTORS, Row, factors_of, grouped, joined, mixed, series_row
from .match_files import SUMMARY
from .match_folder import read_summary
from .report.training_log import read_run

SERIES_FORMAT = "twinsae-series/1"

# A module's name as a folder: "layers.15.mlp", "h.6", "blocks.5.hook_resid_post".
_HOOKPOINT = re.compile(r"(?:[A-Za-z_]\w*\.)+(\d+)((?:\.[A-Za-z_]\w*)*)")

Known = dict[str, tuple[Any, str]]
"""{factor: (value, what tells it)}."""


class Given(NamedTuple):
    """A factor that the user gives, in place of what is found."""

    name: str
    value: str | int | float
    folder: Path | None = None
    """Of the matches at or below this folder; None: of all."""


def series(
    folders: Sequence[StrPath],
    *,
    factors: Sequence[Given] = (),
    by: Sequence[str] = (),
    out: StrPath | None = None,
) -> dict[str, Any]:
    """Put the overlaps of several matches in one table.

    Of each SAE, the number of latents and the width are in ``summary.json``. The activation
    function and k are read from the SAE's files, if these are still where they were, with the same
    weights. Model, hookpoint and tokens come from the log of the training run that the SAE lies in;
    without a log, the hookpoint is the part of the SAE's path that looks like one, such as
    "layers.15.mlp". Layer and position are parts of the hookpoint's name.

    Args:
        folders: folders of `match_files` or `match_all`, or with such below them.
        factors: given values, which count more than found ones; a later one more than an earlier.
        by: factors to group the matches by.
        out: a folder for ``series.csv``, one row a match, and ``series.json``, all that is
            returned; None: nothing is written.

    Returns:
        ``{"format", "version", "rows", "groups", "by", "mixed", "sources"}``:
        `criteria.series.series_row` and `criteria.series.grouped` say what rows and groups are,
        ``mixed`` names factors that vary within a group, and ``sources`` has, for each row, what
        told each factor: {factor: text}.

    Raises:
        FileNotFoundError: there is no match at or below a folder.
        ValueError: a ``summary.json`` is damaged; there is no factor of a name in ``by``; a given
            factor's folder is none of ``folders``.
        OSError: a file could not be written.
    """
    places = [Path(folder) for folder in folders]
    _check_given(factors, places)
    rows, sources = [], []
    seen: dict[str, Known] = {}
    for match in _matches(places):
        summary = read_summary(match)
        found = _factors(summary, seen) | _given(match, factors)
        rows.append(series_row(str(match), summary, {name: found[name][0] for name in found}))
        sources.append({name: source for name, (_, source) in found.items()})
    names = list(dict.fromkeys(name for row in rows for name in factors_of([row])))
    rows = [_with_all(row, names) for row in rows]
    groups = grouped(rows, by) if by else []
    result = {
        "format": SERIES_FORMAT,
        "version": version("twinsae"),
        "by": list(by),
        "mixed": mixed(rows, by) if by else [],
        "groups": groups,
        "rows": rows,
        "sources": sources,
    }
    if out is not None:
        _write(Path(out), result)
    return result


def _check_given(factors: Sequence[Given], places: Sequence[Path]) -> None:
    for given in factors:
        if given.name in COLUMNS:
            raise ValueError(f"factors: {given.name!r} is a column of every series")
        if given.folder is not None and given.folder not in places:
            raise ValueError(f"factors: {given.folder} is none of the folders given")


def _matches(folders: Sequence[Path]) -> list[Path]:
    """Return the folders of matches, in order, each once."""
    found: dict[Path, Path] = {}
    for folder in folders:
        below = [path.parent for path in sorted(folder.rglob(SUMMARY))]
        if not below:
            raise FileNotFoundError(f"no {SUMMARY} at or below {folder}: expected matches")
        for match in below:
            found.setdefault(match.resolve(), match)
    return list(found.values())


def _factors(summary: Mapping[str, Any], seen: dict[str, Known]) -> Known:
    """Return the factors of a match; ``seen`` keeps those of each SAE, by its hash and path."""
    both = []
    for letter in "ab":
        facts = summary["inputs"][letter]
        key = f"{facts['sha256']} {facts['path']}"
        if key not in seen:
            seen[key] = _of_sae(facts)
        both.append(seen[key])
    a, b = both
    unknown = None, "not known"
    joint: Known = {}
    for name in FACTORS:
        (mine, source), (theirs, other) = a.get(name, unknown), b.get(name, unknown)
        told = source if source == other else f"{source}|{other}"
        joint[name] = joined(mine, theirs), told
    return joint


def _of_sae(facts: Mapping[str, Any]) -> Known:
    known: Known = {name: (facts[name], SUMMARY) for name in ("num_latents", "d_in")}
    path = Path(facts["path"])
    known |= _settings(path, facts) | _training(path)
    if "hookpoint" not in known:
        parts = [part for part in reversed(path.parts) if _HOOKPOINT.fullmatch(part)]
        if parts:
            known["hookpoint"] = parts[0], "path"
    if "hookpoint" in known:
        hookpoint, source = known["hookpoint"]
        place = _HOOKPOINT.fullmatch(hookpoint)
        if place:
            position = place[2].removeprefix(".") or "residual"
            known |= {"layer": (int(place[1]), source), "position": (position, source)}
    return known


def _settings(path: Path, facts: Mapping[str, Any]) -> Known:
    """Return what the SAE's files say, if they are there and the same as when it was matched.

    Of a name in SAELens' registry, the registry may say otherwise.
    """
    try:
        listed = facts.get("name", "").startswith(SAELENS)
        if listed or sha256(weight_file(path)) != facts["sha256"]:
            return {}
        config = load(path).config
    except (OSError, ValueError, TypeError):
        return {}
    known: Known = {"architecture": (config.activation, "the SAE's files")}
    if config.k:
        known["k"] = config.k, "the SAE's files"
    return known


def _training(path: Path) -> Known:
    """Return what the log of a training run says of the SAE, if it lies in one and is logged."""
    run = find_run(path)
    if run is None:
        return {}
    for log in read_run(run):
        for sae in log.saes:
            if run / sae.name in (path, *path.parents):
                known: Known = {"hookpoint": (log.hookpoint, "log.jsonl")}
                known["tokens"] = int(sae.tokens[-1]), "log.jsonl"
                return known | ({"model": (log.model, "the run's store")} if log.model else {})
    return {}


def _given(match: Path, factors: Sequence[Given]) -> Known:
    return {
        given.name: (given.value, "given")
        for given in factors
        if given.folder is None or match.is_relative_to(given.folder)
    }


def _with_all(row: Row, names: Sequence[str]) -> Row:
    """Return the row with every factor that any row has, in one order."""
    head = {name: row[name] for name in ("match", "a", "b")}
    return head | {name: row.get(name) for name in names} | row


def _write(out: Path, result: Mapping[str, Any]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    rows = result["rows"]
    with (
        atomic_write(out / "series.csv") as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    with atomic_write(out / "series.json") as temporary:
        temporary.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
