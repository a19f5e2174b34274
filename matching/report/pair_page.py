"""The sentences and tables of the page of one match."""

from collections.abc import Callable
from typing import Any

from ..criteria.overlap import main_criterion
from ..figures.pairs import Pair
from . import overview, words
from .overview import Variables
from .proof_words import certificate
from .training_log import TrainingLog

BLUE, ORANGE, PALE, REST = "var(--blue)", "var(--orange)", "var(--blue-pale)", "var(--rest)"


def pair_variables(
    pair: Pair, baseline: Pair | None, log: TrainingLog | None, *, browser: bool
) -> Variables:
    """Return the template's variables, except figures and examples."""
    summary = pair.summary
    overlap, main = summary["overlap"], main_criterion(summary["sides"])
    shared = words.headline_percent(overlap["criteria"][main])
    inputs = [overview.input_row(pair.a, summary["inputs"]["a"])]
    inputs.append(overview.input_row(pair.b, summary["inputs"]["b"]))
    parts = _parts(pair, browser=browser)
    sides = {f"the {name}s": facts for name, facts in summary["sides"].items()}
    return {
        "tab": f"{pair.a}, {pair.b}: {shared} shared",
        "headline": f"{shared} of the latents of {pair.a} have a partner in {pair.b}",
        "lede": _lede(pair, baseline, main),
        "subject": overview.subject(log),
        "certificate": certificate(sides),
        "browse": overview.linked(browser, pair.a, pair.b),
        "browsed": f"Browse the {words.count(overlap['num_latents'])} latents",
        "warnings": _warnings(pair),
        "bars": _bars(pair, baseline, parts),
        "key": parts,
        "cards": [_card(row, pair, log, letter) for row, letter in zip(inputs, "ab", strict=True)],
        "exactly": None,
        "heat": None,
        "tau": f"{overlap['threshold']:g}",
        "criteria_of": f"Share of the {words.count(overlap['num_latents'])} latents of {pair.a}",
        "main": main,
        "columns": ["All latents", "Live only", *(["Baseline"] if baseline else [])],
        "criteria": overview.criteria_groups(
            overlap["criteria"], overlap["threshold"], _cells(pair, baseline)
        ),
        "notes": [overview.live_note(overlap["live"], pair.a), *_baseline_note(pair, baseline)],
        "chance_floor": next(iter(summary["sides"].values()))["chance_floor"],
        "facts_head": list(summary["sides"]),
        "facts": _facts(pair),
        "pairs": None,
        "inputs": inputs,
        "versions": sorted(summary["versions"].items()),
    }


def _sides(pair: Pair) -> list[str]:
    return list(pair.summary["sides"])


def _lede(pair: Pair, baseline: Pair | None, main: str) -> str:
    overlap = pair.summary["overlap"]
    where = "in the decoder and in the encoder" if main == "and" else f"in the {main}"
    text = (
        f"{words.count(overlap['counts'][main])} of {words.count(overlap['num_latents'])} latents "
        f"match one with a cosine above {overlap['threshold']:g} {where}, one to one"
    )
    if main in overlap.get("intervals", {}):
        low, high = map(words.percent, overlap["intervals"][main])
        text += f" (95{words.NO_BREAK}% interval over latents: {low} to {high})"
    other = {} if baseline is None else baseline.summary["overlap"]
    if main in other.get("counts", {}):
        text += (
            f". In the baseline it is {words.count(other['counts'][main])} of "
            f"{words.count(other['num_latents'])}"
        )
    return f"{text}."


def _parts(pair: Pair, *, browser: bool) -> list[Variables]:
    def link(name: str) -> str | None:
        return overview.linked(browser, pair.a, pair.b, show=name)

    overlap = pair.summary["overlap"]
    counts, total = overlap["counts"], overlap["num_latents"]
    return [
        overview.part(name, number, colour, link(group) if group else None)
        for group, name, number, colour in _split(counts, total, _sides(pair))
    ]


def _split(counts: dict[str, int], total: int, sides: list[str]) -> list[tuple[str, str, int, str]]:
    """Split ``total`` latents into groups that add up to it: (group, name, latents, colour)."""
    if len(sides) == 2:
        both, same = counts["and"], counts["and_equal"]
        one = counts["decoder"] + counts["encoder"] - 2 * both
        return [
            ("and_equal", "Both sides, same partner", same, BLUE),
            ("two_partners", "Both sides, two partners", both - same, ORANGE),
            ("one_side", "One side only", one, PALE),
            ("neither", "Neither", total - both - one, REST),
        ]
    shared = counts[sides[0]]
    return [(sides[0], "Shared", shared, BLUE), ("", "Not shared", total - shared, REST)]


def _bars(pair: Pair, baseline: Pair | None, parts: list[Variables]) -> list[Variables]:
    overlap = pair.summary["overlap"]
    bars = [overview.bar("All latents", parts)]
    others = [("Live only", overlap["live"])]
    if baseline is not None and set(_sides(baseline)) >= set(_sides(pair)):
        others.append(("Baseline", baseline.summary["overlap"]))
    for name, block in others:
        split = _split(block["counts"], block["num_latents"], _sides(pair))
        named = [overview.part(told, number, colour, None) for _, told, number, colour in split]
        bars.append(overview.bar(name, named))
    return bars


def _card(row: Variables, pair: Pair, log: TrainingLog | None, letter: str) -> Variables:
    logged = log.find(pair.summary["inputs"][letter]["path"]) if log else None
    ends = {key: logged.values[key][-1] for key in ("fvu", "l0", "dead")} if logged else None
    return {**row, "training": ends and ends | {"dead": int(ends["dead"])}}


def _warnings(pair: Pair) -> list[str]:
    a, b = (pair.summary["inputs"][letter] for letter in "ab")
    warnings = []
    if a["sha256"] == b["sha256"]:
        warnings.append("Both are the same file, so every latent is its own partner.")
    if b["num_latents"] < a["num_latents"]:
        matched = words.count(b["num_latents"])
        warnings.append(
            f"{pair.b} has only {matched} latents, so at most {matched} latents of {pair.a} can "
            "have a partner."
        )
    if pair.summary["settings"].get("absolute"):
        warnings.append("Cosines are absolute values: opposite directions count as alike.")
    return warnings


def _cells(pair: Pair, baseline: Pair | None) -> dict[str, list[Variables]]:
    overlap = pair.summary["overlap"]
    blocks = [overlap, overlap["live"], *([baseline.summary["overlap"]] if baseline else [])]
    return {
        name: [
            overview.share_cell(block["criteria"].get(name), block["counts"].get(name))
            for block in blocks
        ]
        for name in overlap["criteria"]
    }


def _baseline_note(pair: Pair, baseline: Pair | None) -> list[str]:
    if baseline is None:
        return []
    names = f"Baseline: {words.place(baseline.folder.resolve())}."
    if len(_sides(pair)) < 2 or baseline.summary["overlap"]["criteria"].get("equal") != 1:
        return [names]
    return [
        f"{names} There, both matchings are the same, as those of untrained SAEs are, whose "
        "decoder is a copy of the encoder: equal says nothing."
    ]


def _facts(pair: Pair) -> list[Variables]:
    sides = list(pair.summary["sides"].values())
    six, three = "{:.6f}".format, "{:.3f}".format
    rows: list[tuple[str, Callable[[dict[str, Any]], Variables]]] = [
        ("Sum of cosines", lambda side: _cell(side["objective"], six)),
        ("Upper bound", lambda side: _cell(side["upper_bound"], six)),
        ("Gap", lambda side: _cell(side["gap"], words.small)),
        ("Optimal", lambda side: _cell(None, "proved" if side["certified"] else "not proved")),
        ("Proved again, apart", lambda side: _verified(side["verified"])),
        ("Mean cosine of matches", lambda side: _cell(side["mean_cosine"], three)),
        (f"Mean best cosine, {pair.a} to {pair.b}", lambda s: _cell(s["mmcs_a_to_b"], three)),
        (f"Mean best cosine, {pair.b} to {pair.a}", lambda s: _cell(s["mmcs_b_to_a"], three)),
        ("Chance floor", lambda side: _cell(side["chance_floor"], three)),
        ("Time", lambda side: _time(side["seconds"])),
        ("Peak memory", lambda side: _cell(side["peak_memory_bytes"], words.size)),
    ]
    return [{"name": name, "cells": [cell(side) for side in sides]} for name, cell in rows]


def _cell(value: float | None, text: str | Callable[[float], str], detail: str = "") -> Variables:
    told = text if isinstance(text, str) else "not known" if value is None else text(value)
    return {"value": value, "text": told, "detail": detail}


def _verified(check: dict[str, Any] | None) -> Variables:
    if check is None:
        return _cell(None, "not asked for", "twinsae match --verify")
    told = "confirmed" if check["valid"] else "not confirmed"
    return _cell(None, told, "; ".join(check["reasons"]))


def _time(seconds: dict[str, float]) -> Variables:
    phases = ", ".join(f"{name} {words.duration(value)}" for name, value in seconds.items())
    return _cell(sum(seconds.values()), words.duration, phases)
