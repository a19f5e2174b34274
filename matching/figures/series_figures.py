"""The paper's Figs 4 and 5 by name, from a folder of `twinsae series` or of matches."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from ..criteria.series import MEASURES, Row
from . import from_series
from .drawing import Drawing
from .series import COSINES, FRACTIONS, Shown, bars, by_number

AXES = {
    "num_latents": "Number of latents",
    "k": "Active latents k",
    "tokens": "Training tokens",
    "layer": "Layer",
    "model": "Model",
    "architecture": "Architecture",
}
LIVE = "live_"


def _against_number(folder: Path, *, factor: str, shown: Sequence[Shown]) -> Drawing:
    rows = from_series.read_series(folder)
    from_series.numbers(rows, factor)
    found = from_series.means(rows, [factor], [series.column for series in shown])
    share = f"Fraction of latents (cosine > {_thresholds(rows)}, of all latents)"
    value = "Mean cosine similarity" if shown is COSINES else share
    return by_number(
        found.table, factor=factor, axis=AXES[factor], shown=shown, value=value, note=found.note
    )


def _as_bars(folder: Path, show: str, *, factor: str, hue: str | None) -> Drawing:
    if show not in MEASURES:
        raise ValueError(f"show: expected one of {', '.join(MEASURES)}, got {show!r}")
    rows = from_series.read_series(folder)
    coloured = hue if hue and from_series.known(rows, hue) else None
    by = [factor, coloured] if coloured else [factor]
    found = from_series.means(rows, by, [show])
    return bars(
        found.table, factor=factor, axis=AXES[factor], hue=coloured, measure=show,
        value=_value(show, rows), note=found.note,
    )  # fmt: skip


def _value(measure: str, rows: Sequence[Row]) -> str:
    """Say what the height of a bar is: which share, of which latents."""
    side, _, kind = measure.partition("_")
    if kind == "cosine":
        return f"Mean cosine of the {side}s' matches"
    if kind == "mmcs":
        return f"Mean best cosine of the {side}s"
    among = "live" if measure.startswith(LIVE) else "all"
    name = measure.removeprefix(LIVE)
    over = "" if name == "equal" else f", cosine > {_thresholds(rows)}"
    return f"Fraction of shared latents\n({name}{over}, of {among} latents)"


def _thresholds(rows: Sequence[Row]) -> str:
    return " or ".join(f"{number:g}" for number in sorted({row["threshold"] for row in rows}))


SERIES_FIGURES: dict[str, Callable[..., Drawing]] = {
    "by-size": partial(_against_number, factor="num_latents", shown=FRACTIONS),
    "by-k": partial(_against_number, factor="k", shown=FRACTIONS),
    "by-tokens": partial(_against_number, factor="tokens", shown=FRACTIONS),
    "by-layer": partial(_as_bars, factor="layer", hue="num_latents"),
    "by-model": partial(_as_bars, factor="model", hue="position"),
    "by-architecture": partial(_as_bars, factor="architecture", hue=None),
    "cosine-by-size": partial(_against_number, factor="num_latents", shown=COSINES),
    "cosine-by-k": partial(_against_number, factor="k", shown=COSINES),
    "cosine-by-tokens": partial(_against_number, factor="tokens", shown=COSINES),
    "by-site": partial(_as_bars, factor="num_latents", hue="position"),
}
