"""`twinsae report`: one folder with a page, for whatever our commands wrote."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...common.files import StrPath
from ...common.progress import Progress
from ...sae.training.log import LOG, find_run
from ..figures.pairs import Pair, read_pairs, read_seeds
from ..match_all import ALL_SUMMARY
from ..match_files import SUMMARY
from . import latents, words
from .drawn import Source, shown_figures
from .examples import examples
from .latents.interpretations import Interpretations, read_interpretations
from .listing import render_listing
from .overview import CONTENTS, Variables, subject
from .pair_page import pair_variables
from .seeds_page import seeds_variables
from .templates import write_page
from .training_log import TrainingLog, read_run_of
from .training_page import render_training

FEWEST_SEEDS = 3  # of figures over seeds


def render(
    folder: StrPath,
    *,
    run: StrPath | None = None,
    baseline: StrPath | None = None,
    scores: StrPath | None = None,
    explanations: Sequence[tuple[str | None, StrPath]] = (),
    say: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write ``folder/report/``: a page with all that the folder tells.

    Of a match, or of many matches, ``index.html`` has the figures of arXiv 2501.16615 that the
    folder is enough for, in the paper's order, and names what the others need; it is complete
    without any other file. Beside it lie the figures to take along, and the latent browser,
    ``latents.html`` with its data. The same files give the same bytes.

    Args:
        folder: what `match_files`, `match_all`, `train` or `series` wrote, or a folder with matches
            below it.
        run: of a match: a folder written by ``train``, whose ``log.jsonl`` tells model, hookpoint
            and how training ended; by default it is looked for around the first SAE, at most four
            folders up.
        baseline: of a match: another folder of the same kind, shown beside, such as that of
            untrained SAEs.
        scores: of a match: a CSV table of scores of explanations, for the latent browser and the
            figures of scores; see `figures.score_files.read_scores`.
        explanations: of a match: texts for the latent browser; see
            `latents.interpretations.read_interpretations`.
        say: is told in a line if the latents cannot be browsed, and why.
        progress: told how far the data of the latent browser have come.

    Returns:
        The path of the page.

    Raises:
        FileNotFoundError: it is no such folder, or a file in it is gone.
        ValueError: a file is damaged or does not fit, or an option is of no use to such a folder.
        OSError: a file could not be written.
    """
    place = Path(folder)
    if any((place / name).is_file() for name in (SUMMARY, ALL_SUMMARY)):
        pairs = read_pairs(place)
        log = _log(pairs[0], run)
        other = None if baseline is None else _baseline(Path(baseline), place, pairs)
        title = " of ".join(reversed(subject(log)))
        said = read_interpretations(place, scores=scores, explanations=explanations)
        reason = _browse(place, said, title, say or _nobody, progress)
        table = None if scores is None else Path(scores)
        return _write(place, pairs, other, log, table, reason)
    options = {"run": run, "baseline": baseline, "scores": scores, "explanations": explanations}
    for name, given in options.items():
        if given:
            raise ValueError(f"{name}: only for the report of a match, and {place} is none")
    if (place / LOG).is_file():
        return render_training(place)
    return render_listing(place)


def _nobody(_line: str) -> None:
    """Is told, and does nothing."""


def _log(pair: Pair, run: StrPath | None) -> TrainingLog | None:
    """Return the training log of the first SAE, from the run given or found around it."""
    sae = Path(pair.summary["inputs"]["a"]["path"])
    folder = find_run(sae) if run is None else Path(run)
    return None if folder is None else read_run_of(folder, sae)


def _write(
    folder: Path,
    pairs: list[Pair],
    baseline: Path | None,
    log: TrainingLog | None,
    scores: Path | None,
    reason: str,
) -> Path:
    """Write the page; ``reason`` says why the latents cannot be browsed, if they cannot."""
    seeds = None if (folder / SUMMARY).is_file() else read_seeds(folder)
    browser = not reason
    variables = _variables(folder, pairs, seeds, baseline, log, browser=browser)
    many = seeds is not None and len(seeds["dictionaries"]) >= FEWEST_SEEDS
    source = Source(folder, pairs, many and bool(seeds and seeds["in_exactly"]), scores)
    variables |= {
        "no_browser": reason,
        "figures": shown_figures(source, folder / "report", browser=browser),
        "examples": examples(pairs[0], browser=browser),
        "example_pair": (pairs[0].a, pairs[0].b),
        "contents": {k: v for k, v in CONTENTS.items() if k != "seeds" or variables["heat"]},
    }
    return write_page(folder, "overview.html", variables)


def _variables(
    folder: Path,
    pairs: list[Pair],
    seeds: dict[str, Any] | None,
    baseline: Path | None,
    log: TrainingLog | None,
    *,
    browser: bool,
) -> Variables:
    if seeds is None:
        other = None if baseline is None else read_pairs(baseline)[0]
        return pair_variables(pairs[0], other, log, browser=browser)
    others = None if baseline is None else read_seeds(baseline)
    return seeds_variables(folder, seeds, pairs, others, log, browser=browser)


def _baseline(baseline: Path, folder: Path, pairs: list[Pair]) -> Path:
    """Return the baseline's folder, or raise unless it counts as the match does."""
    kind = SUMMARY if (folder / SUMMARY).is_file() else ALL_SUMMARY
    if not (baseline / kind).is_file():
        raise FileNotFoundError(
            f"baseline: no {kind} in {baseline}: expected a folder of the same command as {folder}"
        )
    other = read_pairs(baseline)[0]
    mine, theirs = (each.summary["overlap"]["threshold"] for each in (pairs[0], other))
    if mine != theirs:
        raise ValueError(f"{baseline} counts at threshold {theirs}, expected {mine} as in {folder}")
    return baseline


def _browse(
    folder: Path,
    said: Interpretations,
    title: str,
    say: Callable[[str], None],
    progress: Progress | None,
) -> str:
    """Write the latent browser; return why it cannot be written, or nothing."""
    try:
        latents.write_browser(
            folder,
            folder / "report",
            scores=said.scores,
            explanations=said.explanations,
            title=title,
            progress=progress,
        )
    except (FileNotFoundError, ValueError) as error:
        line = " ".join(str(error).split())
        say(f"the latents cannot be browsed: {line}")
        return words.without_paths(line)
    return ""
