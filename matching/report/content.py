"""The page's sentences and tables, from the summary's numbers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...sae.names import differing_ends
from . import words
from .data import MatchFolder
from .training_log import TrainingLog

LIVE = {
    "firing": "fired at least once where firing was counted (in the last epoch of training, or by "
    "twinsae fire); a match with a latent of B that did not fire does not count",
    "floor": "are more like some latent of B than the chance floor (firing counts are not known "
    "for both inputs)",
}


def content(
    match: MatchFolder, untrained: MatchFolder | None, log: TrainingLog | None
) -> dict[str, Any]:
    """Return the template's variables, except figures: text, and rows of numbers."""
    overlap = match.summary["overlap"]
    main = main_criterion(match)
    return {
        "headline": f"{words.headline_percent(overlap['criteria'][main])} of the latents of A "
        "have a partner in B",
        "lede": _lede(match, untrained, main),
        "main_criterion": main,
        "bars": _bars(match, untrained),
        "subject": [] if log is None else [name for name in (log.model, log.hookpoint) if name],
        "saes": [_sae(letter, match, log) for letter in "ab"],
        "num_latents": match.num_latents,
        "warnings": _warnings(match),
        "tau": f"{match.threshold:g}",
        "criteria": _criteria(match, untrained),
        "untrained": untrained is not None,
        "notes": [_live_note(overlap["live"]), *_untrained_note(match, untrained)],
        "chance_floor": next(iter(match.sides.values())).chance_floor,
        "training_note": _training_note(log),
        "proof": _proof(match),
        "side_names": list(match.sides),
        "matching": _matching(match),
        "versions": sorted(match.summary["versions"].items()),
    }


def main_criterion(match: MatchFolder) -> str:
    """Return the criterion of the heading: ``and``, or the one side's own."""
    return "and" if "and" in match.summary["overlap"]["criteria"] else next(iter(match.sides))


def _lede(match: MatchFolder, untrained: MatchFolder | None, main: str) -> str:
    where = "in the decoder and in the encoder" if main == "and" else f"in the {main}"
    shared = match.summary["overlap"]["counts"][main]
    text = (
        f"{words.count(shared)} of the {words.count(match.num_latents)} latents of A match a "
        f"latent of B with a cosine above {match.threshold:g} {where}, one to one."
    )
    other = {} if untrained is None else untrained.summary["overlap"]["counts"]
    if untrained is not None and main in other:
        text += (
            f" Between two SAEs that were never trained it is {words.count(other[main])} of "
            f"{words.count(untrained.num_latents)}."
        )
    return text


def _bars(match: MatchFolder, untrained: MatchFolder | None) -> list[dict[str, Any]]:
    overlap = match.summary["overlap"]
    live = overlap["live"]
    rows = [
        ("All latents", overlap["counts"], match.num_latents),
        ("Live only", live["counts"], live["num_latents"]),
    ]
    if untrained is not None and untrained.sides.keys() >= match.sides.keys():
        rows.append(("Untrained", untrained.summary["overlap"]["counts"], untrained.num_latents))
    bars = []
    for name, counts, total in rows:
        parts = _parts(counts, total, list(match.sides))
        told = ", ".join(f"{part['name'].lower()} {words.count(part['count'])}" for part in parts)
        bars.append({"name": name, "parts": parts, "label": f"{name}: {told}"})
    return bars


def _parts(counts: dict[str, int], total: int, sides: list[str]) -> list[dict[str, Any]]:
    """Split ``total`` latents into the bar's segments, which add up to it."""
    if len(sides) == 2:
        both, same = counts["and"], counts["and_equal"]
        one = counts["decoder"] + counts["encoder"] - 2 * both
        named = [
            ("same", "Both sides, same partner", same),
            ("other", "Both sides, two partners", both - same),
            ("one", "One side only", one),
            ("none", "Neither", total - both - one),
        ]
    else:
        shared = counts[sides[0]]
        named = [("same", "Shared", shared), ("none", "Not shared", total - shared)]
    return [{"kind": kind, "name": name, "count": number} for kind, name, number in named]


def _sae(letter: str, match: MatchFolder, log: TrainingLog | None) -> dict[str, Any]:
    facts = match.summary["inputs"][letter]
    # The ends of both paths that tell the two SAEs apart.
    paths = [Path(match.summary["inputs"][key]["path"]).parts[1:] for key in "ab"]
    name = differing_ends(paths, 2)["ab".index(letter)]
    logged = log.find(facts["path"]) if log else None
    ends = {key: logged.values[key][-1] for key in ("fvu", "l0", "dead")} if logged else None
    return {
        **{key: facts[key] for key in ("path", "file", "sha256", "num_latents", "d_in", "dtype")},
        "letter": letter.upper(),
        # Matches from before these were recorded have none.
        "layout": ": ".join(facts[key] for key in ("family", "layout") if key in facts),
        "evidence": ", ".join(facts.get("evidence", ())),
        "source": f"{facts['name']} at {facts['commit'][:12]}" if "commit" in facts else "",
        "name": "/".join(filter(None, name)),
        "training": ends and ends | {"dead": int(ends["dead"])},
    }


def _warnings(match: MatchFolder) -> list[str]:
    a, b = (match.summary["inputs"][letter] for letter in "ab")
    warnings = []
    if a["sha256"] == b["sha256"]:
        warnings.append("A and B are the same file, so every latent is its own partner.")
    if b["num_latents"] < a["num_latents"]:
        matched = words.count(b["num_latents"])
        warnings.append(
            f"B has only {matched} latents, so at most {matched} latents of A can have a partner."
        )
    return warnings


def _criteria(match: MatchFolder, untrained: MatchFolder | None) -> list[dict[str, Any]]:
    overlap = match.summary["overlap"]
    other = None if untrained is None else untrained.summary["overlap"]
    groups = []
    for title, names in (
        ("One to one: each latent of B is the partner of at most one", words.ONE_TO_ONE),
        ("Many to one: each latent of A takes its most similar in B", words.MANY_TO_ONE),
    ):
        rows = [
            {
                "name": name,
                "meaning": words.MEANINGS[name].format(tau=f"{match.threshold:g}"),
                "all": _share(overlap, name),
                "live": _share(overlap["live"], name),
                "untrained": _share(other, name) if other and name in other["criteria"] else None,
            }
            for name in names
            if name in overlap["criteria"]
        ]
        if rows:
            groups.append({"title": title, "rows": rows})
    return groups


def _share(block: dict[str, Any], name: str) -> tuple[float, int]:
    return block["criteria"][name], block["counts"][name]


def _live_note(live: dict[str, Any]) -> str:
    return (
        f"Live only: the {words.count(live['num_latents'])} latents of A that "
        f"{LIVE.get(live['by'], live['by'])}. Latents that never fire keep their random start and "
        "would count as not shared, however well the others agree."
    )


def _untrained_note(match: MatchFolder, untrained: MatchFolder | None) -> list[str]:
    if untrained is None or len(match.sides) < 2:
        return []
    if untrained.summary["overlap"]["criteria"].get("equal") != 1:
        return []
    return [
        "Untrained: each decoder is still a copy of its encoder, so the two matchings are the same "
        "by construction, and equal says nothing."
    ]


def _training_note(log: TrainingLog | None) -> str:
    if log is None:
        return ""
    saes = f"{len(log.saes)} SAEs" if len(log.saes) != 1 else "One SAE"
    return f"{saes} on {log.hookpoint}, as logged while training."


def _proof(match: MatchFolder) -> str:
    sentences = []
    for name, facts in match.summary["sides"].items():
        gap = words.small(max(facts["gap"], 0.0))
        sentences.append(
            f"The {name} matching is proved optimal: the sum of cosines of no other one-to-one "
            f"matching is larger by more than {gap}."
            if facts["certified"]
            else f"The {name} matching is not proved optimal: another could have a sum of cosines "
            f"larger by up to {gap}."
        )
    return " ".join(sentences)


def _matching(match: MatchFolder) -> list[dict[str, Any]]:
    sides = list(match.summary["sides"].values())
    six, three = "{:.6f}".format, "{:.3f}".format
    rows: list[tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]] = [
        ("Sum of cosines", lambda side: _cell(side["objective"], six)),
        ("Upper bound", lambda side: _cell(side["upper_bound"], six)),
        ("Gap", lambda side: _cell(side["gap"], words.small)),
        ("Optimal", lambda side: _cell(None, "proved" if side["certified"] else "not proved")),
        ("Checked by a second pass", lambda side: _verified(side["verified"])),
        ("Mean cosine of matches", lambda side: _cell(side["mean_cosine"], three)),
        ("Mean best cosine, A to B", lambda side: _cell(side["mmcs_a_to_b"], three)),
        ("Mean best cosine, B to A", lambda side: _cell(side["mmcs_b_to_a"], three)),
        ("Chance floor", lambda side: _cell(side["chance_floor"], three)),
        ("Time", lambda side: _time(side["seconds"])),
        ("Peak memory", lambda side: _cell(side["peak_memory_bytes"], words.size)),
    ]
    return [{"name": name, "cells": [cell(side) for side in sides]} for name, cell in rows]


def _cell(
    value: float | None, text: str | Callable[[float], str], detail: str = ""
) -> dict[str, Any]:
    told = text if isinstance(text, str) else "not known" if value is None else text(value)
    return {"value": value, "text": told, "detail": detail}


def _verified(certificate: dict[str, Any] | None) -> dict[str, Any]:
    if certificate is None:
        return _cell(None, "not asked for")
    told = "confirmed" if certificate["valid"] else "not confirmed"
    return _cell(None, told, "; ".join(certificate["reasons"]))


def _time(seconds: dict[str, float]) -> dict[str, Any]:
    phases = ", ".join(f"{name} {words.duration(value)}" for name, value in seconds.items())
    return _cell(sum(seconds.values()), words.duration, phases)
