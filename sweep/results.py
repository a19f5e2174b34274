"""What a sweep's matches say together: each configuration's seeds, each series, and figures."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ..matching.criteria.series import FACTORS
from ..matching.figures import OF_SEEDS, draw
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


def finish(sweep: Sweep, say: Callable[[str], None]) -> list[Path]:
    """Sum up what is matched so far, and draw every figure that it allows.

    Args:
        sweep: some or all of its pairs are matched.
        say: told what could not be drawn, and why, in one line.

    Returns:
        The figures' SVG files.

    Raises:
        OSError: a file could not be written.
    """
    matched = [group for group in sweep.groups if _is_begun(group)]
    figures: list[Path] = []
    for group in matched:
        group.matcher.finish()
        if len(group.names) > 2:
            figures += _drawn(OF_SEEDS, group.folder, say)
    folders = {group.configuration.folder: group.folder for group in matched}
    for name, members in sweep.grid.series.items():
        own = [folders[each.folder] for each in members if each.folder in folders]
        if not own:
            continue
        out = sweep.out / "series" / name
        factors = [
            Given(factor, each.settings[factor], folders[each.folder])
            for each in members
            if each.folder in folders
            for factor in ("model", *_unknown(members))
        ]
        series(own, factors=factors, out=out)
        figures += _drawn(_figures_of(members), out, say)
    return figures


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


def _drawn(names: Iterable[str], folder: Path, say: Callable[[str], None]) -> list[Path]:
    found = []
    for name in names:
        try:
            options = {"show": _CRITERIA[name]} if name in _CRITERIA else {}
            files = draw(name, folder, **options)
        except (ValueError, FileNotFoundError) as error:
            say(f"{name} of {folder} is not drawn: {error}")
        else:
            found += [file for file in files if file.suffix == ".svg"]
    return found
