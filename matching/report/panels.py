"""Each figure with its title, caption and spoken label, ready for the page."""

from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup
from matplotlib.figure import Figure

from . import svg
from .data import MatchFolder
from .figures import Curve, histogram_figure, sweep_figure, training_figure
from .joint import joint_figure, joint_groups
from .svg import house_style, inline_svg
from .training_log import TrainingLog
from .words import percent


@dataclass(frozen=True)
class Panel:
    """A figure on the page; ``name`` is its element's id."""

    name: str
    title: str
    svg: Markup
    caption: str


class Quantity(NamedTuple):
    """Something that training logs, in the words of its panel."""

    title: str
    axis: str
    caption: str


QUANTITIES = {
    "fvu": Quantity("FVU", "FVU", "Fraction of variance unexplained; 1 is predicting the mean."),
    "l0": Quantity("L0", "Active latents a token", "Mean number of latents active on a token."),
    "dead": Quantity("Dead latents", "Latents", "Latents that have long been silent."),
}
"""What every run logs of its SAEs."""


def joint_panel(match: MatchFolder) -> Panel | None:
    """Return the paper's Fig 1, or None where one side only was matched."""
    if not {"decoder", "encoder"} <= match.sides.keys():
        return None
    decoder, encoder = match.sides["decoder"], match.sides["encoder"]
    groups = joint_groups(decoder, encoder)
    total = sum(group.decoder.size for group in groups)
    equal = groups[-1].decoder.size
    with house_style():
        figure = joint_figure(groups, match.threshold, decoder.chance_floor)
        label = (
            f"Scatter of encoder cosine against decoder cosine of {total:,} matched latents; "
            f"for {equal:,} of them both matchings name the same partner."
        )
        drawing = inline_svg(figure, "joint", label)
    caption = (
        "One point per latent of A. Blue: decoder and encoder matching name the same latent of B. "
        "Orange: they name different ones. The contours enclose 20 to 95 % of each colour; the "
        f"curves outside are its densities. Shared latents lie beyond both dashed lines at "
        f"{match.threshold:g}; dotted is the chance floor."
    )
    return Panel("joint", "Both matchings at once", drawing, caption)


def cosine_panels(match: MatchFolder, untrained: MatchFolder | None) -> list[Panel]:
    """Return the threshold sweep and the histograms of matched cosines."""
    overlap = match.summary["overlap"]
    shares = ", ".join(f"{name} {percent(value)}" for name, value in overlap["criteria"].items())
    sides = " and ".join(match.sides)
    beside = " The untrained SAEs are dashed." if untrained else ""
    outlined = (
        " The outline, which may leave the panel, is the untrained pair." if untrained else ""
    )
    with house_style():
        sweep = drawn(
            sweep_figure(match, untrained),
            "sweep",
            "Threshold sweep",
            f"Share of latents against the cosine threshold; at {match.threshold:g}: {shares}.",
            f"How much of A counts as shared if the bar is set elsewhere than at "
            f"{match.threshold:g}.{beside}",
        )
        histogram = drawn(
            histogram_figure(match, untrained),
            "histogram",
            "Cosines of matched latents",
            f"Histograms of the matched cosines, {sides}.",
            f"Two heaps mean two kinds of latents: found again, and not.{outlined} Cosines near "
            "the dotted line are what unrelated directions reach.",
        )
    return [sweep, histogram]


def training_panels(match: MatchFolder, log: TrainingLog | None) -> list[Panel]:
    """Return the curves of FVU, L0 and dead latents, A's and B's on top; none without a log."""
    if log is None:
        return []
    matched = [log.find(match.summary["inputs"][key]["path"]) for key in "ab"]
    colours = {
        sae.name: colour
        for sae, colour in zip(matched, (svg.BLUE, svg.ORANGE), strict=True)
        if sae is not None
    }
    saes = sorted(log.saes, key=lambda sae: sae.name in colours)
    panels = []
    with house_style():
        for key, quantity in QUANTITIES.items():
            curves = [
                Curve(
                    sae.name.removeprefix(f"{log.hookpoint}/"),
                    sae.tokens,
                    sae.values[key],
                    colours.get(sae.name, svg.GREY),
                    1.6 if sae.name in colours else 0.9,
                )
                for sae in saes
            ]
            figure = training_figure(curves, quantity.axis, whole=key == "dead", legend=True)
            label = f"{quantity.title} of {len(saes)} SAEs against tokens."
            name = f"training-{key}"
            panels.append(drawn(figure, name, quantity.title, label, quantity.caption))
    return panels


def drawn(figure: Figure, name: str, title: str, label: str, caption: str) -> Panel:
    """Return a figure as a panel; ``label`` is what a screen reader says of it."""
    return Panel(name, title, inline_svg(figure, name, label), caption)
