"""`match_files`: match the SAEs in two files and write the result to a folder."""

import dataclasses
import json
import math
import platform
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..common.devices import Device, check_device
from ..common.files import StrPath, atomic_write, sha256
from ..common.progress import Progress, renamed, silent
from ..sae.firing import KnownFiring, known_firing
from ..sae.formats.dictionary import read_dictionary
from ..sae.formats.orientation import Orientation, Side
from ..sae.formats.paths import weight_file
from ..sae.hub import LocatedSAE, locate
from .criteria.overlap import chance_floor, mmcs, overlap, pw_mcc
from .match import Options, check_feasible, match_rows
from .matching import Matching
from .proof.certificate import verify_rows
from .rows import StoredRows
from .solver.candidates import Source

FORMAT = "twinsae-match/1"
SUMMARY = "summary.json"
SIDES: tuple[Side, ...] = ("decoder", "encoder")
# What others make of a match, and what another match makes wrong.
_DERIVED = (
    "metrics.json", "activations.json", "activations.npz", "map.json", "map.npz",
    *(f"{side}-{table}.{ending}" for side in SIDES for table in ("certainty", "partners")
      for ending in ("npz", "json")),
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class _Input:
    """One SAE: what the summary says about it, and its rows."""

    facts: dict[str, Any]
    rows: dict[Side, StoredRows]
    fired: KnownFiring | None


def match_files(
    a: StrPath | LocatedSAE,
    b: StrPath | LocatedSAE,
    sides: Sequence[str],
    out: StrPath,
    *,
    absolute: bool = False,
    m: int = 32,
    candidates: Source = "scan",
    work_dir: StrPath | None = None,
    memory_limit: int | None = None,
    verify: bool = False,
    orientation: Orientation | None = None,
    device: Device = "cpu",
    sha256s: Sequence[str | None] = (None, None),
    first_wins: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Match two SAEs' decoders, encoders or both, and write the matchings and a summary.

    ``out/<side>.npz`` holds a `Matching`'s arrays: ``rows`` and ``cols`` int64, ``cosine``,
    ``row_max`` and ``col_max`` float32, ``row_price``, ``col_price``, ``objective`` and
    ``upper_bound`` float64, and ``absolute``. ``out/summary.json`` holds the inputs with their
    SHA-256, versions, settings, what each side's matching took and reached, and the result of
    `overlap`. Whatever an earlier match left under these names is replaced, once all sides are
    matched, and what `certainty_files` and `metric_files` made of it is deleted; a folder with a
    summary is complete.

    Args:
        a: an SAE folder, or one file, as `load_dictionary` reads it; or a name on the Hugging Face
            Hub, "hf:OWNER/REPO[@REVISION]:PATH" or "saelens:RELEASE/ID"; or what `sae.hub.locate`
            returned for one.
        b: the other. ``identical_inputs`` in the summary says whether both have the same bytes.
        sides: "decoder", "encoder", or both; each is matched on its own.
        out: the folder to write to; made if missing.
        absolute: as for `match`; the criteria then count absolute cosines, too.
        m: as for `match`.
        candidates: as for `match`.
        work_dir: as for `match`; each side has a folder of its own there.
        memory_limit: as for `match`.
        verify: prove each matching again by `verify`; under "verified" in the summary, None for
            numbers that a matching of broken form does not have.
        orientation: as for `load_dictionary`, of both SAEs, where their files do not tell it.
        device: "cuda": both dictionaries are copied to the GPU, which does the scans; the graph is
            solved on the host all the same. On another device the prices may differ, the sums not.
        sha256s: those of the two files of weights, where they are known.
        first_wins: leave a match that is there as it is if it is of these sides of these bytes, in
            this orientation, as when another process has made it meanwhile.
        progress: told how far each phase of each side has come.

    Returns:
        The summary.

    Raises:
        FileNotFoundError: an input does not exist.
        ValueError, TypeError: an input lacks a side or is no dictionary, the two have different
            widths, ``sides`` or ``device`` is not as above, or `match` refuses them.
        OSError: the result or the work folder could not be written, or the Hub not be reached.
    """
    chosen = _check_sides(sides)
    check_device(device)
    options = {
        side: Options(m, candidates, _below(work_dir, side), memory_limit) for side in chosen
    }
    told = progress or silent
    given = zip("ab", (a, b), strict=True)
    places = [locate(path, progress=renamed(told, before=f"{letter} ")) for letter, path in given]
    inputs = [
        _load(place, chosen, orientation, absolute, device, digest)
        for place, digest in zip(places, sha256s, strict=True)
    ]
    for side in chosen:
        check_feasible(inputs[0].rows[side], inputs[1].rows[side], options[side])
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    matchings: dict[Side, Matching] = {}
    blocks: dict[str, Any] = {}
    for side in chosen:
        pair = inputs[0].rows[side], inputs[1].rows[side]
        told_side = renamed(told, before=f"{side} ")
        matching = match_rows(*pair, options[side], told_side)
        proof = _verified(*pair, matching, told_side) if verify else None
        matchings[side] = matching
        blocks[side] = _block(matching, pair[0].d_in, proof)
    summary = {
        "format": FORMAT,
        "versions": _versions(),
        "inputs": {"a": inputs[0].facts, "b": inputs[1].facts},
        "identical_inputs": inputs[0].facts["sha256"] == inputs[1].facts["sha256"],
        "settings": {
            "sides": list(chosen),
            "absolute": absolute,
            "m": m,
            "candidates": candidates,
            "orientation": orientation,
            "device": device,
            "memory_limit": memory_limit,
            "verify": verify,
        },
        "sides": blocks,
        "overlap": _overlap(matchings, inputs[0].facts["d_in"], [each.fired for each in inputs]),
    }
    _write(out, matchings, summary, first_wins)
    return summary


def is_match_of(
    folder: Path, sides: Sequence[Side], sha256s: Sequence[str], orientation: Orientation | None
) -> bool:
    """Return whether a folder holds a complete match.

    Args:
        folder: what `match_files` wrote to, if it did.
        sides: those that the match must have, and no others.
        sha256s: those of the two files of weights.
        orientation: in which they are read, if that was said.
    """
    file = folder / SUMMARY  # written last, so that it stands for all the others
    if not file.is_file():
        return False
    try:
        summary = json.loads(file.read_text())
        hashes = [summary["inputs"][name]["sha256"] for name in "ab"]
        read_as = summary["settings"].get("orientation")
        found = summary["format"], set(summary["sides"]), hashes, read_as
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    return found == (FORMAT, set(sides), list(sha256s), orientation)


def _check_sides(sides: Sequence[str]) -> tuple[Side, ...]:
    chosen = tuple(side for side in SIDES if side in sides)
    if not chosen or len(chosen) != len(sides):
        raise ValueError(f"sides must name 'decoder', 'encoder' or both, not {list(sides)}")
    return chosen


def _below(work_dir: StrPath | None, side: Side) -> Path | None:
    return None if work_dir is None else Path(work_dir) / side


def _load(
    place: LocatedSAE,
    sides: tuple[Side, ...],
    orientation: Orientation | None,
    absolute: bool,
    device: Device,
    known_digest: str | None,
) -> _Input:
    path = place.path
    file = weight_file(path)
    if file.suffix == ".npy" and len(sides) > 1:
        raise ValueError(f"{path} holds one array, which cannot be both decoder and encoder")
    found = {side: read_dictionary(path, side, orientation=orientation) for side in sides}
    rows = {
        side: StoredRows(part.weight.to(device), f"{path} ({side})", absolute)
        for side, part in found.items()
    }
    shapes = {side: tuple(part.weight.shape) for side, part in found.items()}
    if len({num_latents for num_latents, _ in shapes.values()}) != 1:
        raise ValueError(f"{path}: decoder and encoder differ in latents: {shapes}")
    num_latents, d_in = shapes[sides[0]]
    first = found[sides[0]]
    digest = known_digest or sha256(file)
    fired = known_firing(path, digest, num_latents)
    facts = {
        "path": str(path.resolve()),
        **place.facts,
        "file": file.name,
        "sha256": digest,
        "num_latents": num_latents,
        "d_in": d_in,
        "dtype": str(first.weight.dtype).removeprefix("torch."),
        "family": first.family,
        "layout": first.layout,
        "evidence": list(first.evidence),
        "firing": fired and fired.facts,
    }
    return _Input(facts, rows, fired)


def _verified(
    a: StoredRows, b: StoredRows, matching: Matching, progress: Progress
) -> dict[str, Any]:
    start = time.perf_counter()
    certificate = verify_rows(a, b, matching, progress=progress)
    return {
        "valid": certificate.valid,
        "reasons": list(certificate.reasons),
        "objective": _finite(certificate.objective),
        "upper_bound": _finite(certificate.upper_bound),
        "gap": _finite(certificate.gap),
        "worst_violation": _finite(certificate.worst_violation),
        "seconds": time.perf_counter() - start,
    }


def _finite(number: float) -> float | None:
    """Return None for what was not measured: JSON has no NaN."""
    return number if math.isfinite(number) else None


def _block(matching: Matching, d_in: int, proof: dict[str, Any] | None) -> dict[str, Any]:
    a_to_b, b_to_a = mmcs(matching)
    return {
        "objective": matching.objective,
        "upper_bound": matching.upper_bound,
        "gap": matching.gap,
        "certified": matching.certified,
        "seconds": matching.stats["seconds"],
        "peak_memory_bytes": matching.stats["peak_memory_bytes"],
        "mean_cosine": pw_mcc(matching),
        "mmcs_a_to_b": a_to_b,
        "mmcs_b_to_a": b_to_a,
        "chance_floor": chance_floor(len(matching.col_max), d_in),
        "verified": proof,
    }


def renew_live(folder: Path, firing: Sequence[KnownFiring | None]) -> None:
    """Count the live latents of a finished match anew, if their firing counts have changed.

    Args:
        folder: what `match_files` wrote.
        firing: what is known of A and of B now.

    Raises:
        OSError: the summary could not be written.
    """
    summary = json.loads((folder / SUMMARY).read_text())
    known = [each and each.facts for each in firing]
    if [summary["inputs"][letter].get("firing") for letter in "ab"] == known:
        return
    for letter, facts in zip("ab", known, strict=True):
        summary["inputs"][letter]["firing"] = facts
    matchings: dict[Side, Matching] = {
        side: Matching.load(folder / f"{side}.npz") for side in SIDES if side in summary["sides"]
    }
    summary["overlap"] = _overlap(matchings, summary["inputs"]["a"]["d_in"], firing)
    _write_summary(folder, summary)


def _overlap(
    matchings: dict[Side, Matching], d_in: int, firing: Sequence[KnownFiring | None]
) -> dict[str, Any]:
    a, b = firing
    # What others count from the files must be the same number, also where a cosine is so near the
    # threshold that rounding it to float32 takes it to the other side.
    stored = {side: matching.as_stored() for side, matching in matchings.items()}
    return overlap(
        stored.get("decoder"),
        stored.get("encoder"),
        d_in=d_in,
        fired=None if a is None or b is None else (a.count, b.count),
    )


def _versions() -> dict[str, str]:
    packages = ("twinsae", "numpy", "torch")
    return {**{name: version(name) for name in packages}, "python": platform.python_version()}


def _write(
    out: Path, matchings: dict[Side, Matching], summary: dict[str, Any], first_wins: bool
) -> None:
    # The summary goes first and comes last, so that it never describes other files than its own.
    # One that comes after this look is another process's, of the same match, and can stay.
    if (out / SUMMARY).exists():
        hashes = [summary["inputs"][letter]["sha256"] for letter in "ab"]
        read_as = summary["settings"]["orientation"]
        if first_wins and is_match_of(out, list(matchings), hashes, read_as):
            return
        (out / SUMMARY).unlink(missing_ok=True)
    for name in _DERIVED:
        (out / name).unlink(missing_ok=True)
    for side in SIDES:
        if side in matchings:
            matchings[side].save(out / f"{side}.npz")
        else:
            (out / f"{side}.npz").unlink(missing_ok=True)
    _write_summary(out, summary)


def _write_summary(out: Path, summary: dict[str, Any]) -> None:
    text = json.dumps(summary, indent=2, allow_nan=False) + "\n"
    with atomic_write(out / SUMMARY) as temporary:
        temporary.write_text(text)
