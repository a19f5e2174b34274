"""The page of a training run: the curves of all its SAEs, and their last figures."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from ...common.files import StrPath
from ..figures.style import MUTED, SERIES
from . import words
from .drawn import FOLDER
from .inline import inline_svg
from .listing import matches_below
from .templates import write_page
from .training_figure import Curve, training_figure
from .training_log import SAELog, TrainingLog, read_run


class Quantity(NamedTuple):
    """Something that training logs, in the words of its panel."""

    title: str
    axis: str
    caption: str


class Panel(NamedTuple):
    """A figure on the page."""

    name: str
    title: str
    svg: Markup
    caption: str
    files: dict[str, str]


QUANTITIES = {
    "fvu": Quantity("FVU", "FVU", "Fraction of variance unexplained; 1 is predicting the mean."),
    "l0": Quantity("L0", "Active latents a token", "Mean number of latents active on a token."),
    "dead": Quantity("Dead latents", "Latents", "Latents that have long been silent."),
}
"""What every run logs of its SAEs."""

_MORE = {
    "lr": Quantity("Learning rate", "Learning rate", "Of the optimiser."),
    "sparsity": Quantity("Sparsity weight", "Weight", "The weight of the sparsity penalty."),
    "dense_share": Quantity(
        "Dense steps", "Share of steps", "Share of the steps so far that took plain products, "
        "because many latents were active.",
    ),
}  # fmt: skip
_COLOURS = (*SERIES[:-1], MUTED)  # the line of the table in black would vanish in the dark
_STYLES = (("solid", ""), ("dashed", "4 2"), ("dotted", "1 2"))  # of matplotlib and of SVG


class _Look(NamedTuple):
    """How the curves of one kind of SAE are drawn."""

    colour: str
    style: str
    dashes: str


def render_training(run: StrPath) -> Path:
    """Write ``run/report/index.html``: how training went, and which matches lie in the run.

    The page is complete without any other file; its figures lie beside it, to take along. The same
    files give the same bytes.

    Args:
        run: a folder written by ``train``.

    Returns:
        The path of the page.

    Raises:
        FileNotFoundError: there is no ``log.jsonl`` in it.
        ValueError: the log is damaged, or empty.
    """
    folder = Path(run)
    logs = read_run(folder)
    saes = [sae for log in logs for sae in log.saes]
    if not saes:
        raise ValueError(f"{folder / 'log.jsonl'} has no line yet: nothing to draw")
    looks = _looks([sae.name for sae in saes])
    keys = list(dict.fromkeys([*QUANTITIES, *_MORE, *(key for sae in saes for key in sae.values)]))
    keys = [key for key in keys if any(key in sae.values for sae in saes)]
    shared = f"{logs[0].hookpoint}/" if len(logs) == 1 else ""  # is said once, at the top
    flat, telling = _flat(keys, saes)
    variables = _words(folder, logs, saes) | {
        "rows": [_row(sae, looks[sae.name], shared) for sae in saes],
        "panels": [_panel(key, saes, looks, folder / "report" / FOLDER) for key in telling],
        "flat": flat,
        "matches": matches_below(folder),
    }
    return write_page(folder, "training.html", variables)


def _words(folder: Path, logs: Sequence[TrainingLog], saes: Sequence[SAELog]) -> dict[str, object]:
    tokens = int(max(sae.tokens[-1] for sae in saes))
    number = f"{len(saes)} SAEs" if len(saes) > 1 else "One SAE"
    fvu = [sae.values["fvu"][-1] for sae in saes]
    spread = f"{min(fvu):.3f}" if len(saes) == 1 else f"from {min(fvu):.3f} to {max(fvu):.3f}"
    models = [words.place(log.model) for log in logs if log.model]
    subject = models + [log.hookpoint for log in logs]
    return {
        "headline": f"{number} after {words.count(tokens)} tokens",
        "lede": f"FVU {spread} at the last logged step of each.",
        "subject": list(dict.fromkeys(subject)),
        "run": folder.resolve().name,
    }


def _looks(names: Sequence[str]) -> dict[str, _Look]:
    """Give each kind of SAE its look, for all its seeds; or each seed, if there is one kind."""
    kinds = {name: re.sub(r"/?seed\d+$", "", name) for name in names}
    if len(set(kinds.values())) == 1:
        kinds = {name: name for name in names}
    order = list(dict.fromkeys(kinds.values()))
    looks = {}
    for name, kind in kinds.items():
        cycle, place = divmod(order.index(kind), len(_COLOURS))
        looks[name] = _Look(_COLOURS[place], *_STYLES[cycle % len(_STYLES)])
    return looks


def _quantity(key: str) -> Quantity:
    if key.startswith("held_out_"):
        what = key.removeprefix("held_out_").replace("_", " ")
        return Quantity(f"Held out: {what}", what, "Measured on activations not trained on.")
    known = QUANTITIES | _MORE
    term = "A term of the loss, as it is added to the FVU."
    return known.get(key) or Quantity(f"Loss: {key}", key, term)


def _flat(keys: Sequence[str], saes: Sequence[SAELog]) -> tuple[list[str], list[str]]:
    """Split what is logged: what is one number throughout, in words, and what needs a curve.

    L0 of a TopK SAE is k at every step, for example.
    """
    flat, telling = [], []
    for key in keys:
        logged = np.concatenate([sae.values[key] for sae in saes if key in sae.values])
        values = np.unique(logged[np.isfinite(logged)])
        if values.size == 1 and logged.size > len(saes) and key != "fvu":
            flat.append(f"{_quantity(key).title} is {values[0]:g} at every step.")
        else:
            telling.append(key)
    return flat, telling


def _panel(key: str, saes: Sequence[SAELog], looks: dict[str, _Look], place: Path) -> Panel:
    quantity = _quantity(key)
    curves = []
    for sae in saes:
        if key in sae.values:
            # What was measured on held-out activations is not in every line.
            known = ~np.isnan(sae.values[key])
            tokens, values = sae.tokens[known], sae.values[key][known]
            look = looks[sae.name]
            curves.append(Curve(sae.name, tokens, values, look.colour, look.style))
    drawing = training_figure(curves, quantity.axis, whole=key == "dead", log=key == "l0")
    name = re.sub(r"[^a-z0-9]+", "-", f"training-{key}".lower())
    written = drawing.save(place, name)
    files = {path.suffix[1:].upper(): f"{FOLDER}/{path.name}" for path in written}
    label = f"{quantity.title} of {len(curves)} SAEs against tokens."
    svg = inline_svg(written[0].read_text(encoding="utf-8"), name, label)
    return Panel(name, quantity.title, svg, quantity.caption, files)


def _row(sae: SAELog, look: _Look, shared: str) -> dict[str, object]:
    row: dict[str, object] = {key: float(sae.values[key][-1]) for key in QUANTITIES}
    row["dead"] = int(sae.values["dead"][-1])
    name = sae.name.removeprefix(shared).split("/")
    return row | {"name": name, "look": look, "tokens": int(sae.tokens[-1])}
