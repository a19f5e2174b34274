"""What the certificates of matchings say, in words."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from . import words

Sides = Mapping[str, Mapping[str, Any]]
"""{what a matching is called: its facts, as in ``summary.json``}."""


class Certificate(NamedTuple):
    """The page's line on proof."""

    proved: bool
    text: str
    again: str
    """Whether an independent pass has proved it again; empty where nobody asked for one."""


def certificate(sides: Sides) -> Certificate:
    """Return the line for one or more matchings."""
    unproved = [name for name, facts in sides.items() if not facts["certified"]]
    worst = words.small(max(max(facts["gap"], 0.0) for facts in sides.values()))
    number = f"{len(sides)} matchings" if len(sides) > 2 else " and ".join(sides)
    if unproved:
        text = (
            f"Not proved optimal: {', '.join(unproved)}. Another one-to-one matching could have a "
            f"sum of cosines larger by up to {worst}."
        )
    else:
        text = (
            f"Proved optimal: {number}. No other one-to-one matching has a sum of cosines larger "
            f"by more than {worst}."
        )
    return Certificate(not unproved, text, _again(sides))


def _again(sides: Sides) -> str:
    checks = {name: facts["verified"] for name, facts in sides.items()}
    done = {name: check for name, check in checks.items() if check is not None}
    failed = [f"{n} ({'; '.join(c['reasons'])})" for n, c in done.items() if not c["valid"]]
    if failed:
        return f"An independent pass over all pairs does not confirm it: {', '.join(failed)}."
    if len(done) < len(checks):
        return ""
    return "An independent pass over all pairs of latents confirms it."
