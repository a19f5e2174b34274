"""The substitution test on stored activations: the change of FVU by each latent, and curves."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...common.progress import Progress
from .curves import area, by_cosine, cuts, quality
from .observed import Observed, firings, squares
from .partners import cosines
from .replacement import (
    Floats,
    Ints,
    Replacement,
    activation_replaced,
    changes,
    cumulative_errors,
    direction_replaced,
    removed,
)

Columns = dict[str, NDArray[Any]]
KINDS = ("direction", "activation")


def replacement(
    kind: str, observed: Observed, units: tuple[Floats, Floats], partner: Ints
) -> Replacement:
    """Return what replacing each latent's ``kind``, "direction" or "activation", adds."""
    if kind == "direction":
        return direction_replaced(observed.a, *units, partner)
    return activation_replaced(observed.a, observed.b, units[0], partner)


def latent_table(
    observed: Observed,
    units: tuple[Floats, Floats],
    choices: Mapping[str, Ints],
    progress: Progress,
) -> Columns:
    """Return one row for each latent of A: what replacing it alone does to A's FVU.

    Args:
        observed: A and B on the same tokens.
        units: (L_A, D) and (L_B, D), their decoder rows at length 1.
        choices: (L_A,) partners, by the name of what chose them; -1: the latent is removed.
        progress: told of the phase "replace each", in choices.

    Returns:
        Columns (L_A,): ``latent``, ``fired`` (tokens), ``removed`` (change of FVU without the
        latent), and for each choice ``partner_NAME``, ``cosine_NAME`` (of the decoder rows),
        ``direction_NAME`` and ``activation_NAME`` (change of FVU).
    """
    fired = firings(observed.a)
    without = changes(removed(observed.a, units[0]), observed.error) / observed.variance
    table: Columns = {"latent": np.arange(len(fired)), "fired": fired, "removed": without}
    progress("replace each", 0, len(choices), "choices")
    for done, (name, partner) in enumerate(choices.items(), 1):
        table[f"partner_{name}"] = partner
        table[f"cosine_{name}"] = cosines(*units, partner)
        for kind in KINDS:
            change = changes(replacement(kind, observed, units, partner), observed.error)
            table[f"{kind}_{name}"] = change / observed.variance
        progress("replace each", done, len(choices), "choices")
    return table


def curve_table(
    observed: Observed,
    units: tuple[Floats, Floats],
    choices: Mapping[str, Ints],
    progress: Progress,
) -> Columns:
    """Return one row for each point of each curve: the FVU with the first latents replaced.

    Arguments as for `latent_table`; progress is told of the phase "replace many".

    Returns:
        Columns: ``choice``, ``kind``, ``replaced`` (latents), ``share`` (of the live ones), ``fvu``
        and ``quality`` (see `curves.quality`).
    """
    live = firings(observed.a) > 0
    points: dict[str, list[Any]] = {
        name: [] for name in ("choice", "kind", "replaced", "share", "fvu", "quality")
    }
    progress("replace many", 0, len(choices), "choices")
    for done, (name, partner) in enumerate(choices.items(), 1):
        order = by_cosine(cosines(*units, partner), live)
        numbers = cuts(len(order))
        for kind in KINDS:
            made = replacement(kind, observed, units, partner)
            errors = cumulative_errors(made, observed.error, order, numbers)
            fvu = [squares(error) / observed.variance for error in errors]
            points["choice"] += [name] * len(fvu)
            points["kind"] += [kind] * len(fvu)
            points["replaced"] += numbers
            points["share"] += [number / max(len(order), 1) for number in numbers]
            points["fvu"] += fvu
            points["quality"] += quality(fvu, observed.fvu, 1.0).tolist()
        progress("replace many", done, len(choices), "choices")
    return {name: np.array(column) for name, column in points.items()}


def summary(table: Columns, curves: Columns, choices: Mapping[str, Ints]) -> dict[str, Any]:
    """Return, for each choice, what its partners have in common.

    ``live_pairs`` is the number of live latents with a partner, ``mean_cosine`` is over these.
    ``avoided`` by kind is 1 - (sum of the changes) / (sum of the changes by removal), over all live
    latents: the share of what the latents give that their partners give too. ``area`` by kind is
    `curves.area`.
    """
    live = table["fired"] > 0
    total = float(table["removed"][live].sum())
    found: dict[str, Any] = {}
    for name, partner in choices.items():
        paired = live & (partner >= 0)
        cosine = table[f"cosine_{name}"][paired]
        own = curves["choice"] == name
        found[name] = {
            "live_pairs": int(paired.sum()),
            "mean_cosine": float(cosine.mean()) if len(cosine) else None,
            "avoided": {
                kind: 1 - float(table[f"{kind}_{name}"][live].sum()) / total if total else None
                for kind in KINDS
            },
            "area": {
                kind: area(curves["quality"][own & (curves["kind"] == kind)]) for kind in KINDS
            },
        }
    return found
