"""What the pages of a match and of many matches have in common: the template's variables."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import links, words
from .training_log import TrainingLog

Variables = dict[str, Any]

CONTENTS = {
    "groups": "Groups",
    "seeds": "Seeds",
    "figures": "Figures",
    "examples": "Examples",
    "criteria": "Criteria",
    "method": "Method",
    "provenance": "Provenance",
}
"""The page's sections: {anchor: title}, in order."""

GROUPS = (
    ("One to one: each latent is the partner of at most one", words.ONE_TO_ONE),
    ("Many to one: each latent takes the most similar one", words.MANY_TO_ONE),
)


def subject(log: TrainingLog | None) -> list[str]:
    """Return model and hookpoint, as far as a training log tells them."""
    if log is None:
        return []
    return [*([words.place(log.model)] if log.model else []), log.hookpoint]


def criteria_groups(
    shares: Mapping[str, float], threshold: float, cells: Mapping[str, Sequence[Variables]]
) -> list[Variables]:
    """Return the table of criteria: rows of a name, a meaning and ``cells``, in two groups."""
    groups = []
    for title, names in GROUPS:
        rows = [
            {
                "name": name,
                "meaning": words.MEANINGS[name].format(tau=f"{threshold:g}"),
                "cells": cells[name],
            }
            for name in names
            if name in shares
        ]
        if rows:
            groups.append({"title": title, "rows": rows})
    return groups


def share_cell(share: float | None, count: int | None = None) -> Variables:
    """Return a cell of the table of criteria; None: there is no such number."""
    return {"share": share, "count": count}


def input_row(name: str, facts: Mapping[str, Any]) -> Variables:
    """Return what is known of an SAE's files, from a match's ``inputs``."""
    kept = {key: facts[key] for key in ("file", "sha256", "num_latents", "d_in", "dtype")}
    return {
        **kept,
        "name": name,
        "place": words.place(facts["path"]),
        # Matches from before these were recorded have none.
        "layout": ": ".join(facts[key] for key in ("family", "layout") if key in facts),
        "evidence": ", ".join(facts.get("evidence", ())),
        "source": f"{facts['name']} at {facts['commit'][:12]}" if "commit" in facts else "",
    }


def live_note(live: Mapping[str, Any], whose: str) -> str:
    """Say which latents count as live; ``live`` is the block of ``summary.json``."""
    how = {
        "firing": "fired at least once where firing was counted (in the last epoch of training, or "
        "by twinsae fire); a match with a latent that did not fire does not count",
        "floor": "are more like some latent of the other SAE than the chance floor (firing counts "
        "are not known for both)",
    }
    return (
        f"Live only: the {words.count(live['num_latents'])} latents of {whose} that "
        f"{how.get(live['by'], live['by'])}. Latents that never fire keep their random start and "
        "would count as not shared, however well the others agree."
    )


def part(name: str, count: int, colour: str, link: str | None) -> Variables:
    """Return a segment of a bar, and its line in the key."""
    return {"name": name, "count": count, "colour": colour, "link": link}


def bar(name: str, parts: Sequence[Variables]) -> Variables:
    """Return a bar of segments that add up to it."""
    told = ", ".join(f"{each['name'].lower()} {words.count(each['count'])}" for each in parts)
    return {"name": name, "parts": parts, "label": f"{name}: {told}"}


def linked(browser: bool, base: str, other: str | None = None, **choices: str) -> str | None:
    """Return the address of a view of the latent browser, or None without one."""
    return links.view(base, other, **choices) if browser else None


def report_beside(folder: Path, page_of: Path) -> str | None:
    """Return the address of the report of ``folder`` from that of ``page_of``, if it is written."""
    page = folder / "report" / "index.html"
    if not page.is_file():
        return None
    return Path(os.path.relpath(page, page_of / "report")).as_posix()
