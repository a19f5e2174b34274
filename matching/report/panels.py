"""Each figure with its title, caption and spoken label, ready for the page."""

from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.figure import Figure

from .data import MatchFolder, TrainingLog, seed_of
from .figures import histogram_figure, sweep_figure, training_figure
from .joint import joint_figure, joint_groups
from .svg import house_style, inline_svg
from .words import percent


@dataclass(frozen=True)
class Panel:
    """A figure on the page; ``name`` is its element's id."""

    name: str
    title: str
    svg: Markup
    caption: str


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
        sweep = _panel(
            sweep_figure(match, untrained),
            "sweep",
            "Threshold sweep",
            f"Share of latents against the cosine threshold; at {match.threshold:g}: {shares}.",
            f"How much of A counts as shared if the bar is set elsewhere than at "
            f"{match.threshold:g}.{beside}",
        )
        histogram = _panel(
            histogram_figure(match, untrained),
            "histogram",
            "Cosines of matched latents",
            f"Histograms of the matched cosines, {sides}.",
            f"Two heaps mean two kinds of latents: found again, and not.{outlined} Cosines near "
            "the dotted line are what unrelated directions reach.",
        )
    return [sweep, histogram]


def training_panels(match: MatchFolder, log: TrainingLog | None) -> list[Panel]:
    """Return the curves of FVU, L0 and dead latents; none without a log."""
    if log is None:
        return []
    inputs = match.summary["inputs"]
    seeds = [seed for seed in (seed_of(inputs[key]["path"]) for key in "ab") if seed is not None]
    panels = []
    with house_style():
        for quantity, title, axis, caption in (
            ("fvu", "FVU", "FVU", "Fraction of variance unexplained; 1 is predicting the mean."),
            ("l0", "L0", "Active latents a token", "Mean number of latents active on a token."),
            ("dead", "Dead latents", "Latents", "Latents that have long been silent."),
        ):
            figure = training_figure(log.seeds, quantity, axis, seeds)
            label = f"{title} of {len(log.seeds)} seeds against tokens."
            panels.append(_panel(figure, f"training-{quantity}", title, label, caption))
    return panels


def _panel(figure: Figure, name: str, title: str, label: str, caption: str) -> Panel:
    return Panel(name, title, inline_svg(figure, name, label), caption)
