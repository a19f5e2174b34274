"""What a sweep's matches say together: each configuration's seeds, each series, and pages."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..common.running import why_failed
from ..matching.criteria.series import FACTORS
from ..matching.figures import draw
from ..matching.report import render
from ..matching.series import Given, series
from .configurations import Configuration
from .running import Sweep
from .tasks import Group

_SHOWN = {
    "num_latents": ("by-size", "cosine-by-size"),
    "expansion_factor": ("by-size", "cosine-by-size"),
    "k": ("by-k", "cosine-by-k"),
    "tokens": ("by-tokens", "cosine-by-tokens"),
    "epochs": ("by-tokens", "cosine-by-tokens"),
    "hookpoint": ("by-layer", "by-model"),
    "model": ("by-model",),
    "architecture": ("by-architecture",),
}
"""The figures of a series that varies a factor."""
_CRITERIA = {"by-layer": "and", "by-model": "decoder", "by-architecture": "decoder"}
"""What the paper's bars show."""


def finish(sweep: Sweep, say: Callable[[str], None]) -> Path | None:
    """Sum up what is matched so far, and draw all that it allows.

    Each configuration's matches get ``seeds.json``, and those of three or more seeds a report; each
    series gets ``series.csv`` with its figures; and one page lists all matches.

    Args:
        sweep: some or all of its pairs are matched.
        say: told where a figure is, or why it could not be drawn, in one line.

    Returns:
        The page; None if nothing is matched yet.

    Raises:
        OSError: a file could not be written.
    """
    matched = [group for group in sweep.groups if _is_begun(group)]
    if not matched:
        return None
    for group in matched:
        group.matcher.finish({task.pair: why_failed(sweep.out, task.name) for task in group.tasks})
        if len(group.names) > 2:
            render(group.folder, say=say)
    folders = {group.configuration.folder: group.folder for group in matched}
    for name, members in sweep.grid.series.items():
        known = [each for each in members if each.folder in folders]
        if known:
            _sum_up(known, folders, sweep.out / "series" / name, say)
    return render(sweep.out, say=say)


def _sum_up(
    members: Sequence[Configuration],
    folders: Mapping[str, Path],
    out: Path,
    say: Callable[[str], None],
) -> None:
    factors = [
        Given(factor, each.settings[factor], folders[each.folder])
        for each in members
        for factor in ("model", *_unknown(members))
    ]
    series([folders[each.folder] for each in members], factors=factors, out=out)
    for name in _figures_of(members):
        options = {"show": _CRITERIA[name]} if name in _CRITERIA else {}
        try:
            files = draw(name, out, **options)
        except (ValueError, FileNotFoundError) as error:
            say(f"{name} of {out} is not drawn: {error}")
        else:
            say(f"figure: {files[0]}")


def _is_begun(group: Group) -> bool:
    """Return whether all SAEs and at least one match are there."""
    return all(sae.is_dir() for sae in group.saes) and any(
        group.matcher.is_done(pair) for pair in group.pairs
    )


def _varied(members: Sequence[Configuration]) -> list[str]:
    """Return the factors in which configurations differ."""
    first, *others = members
    names = first.settings
    return [n for n in names if any(each.settings[n] != first.settings[n] for each in others)]


def _unknown(members: Sequence[Configuration]) -> list[str]:
    """Return those of them that a series does not find by itself."""
    found = (*FACTORS, "epochs", "expansion_factor")  # these as tokens, and as latents
    return [name for name in _varied(members) if name not in found]


def _figures_of(members: Sequence[Configuration]) -> list[str]:
    """Return the figures of the factors in which a series' configurations differ."""
    varied = _varied(members)
    return [*dict.fromkeys(figure for name in varied for figure in _SHOWN.get(name, ()))]
