"""The figures that a folder is enough for, drawn beside the page and put into it."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from ..figures import draw
from ..figures.from_seeds import fired, read_latents
from ..figures.pairs import Pair
from ..figures.thresholds import LINES
from . import links, words
from .catalogue import BOTH, CATALOGUE, EITHER, FIRING, SCORES, SEEDS, Entry
from .inline import inline_svg

FOLDER = "figures"
POINTS_WIDE = 500  # of a figure that half the page's width would make too small to read


class Source(NamedTuple):
    """What a report is of."""

    folder: Path
    pairs: Sequence[Pair]
    complete: bool
    """Whether three SAEs or more are matched, some with all others."""
    scores: Path | None = None
    """A table of scores of explanations."""

    @property
    def is_both(self) -> bool:
        """Whether every pair has a matching of the decoders and one of the encoders."""
        return all({"decoder", "encoder"} <= set(pair.summary["sides"]) for pair in self.pairs)


class Shown(NamedTuple):
    """A figure on the page, or a line on why it is not there."""

    entry: Entry
    svg: Markup | None
    note: str
    """What the figure is of; or what is wrong with what it needs."""
    files: Mapping[str, str]
    """{what it is called: its address}, to take along."""
    view: str | None = None
    """The same in the latent browser."""
    wide: bool = False
    """Whether it takes the page's whole width."""


def shown_figures(source: Source, report: Path, *, browser: bool) -> list[Shown]:
    """Draw each figure that can be drawn into ``report/figures``; return all, in the paper's order.

    Args:
        source: what to draw.
        report: the folder of the page.
        browser: whether the page may link into the latent browser.

    Raises:
        FileNotFoundError, ValueError: a file is gone or damaged.
        OSError: a file could not be written.
    """
    found = []
    met, reason = _met(source)
    for entry in CATALOGUE:
        if entry.needs in met:
            found.append(_drawn(entry, source, report, browser=browser))
        elif entry.needs == SCORES and source.scores is not None:
            found.append(_scored(entry, source, report, browser=browser))
        else:
            found.append(Shown(entry, None, reason if entry.needs == FIRING else "", {}))
    return found


def _scored(entry: Entry, source: Source, report: Path, *, browser: bool) -> Shown:
    """Draw a figure of scores, unless the table lacks what it needs."""
    try:
        return _drawn(entry, source, report, browser=browser)
    except ValueError as error:
        return Shown(entry, None, f" ({words.without_paths(str(error))})", {})


def _met(source: Source) -> tuple[set[str], str]:
    """Return which needs are met, and what is wrong with the firing counts if they are not."""
    if not source.is_both:
        return {EITHER}, ""
    met = {EITHER, BOTH} | ({SEEDS} if source.complete else set())
    try:
        fired(read_latents(source.folder))
    except (FileNotFoundError, ValueError) as error:  # a pair's counts lie with its SAEs
        return met, f" ({words.without_paths(str(error))})"
    return met | {FIRING}, ""


def _drawn(entry: Entry, source: Source, report: Path, *, browser: bool) -> Shown:
    pair = source.pairs[0]
    alone = entry.first_pair and len(source.pairs) > 1
    options: dict[str, Any] = {}
    if entry.needs == EITHER and "decoder" not in pair.summary["sides"] and entry.first_pair:
        options["side"] = "encoder"
    place = pair.folder if entry.first_pair else source.folder
    if entry.needs == SCORES and source.scores is not None:
        if entry.name == "explanations":
            place = source.scores
        else:
            options["scores"] = source.scores
    written = draw(entry.name, place, report / FOLDER, **options)
    files = {_called(path, entry.name): f"{FOLDER}/{path.name}" for path in written}
    label = f"{entry.title}. {entry.reads}"
    note = _at_threshold(source) if entry.name == "thresholds" else ""
    if alone:
        note = f"Of {pair.a} and {pair.b}; the report of another pair's folder draws that one."
    view = links.view(pair.a, pair.b, **entry.view) if browser and entry.view else None
    text = written[0].read_text(encoding="utf-8")
    width = float(re.findall(r'viewBox="0 0 ([\d.]+)', text)[0])
    svg = inline_svg(text, entry.name, label)
    return Shown(entry, svg, note, files, view, width > POINTS_WIDE)


def _at_threshold(source: Source) -> str:
    """Give the lines' heights at the threshold in use, which lies between two of their points."""
    overlaps = [pair.summary["overlap"] for pair in source.pairs]
    shares = {
        name: sum(overlap["criteria"][name] for overlap in overlaps) / len(overlaps)
        for name in LINES
    }
    told = ", ".join(f"{name} {words.percent(share)}" for name, share in shares.items())
    return f"At {overlaps[0]['threshold']:g}: {told}."


def _called(path: Path, name: str) -> str:
    """Call a file by its ending, or by its panel and ending."""
    panel = path.stem.removeprefix(name).strip("-").replace("-", " ")
    ending = path.suffix[1:].upper()
    return f"{ending} of the {panel}" if panel else ending
