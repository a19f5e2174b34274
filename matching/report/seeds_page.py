"""The sentences and tables of the page of many matches: every two of several SAEs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..figures.from_seeds import shared_by_pairs
from ..figures.pairs import Pair
from ..figures.style import ordered_colours
from . import overview, words
from .overview import Variables
from .proof_words import certificate
from .training_log import TrainingLog

Seeds = Mapping[str, Any]
"""What ``seeds.json`` says."""


def seeds_variables(
    folder: Path,
    seeds: Seeds,
    pairs: list[Pair],
    baseline: Seeds | None,
    log: TrainingLog | None,
    *,
    browser: bool,
) -> Variables:
    """Return the template's variables, except figures and examples."""
    names = [entry["name"] for entry in seeds["dictionaries"]]
    main, mean = seeds["criterion"], seeds["over_seeds"]
    shared = words.headline_percent(mean[main]["mean"])
    exactly = _exactly(seeds, browser=browser)
    sides = {
        f"{pair.name} {side}": facts
        for pair in pairs
        for side, facts in pair.summary["sides"].items()
    }
    first = next(iter(sides.values()))
    return {
        "tab": f"{len(names)} SAEs, {names[0]} to {names[-1]}: {shared} shared",
        "headline": f"{shared} of an SAE's latents have a partner in another of "
        f"{words.count(len(names))} SAEs",
        "lede": _lede(seeds),
        "subject": overview.subject(log),
        "certificate": certificate(sides),
        "browse": overview.linked(browser, pairs[0].a, pairs[0].b),
        "browsed": f"Browse the latents of all {len(names)} SAEs",
        "warnings": _warnings(seeds),
        "bars": [overview.bar(row["name"], row["cells"]) for row in exactly],
        "key": [],
        "cards": [],
        "exactly": exactly,
        "heat": _heat(folder, names, browser=browser) if len(names) > 2 else None,
        "tau": f"{seeds['threshold']:g}",
        "criteria_of": f"Share of an SAE's latents, over {len(pairs)} pairs and both ways",
        "main": main,
        "columns": [
            *("Mean", f"95{words.NO_BREAK}% over seeds", "Lowest pair", "Highest pair"),
            *(["Baseline"] if baseline else []),
        ],
        "criteria": overview.criteria_groups(
            seeds["pairs"][0]["criteria"], seeds["threshold"], _cells(seeds, baseline)
        ),
        "notes": [
            "The interval says how far the mean would move with other seeds; it takes three or "
            "more. The lowest and the highest pair are counted one way, as their folders say."
        ],
        "chance_floor": first["chance_floor"],
        "facts_head": None,
        "facts": None,
        "pairs": [_pair_row(pair, main, folder, browser=browser) for pair in pairs],
        "inputs": _inputs(seeds, pairs),
        "versions": sorted(pairs[0].summary["versions"].items()),
    }


def _lede(seeds: Seeds) -> str:
    number = len(seeds["pairs"])
    over = "of one pair" if number == 1 else f"mean over {number} pairs"
    text = f"By criterion {seeds['criterion']} at cosine {seeds['threshold']:g}, {over}"
    interval = seeds["over_seeds"][seeds["criterion"]]["interval"]
    if interval is not None:
        low, high = map(words.percent, interval)
        text += f" (95{words.NO_BREAK}% interval over seeds: {low} to {high})"
    if seeds["exactly"]:
        alone, everywhere = seeds["exactly"][0]["mean"], seeds["exactly"][-1]["mean"]
        text += (
            f". {words.percent(alone)} of an SAE's latents are in no other, and "
            f"{words.percent(everywhere)} in all {len(seeds['dictionaries'])}"
        )
    return f"{text}."


def _exactly(seeds: Seeds, *, browser: bool) -> list[Variables]:
    """Return a row for each SAE that was matched with all others: its latents in n SAEs."""
    total = len(seeds["dictionaries"])
    colours = ordered_colours(total)
    return [
        {
            "name": name,
            "cells": [
                overview.part(
                    f"In {number} of {total}",
                    latents,
                    colours[number - 1],
                    # The browser's column counts the other SAEs.
                    overview.linked(browser, name, seeds=f"{number - 1}:{number - 1}"),
                )
                for number, latents in enumerate(counts, 1)
            ],
        }
        for name, counts in seeds["in_exactly"].items()
    ]


def _heat(folder: Path, names: list[str], *, browser: bool) -> list[Variables]:
    """Return the rows of the heat map: the share of each SAE's latents that each other shares."""
    table = shared_by_pairs(folder)
    keys = zip(table["of"].tolist(), table["with"].tolist(), strict=True)
    shares = dict(zip(keys, table["share"].tolist(), strict=True))
    highest = max(shares.values()) or 1.0
    return [
        {
            "name": of,
            "cells": [
                None
                if (of, other) not in shares
                else {
                    "share": shares[of, other],
                    "heat": round(100 * shares[of, other] / highest),
                    "link": overview.linked(browser, of, other, show="and"),
                }
                for other in names
            ],
        }
        for of in names
    ]


def _warnings(seeds: Seeds) -> list[str]:
    if not seeds["missing"]:
        return []
    names = ", ".join(f"{pair['a']}--{pair['b']}" for pair in seeds["missing"])
    return [f"Not matched yet: {names}. The same `twinsae match-all` goes on with them."]


def _cells(seeds: Seeds, baseline: Seeds | None) -> dict[str, list[Variables]]:
    cells = {}
    for name, over in seeds["over_seeds"].items():
        shares = [pair["criteria"][name] for pair in seeds["pairs"]]
        interval = over["interval"]
        told = None if interval is None else " to ".join(map(words.percent, interval))
        cells[name] = [
            overview.share_cell(over["mean"]),
            {"text": told or "not known"},
            overview.share_cell(min(shares)),
            overview.share_cell(max(shares)),
        ]
        if baseline:
            other = baseline["over_seeds"].get(name)
            cells[name].append(overview.share_cell(other and other["mean"]))
    return cells


def _pair_row(pair: Pair, main: str, folder: Path, *, browser: bool) -> Variables:
    sides = pair.summary["sides"]
    return {
        "name": pair.name,
        "link": overview.linked(browser, pair.a, pair.b),
        "report": overview.report_beside(pair.folder, folder),
        "share": pair.summary["overlap"]["criteria"][main],
        "proved": all(facts["certified"] for facts in sides.values()),
        "gap": words.small(max(max(facts["gap"], 0.0) for facts in sides.values())),
        "cosines": [(name, facts["mean_cosine"]) for name, facts in sides.items()],
    }


def _inputs(seeds: Seeds, pairs: list[Pair]) -> list[Variables]:
    """Return what is known of the files of each SAE of which a pair is matched."""
    found: dict[str, Variables] = {}
    for pair in pairs:
        for name, letter in ((pair.a, "a"), (pair.b, "b")):
            found[name] = overview.input_row(name, pair.summary["inputs"][letter])
    return [found[entry["name"]] for entry in seeds["dictionaries"] if entry["name"] in found]
