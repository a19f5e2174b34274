"""What is wrong with the files of a matching of two SAEs."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...common.files import sha256
from ...common.tables import read_json
from ...sae.formats.paths import weight_file
from ..criteria.overlap import chance_floor, mmcs, pw_mcc, shared
from ..match_files import FORMAT, SIDES, SUMMARY
from ..matching import GAP_PER_PAIR, Matching
from ..proof.certificate import COSINE_TOLERANCE, wrong_form
from .schemas import schema_faults


def match_faults(folder: Path) -> Iterator[str]:
    """Yield in one line each what is wrong with a folder that `match_files` wrote.

    ``summary.json`` is checked against its schema; then the arrays' sizes, that each side is one to
    one and complete, and that every number of the summary follows from the arrays. Whether the
    cosines are those of the SAEs is not looked at: `verify` does that.

    Args:
        folder: the folder.

    Raises:
        ImportError: the package jsonschema is not installed.
    """
    file = folder / SUMMARY
    try:
        summary = read_json(file, FORMAT)
    except (FileNotFoundError, ValueError) as error:
        yield " ".join(str(error).split())
        return
    wrong = False
    for fault in schema_faults(summary, FORMAT):
        wrong = True
        yield f"{file}: {fault}"
    if not wrong:
        yield from _faults(folder, summary)


def unseen_inputs(folder: Path) -> list[str]:
    """Return the paths of a match's SAEs that are not there any more, so that none was checked."""
    inputs = read_json(folder / SUMMARY, FORMAT)["inputs"]
    return [facts["path"] for facts in inputs.values() if _weights(facts["path"]) is None]


def _weights(path: str) -> Path | None:
    """Return the file with an SAE's weights, or None if it is not there any more."""
    try:
        return weight_file(Path(path))
    except (FileNotFoundError, ValueError):
        return None


def _faults(folder: Path, summary: dict[str, Any]) -> Iterator[str]:
    file = folder / SUMMARY
    if list(summary["sides"]) != summary["settings"]["sides"]:
        yield f"{file}: settings.sides: expected {list(summary['sides'])}"
    same = summary["inputs"]["a"]["sha256"] == summary["inputs"]["b"]["sha256"]
    if summary["identical_inputs"] != same:
        yield f"{file}: identical_inputs: expected {same}, by sha256"
    yield from _input_faults(file, summary)
    matchings: dict[str, Matching] = {}
    for side in summary["sides"]:
        try:
            matchings[side] = Matching.load(folder / f"{side}.npz")
        except FileNotFoundError:
            yield f"{folder / side}.npz does not exist"
        except ValueError as error:
            yield " ".join(str(error).split())
    broken = False
    for side, matching in matchings.items():
        for fault in _side_faults(matching, summary, side):
            broken = True
            yield f"{folder / side}.npz: {fault}"
    for side in SIDES:
        if side not in summary["sides"] and (folder / f"{side}.npz").exists():
            yield f"{folder / side}.npz: {SUMMARY} has no such side"
    if not broken and len(matchings) == len(summary["sides"]):
        yield from (f"{file}: {fault}" for fault in _count_faults(matchings, summary["overlap"]))


def _input_faults(file: Path, summary: dict[str, Any]) -> Iterator[str]:
    for letter, facts in summary["inputs"].items():
        weights = _weights(facts["path"])
        if weights is not None and sha256(weights) != facts["sha256"]:
            yield f"{file}: inputs.{letter}.sha256: {weights} has other bytes now"
    if summary["inputs"]["a"]["d_in"] != summary["inputs"]["b"]["d_in"]:
        yield f"{file}: inputs: d_in of a and of b differ"


def _side_faults(matching: Matching, summary: dict[str, Any], side: str) -> Iterator[str]:
    """Yield what is wrong with a side's arrays, and with what the summary says of them."""
    a, b = (summary["inputs"][letter]["num_latents"] for letter in "ab")
    form = wrong_form(matching, a, b)
    yield from form or _array_faults(matching)
    if form:
        return
    if bool(summary["settings"].get("absolute", False)) != matching.absolute:
        yield f"absolute is {matching.absolute}, but not so in {SUMMARY}'s settings"
    block, (a_to_b, b_to_a) = summary["sides"][side], mmcs(matching)
    exact = {name: getattr(matching, name) for name in ("objective", "upper_bound", "gap")}
    rounded = {
        "mean_cosine": pw_mcc(matching),
        "mmcs_a_to_b": a_to_b,
        "mmcs_b_to_a": b_to_a,
        "chance_floor": chance_floor(b, summary["inputs"]["b"]["d_in"]),
    }
    for name, found in exact.items():
        yield from _unlike(f"{SUMMARY}'s {name}", block[name], found, 0.0)
    for name, found in rounded.items():
        yield from _unlike(f"{SUMMARY}'s {name}", block[name], found, COSINE_TOLERANCE)
    if block["certified"] != matching.certified:
        yield f"{SUMMARY}'s certified is {block['certified']}, but the gap is {matching.gap:.3g}"


def _array_faults(matching: Matching) -> Iterator[str]:
    """Yield what is wrong with the numbers of a matching of good form.

    Cosines are rounded to float32 in the file, objective and prices are not.
    """
    pairs, cosine = len(matching.rows), matching.cosine
    found = math.fsum(cosine)
    yield from _unlike("objective", matching.objective, found, COSINE_TOLERANCE * pairs)
    exceeded = cosine - matching.row_price[matching.rows] - matching.col_price[matching.cols]
    prices = math.fsum(matching.row_price) + math.fsum(matching.col_price)
    least = prices + pairs * max(0.0, float(exceeded.max()) - COSINE_TOLERANCE)
    bound = matching.upper_bound
    if not bound >= least - GAP_PER_PAIR * pairs:
        yield f"upper_bound is {bound:.12g}, but the prices give at least {least:.12g}"
    sides = {
        "row_max": matching.row_max[matching.rows] < cosine - COSINE_TOLERANCE,
        "col_max": matching.col_max[matching.cols] < cosine - COSINE_TOLERANCE,
    }
    for name, below in sides.items():
        if below.any():
            yield f"{name} is less than a matched cosine for {np.count_nonzero(below):,} latents"


def _unlike(name: str, recorded: float, found: float, tolerance: float) -> Iterator[str]:
    # Not "> tolerance", which NaN would pass.
    if not abs(recorded - found) <= tolerance:
        yield f"{name} is {recorded:.12g}, but the arrays give {found:.12g}"


def _count_faults(matchings: dict[str, Matching], block: dict[str, Any]) -> Iterator[str]:
    masks = shared(matchings.get("decoder"), matchings.get("encoder"), block["threshold"])
    if set(masks) != set(block["counts"]):
        yield f"overlap.counts: expected {', '.join(masks)}"
    num_latents = len(next(iter(masks.values())))
    if block["num_latents"] != num_latents:
        yield f"overlap.num_latents is {block['num_latents']:,}, but A has {num_latents:,}"
    for name, mask in masks.items():
        count = int(mask.sum())
        if block["counts"].get(name, count) != count:
            recorded = block["counts"][name]
            yield f"overlap.counts.{name} is {recorded:,}, but the arrays give {count:,}"
        elif not math.isclose(block["criteria"].get(name, -1), count / num_latents):
            yield f"overlap.criteria.{name}: expected {count} / {num_latents}"
