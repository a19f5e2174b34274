"""From a figure's name and a folder to its files."""

import json
import os
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ...common.files import StrPath, atomic_write, sha256
from ..match_all import ALL_SUMMARY, CRITERION
from ..match_files import SUMMARY
from . import explained, from_matches, from_seeds, groups, histograms, joint, seeds
from .analyses import ANALYSES, table_of
from .drawing import Drawing
from .from_series import SERIES
from .pairs import Pair, read_pairs
from .score_files import read_scores
from .series_figures import SERIES_FIGURES
from .thresholds import thresholds

FORMAT = "twinsae-figure/1"
SUMMARIES = (SUMMARY, ALL_SUMMARY, SERIES)


def draw(name: str, data: StrPath, out: StrPath | None = None, **options: Any) -> list[Path]:
    """Draw one figure and write it as SVG, PNG and CSV, with a JSON file that says from what.

    Args:
        name: one of `FIGURES`.
        data: the folder to draw from: of `twinsae match` or `twinsae match-all`; for figures of a
            series ("by-size" and its like), of `twinsae series`, or one with matches below it; for
            those of further analyses ("certainty" and its like), one with the table that the
            command of that name writes. For "explanations", a table of scores.
        out: where to write; by default the folder ``figures`` in ``data``, or beside the table.
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
    beside = place.parent if place.is_file() else place
    folder = beside / "figures" if out is None else Path(out)
    files = FIGURES[name](place, **options).save(folder, name)
    told = folder / f"{name}.json"
    with atomic_write(told) as temporary:
        temporary.write_text(json.dumps(_provenance(name, place, folder, options), indent=2) + "\n")
    return [*files, told]


def _alignment(folder: Path) -> Drawing:
    pairs = read_pairs(folder)
    return joint.alignment(
        from_matches.matched_latents(pairs),
        threshold=_threshold(pairs),
        chance_floor=from_matches.largest_floor(pairs),
    )


def _max_vs_matched(folder: Path, side: str = "decoder") -> Drawing:
    pairs = read_pairs(folder)
    table = from_matches.matched_latents(pairs, (side,))
    return joint.max_vs_matched(table, side=side, threshold=_threshold(pairs))


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


def _unique_by_seeds(folder: Path) -> Drawing:
    table, fit = from_seeds.only_in_one(folder)
    return seeds.unique_by_seeds(table, criterion=_criterion(folder), fit=fit)


def _counts_by_seeds(folder: Path) -> Drawing:
    return seeds.counts_by_seeds(from_seeds.in_exactly(folder), criterion=_criterion(folder))


def _donut(folder: Path) -> Drawing:
    return seeds.donut(from_seeds.in_exactly(folder), criterion=_criterion(folder))


def _heat_map(folder: Path) -> Drawing:
    return seeds.heat_map(from_seeds.shared_by_pairs(folder), criterion=_criterion(folder))


def _frequency(folder: Path) -> Drawing:
    latents = from_seeds.read_latents(folder)
    table, tokens = from_seeds.fired(latents)
    return groups.frequency(
        table, num_saes=latents.num_saes, criterion=_criterion(folder), tokens=tokens
    )


def _scores(folder: Path, scores: StrPath) -> Drawing:
    latents = from_seeds.read_latents(folder)
    table = from_seeds.scored(latents, read_scores(scores))
    return groups.scores(table, num_saes=latents.num_saes, criterion=_criterion(folder))


def _score_histogram(folder: Path, scores: StrPath) -> Drawing:
    latents = from_seeds.read_latents(folder)
    table = from_seeds.scored(latents, read_scores(scores))
    return groups.score_histogram(table, num_saes=latents.num_saes, criterion=_criterion(folder))


def _score_pairs(folder: Path, scores: StrPath) -> Drawing:
    table = from_matches.scores_of_matches(read_pairs(folder), read_scores(scores))
    return explained.score_pairs(table)


def _explanations(file: Path) -> Drawing:
    return explained.explanations(read_scores(file))


def _explained_cosine(folder: Path, scores: StrPath) -> Drawing:
    pairs = read_pairs(folder)
    if len(pairs) > 1:
        raise ValueError(
            f"{folder} holds {len(pairs)} pairs, and cosines of explanations are of one: give its "
            f"folder, such as {pairs[0].folder}"
        )
    table = from_matches.explained_matches(pairs[0], read_scores(scores))
    return explained.explained_cosine(table, threshold=_threshold(pairs))


FIGURES: dict[str, Callable[..., Drawing]] = {
    "alignment": _alignment,
    "unique-by-seeds": _unique_by_seeds,
    "frequency": _frequency,
    "thresholds": _thresholds,
    "max-vs-matched": _max_vs_matched,
    "max-cosine": _max_cosine,
    "scores": _scores,
    "score-histogram": _score_histogram,
    "score-pairs": _score_pairs,
    "explanations": _explanations,
    "donut": _donut,
    "heat-map": _heat_map,
    "counts-by-seeds": _counts_by_seeds,
    "matched-cosine": _matched_cosine,
    "explained-cosine": _explained_cosine,
    **SERIES_FIGURES,
    **{name: analysis.draw for name, analysis in ANALYSES.items()},
}


def _criterion(folder: Path) -> str:
    """Say what counts as shared, as an axis says it."""
    return f"{CRITERION}, cosine > {_threshold(read_pairs(folder)):g}"


def _threshold(pairs: list[Pair]) -> float:
    return float(pairs[0].summary["overlap"]["threshold"])


def _provenance(name: str, place: Path, folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Say what a figure in ``folder`` is of; paths are from there, as the folder may travel."""
    files = [path for path in (place, *(place / file for file in SUMMARIES)) if path.is_file()]
    if name in ANALYSES:
        files.append(table_of(name, place, **options))
    # A series that is made on the spot is of all matches below.
    files = files or sorted(place.rglob(SUMMARY))
    files += [Path(options["scores"])] if "scores" in options else []
    return {
        "format": FORMAT,
        "figure": name,
        "versions": {package: version(package) for package in ("twinsae", "matplotlib")},
        "options": {key: str(value) for key, value in options.items()},
        "from": [
            {
                "path": Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix(),
                "sha256": sha256(path),
            }
            for path in files
        ],
    }
