"""The page of a training run: the curves of all its SAEs, and their last figures."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...common.files import StrPath
from . import svg, words
from .figures import Curve, training_figure
from .panels import QUANTITIES, Panel, Quantity, drawn
from .svg import house_style
from .templates import write_page
from .training_log import SAELog, TrainingLog, read_run

_MORE = {
    "lr": Quantity("Learning rate", "Learning rate", "Of the optimiser."),
    "sparsity": Quantity("Sparsity weight", "Weight", "The weight of the sparsity penalty."),
    "dense_share": Quantity(
        "Dense steps", "Share of steps", "Share of the steps so far that took plain products, "
        "because many latents were active.",
    ),
}  # fmt: skip
_COLOURS = (svg.BLUE, svg.ORANGE, svg.GREEN, svg.PURPLE, svg.RED, svg.OLIVE)
_STYLES = (("solid", ""), ("dashed", "4 2"), ("dotted", "1 2"))  # of matplotlib and of SVG


class _Look(NamedTuple):
    """How the curves of one kind of SAE are drawn."""

    colour: str
    style: str
    dashes: str


def render_training(run: StrPath) -> Path:
    """Write ``run/report/index.html``, one self-contained page about a training run.

    The same log gives the same bytes.

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
    with house_style():
        panels = [_panel(key, saes, looks) for key in keys]
    variables = _words(folder, logs, saes) | {
        "rows": [_row(sae, looks[sae.name], shared) for sae in saes],
        "panels": panels,
    }
    return write_page(folder, "training.html", variables)


def _words(folder: Path, logs: Sequence[TrainingLog], saes: Sequence[SAELog]) -> dict[str, object]:
    tokens = int(max(sae.tokens[-1] for sae in saes))
    number = f"{len(saes)} SAEs" if len(saes) > 1 else "One SAE"
    fvu = [sae.values["fvu"][-1] for sae in saes]
    spread = f"{min(fvu):.3f}" if len(saes) == 1 else f"from {min(fvu):.3f} to {max(fvu):.3f}"
    subject = [log.model for log in logs if log.model] + [log.hookpoint for log in logs]
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


def _panel(key: str, saes: Sequence[SAELog], looks: dict[str, _Look]) -> Panel:
    quantity = _quantity(key)
    curves = []
    for sae in saes:
        if key in sae.values:
            # What was measured on held-out activations is not in every line.
            known = ~np.isnan(sae.values[key])
            tokens, values = sae.tokens[known], sae.values[key][known]
            look = looks[sae.name]
            curves.append(Curve(sae.name, tokens, values, look.colour, 1.3, look.style))
    figure = training_figure(curves, quantity.axis, whole=key == "dead", log=key == "l0")
    name = re.sub(r"[^a-z0-9]+", "-", f"training-{key}".lower())
    label = f"{quantity.title} of {len(curves)} SAEs against tokens."
    return drawn(figure, name, quantity.title, label, quantity.caption)


def _row(sae: SAELog, look: _Look, shared: str) -> dict[str, object]:
    row: dict[str, object] = {key: float(sae.values[key][-1]) for key in QUANTITIES}
    row["dead"] = int(sae.values["dead"][-1])
    name = sae.name.removeprefix(shared).split("/")
    return row | {"name": name, "look": look, "tokens": int(sae.tokens[-1])}
