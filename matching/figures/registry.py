"""From a figure's name and a folder to its files."""

import json
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ...common.files import StrPath, atomic_write, sha256
from ..match_all import ALL_SUMMARY
from ..match_files import SUMMARY
from . import from_matches, histograms, joint
from .drawing import Drawing
from .pairs import Pair, read_pairs
from .thresholds import thresholds

FORMAT = "twinsae-figure/1"


def draw(name: str, data: StrPath, out: StrPath | None = None, **options: Any) -> list[Path]:
    """Draw one figure and write it as SVG, PNG and CSV, with a JSON file that says from what.

    Args:
        name: one of `FIGURES`.
        data: the folder to draw from: of `twinsae match` or of `twinsae match-all`.
        out: where to write; by default the folder ``figures`` in ``data``.
        options: the figure's own; see its function in this module.

    Returns:
        The paths of all files.

    Raises:
        FileNotFoundError: a file that the figure needs is not there.
        ValueError: there is no such figure, or a file is damaged or does not hold what is needed.
        OSError: a file could not be written.
    """
    if name not in FIGURES:
        raise ValueError(f"figure: expected one of {', '.join(FIGURES)}, got {name!r}")
    place = Path(data)
    folder = place / "figures" if out is None else Path(out)
    files = FIGURES[name](place, **options).save(folder, name)
    told = folder / f"{name}.json"
    with atomic_write(told) as temporary:
        temporary.write_text(json.dumps(_provenance(name, place, options), indent=2) + "\n")
    return [*files, told]


def _alignment(folder: Path) -> Drawing:
    pairs = read_pairs(folder)
    return joint.alignment(
        from_matches.matched_latents(pairs),
        threshold=_threshold(pairs),
        chance_floor=from_matches.largest_floor(pairs),
    )


def _max_against_matched(folder: Path, side: str = "decoder") -> Drawing:
    pairs = read_pairs(folder)
    table = from_matches.matched_latents(pairs, (side,))
    return joint.max_against_matched(table, side=side, threshold=_threshold(pairs))


def _thresholds(folder: Path) -> Drawing:
    pairs = read_pairs(folder)
    return thresholds(from_matches.swept_thresholds(pairs), threshold=_threshold(pairs))


def _max_cosine(folder: Path) -> Drawing:
    pairs = read_pairs(folder)
    sides = [side for side in from_matches.BOTH if all(side in p.summary["sides"] for p in pairs)]
    table = from_matches.matched_latents(pairs, sides)
    return histograms.max_cosine(table, chance_floor=from_matches.largest_floor(pairs, sides))


def _matched_cosine(folder: Path) -> Drawing:
    pairs = read_pairs(folder)
    return histograms.matched_cosine(
        from_matches.matched_latents(pairs), threshold=_threshold(pairs)
    )


FIGURES: dict[str, Callable[..., Drawing]] = {
    "alignment": _alignment,
    "max-vs-matched": _max_against_matched,
    "thresholds": _thresholds,
    "max-cosine": _max_cosine,
    "matched-cosine": _matched_cosine,
}


def _threshold(pairs: list[Pair]) -> float:
    return float(pairs[0].summary["overlap"]["threshold"])


def _provenance(name: str, place: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    files = [place / file for file in (SUMMARY, ALL_SUMMARY) if (place / file).is_file()]
    files += [Path(value) for value in options.values() if isinstance(value, Path)]
    return {
        "format": FORMAT,
        "figure": name,
        "versions": {package: version(package) for package in ("twinsae", "matplotlib")},
        "options": {key: str(value) for key, value in options.items()},
        "from": [{"path": str(path.resolve()), "sha256": sha256(path)} for path in files],
    }
