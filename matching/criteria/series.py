"""Overlap over several matches: one row a match, with named factors and every criterion.

The columns of a series, one row a match:

| column | what it is |
|---|---|
| ``match`` | the match's folder |
| ``a``, ``b`` | the paths of the two SAEs |
| each of `FACTORS`, and other factors that were given | what the SAEs differ in; see below |
| ``threshold`` | the cosine above which a latent counts as shared |
| ``certified`` | whether all its matchings are proved optimal |
| ``decoder_cosine``, ``encoder_cosine`` | mean cosine of the matched pairs |
| ``decoder_mmcs``, ``encoder_mmcs`` | mean over A's latents of the best cosine with any of B's |
| each of `CRITERIA` | the share of A's latents that B shares |
| ``live_latents`` | how many latents of A are live |
| ``live_`` and each of `CRITERIA` | the share of these |

A factor is one value where both SAEs have it, "X|Y" where A has X and B has Y, and None where it is
not known of one of them. A number that a match does not have is None: one of a side that was not
matched.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from .overlap import CRITERIA

FACTORS = (
    "model",
    "hookpoint",
    "layer",
    "position",
    "architecture",
    "num_latents",
    "k",
    "d_in",
    "tokens",
)
"""What is looked for of each SAE: its language model, the module that it reads, that module's layer
and its place there ("mlp", or "residual"), the activation function, latents, active latents a
token, width, and tokens seen in training."""

MEASURES = (
    "decoder_cosine",
    "encoder_cosine",
    "decoder_mmcs",
    "encoder_mmcs",
    *CRITERIA,
    *(f"live_{name}" for name in CRITERIA),
)
"""The columns that are averaged over the matches of a group."""

COLUMNS = ("match", "a", "b", "threshold", "certified", "live_latents", "matches", *MEASURES)
"""The columns of rows and groups that are no factors."""

Row = dict[str, Any]


def series_row(match: str, summary: Mapping[str, Any], factors: Mapping[str, Any]) -> Row:
    """Return a match's row.

    Args:
        match: its folder.
        summary: the content of its ``summary.json``.
        factors: by name.
    """
    overlap, sides = summary["overlap"], summary["sides"]
    row: Row = {
        "match": match,
        "a": summary["inputs"]["a"]["path"],
        "b": summary["inputs"]["b"]["path"],
        **factors,
        "threshold": overlap["threshold"],
        "certified": all(block["certified"] for block in sides.values()),
    }
    for column, key in (("cosine", "mean_cosine"), ("mmcs", "mmcs_a_to_b")):
        for side in ("decoder", "encoder"):
            row[f"{side}_{column}"] = sides[side][key] if side in sides else None
    live = overlap["live"]
    row |= {name: overlap["criteria"].get(name) for name in CRITERIA}
    row["live_latents"] = live["num_latents"]
    return row | {f"live_{name}": live["criteria"].get(name) for name in CRITERIA}


def joined(a: Any, b: Any) -> Any:
    """Return a factor of a match from those of its two SAEs."""
    if a is None or b is None:
        return None
    return a if a == b else f"{a}|{b}"


def grouped(rows: Sequence[Row], by: Sequence[str]) -> list[Row]:
    """Return the rows' means, in groups that agree in some factors.

    Args:
        rows: of `series_row`.
        by: names of factors.

    Returns:
        One entry for each combination of values, ordered by them (numbers, then text, then None):
        the factors, ``matches`` (how many rows), and for each of `MEASURES` the mean, and as
        ``NAME_min`` and ``NAME_max`` the extremes, over the rows that have it; None if none has.

    Raises:
        ValueError: there is no such factor.
    """
    for name in by:
        if name not in factors_of(rows):
            known = ", ".join(factors_of(rows))
            raise ValueError(f"by: there is no factor {name!r}; there are {known}")
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in by), []).append(row)
    ordered = sorted(groups, key=lambda values: [_order(value) for value in values])
    return [_group(dict(zip(by, values, strict=True)), groups[values]) for values in ordered]


def factors_of(rows: Sequence[Row]) -> list[str]:
    """Return the names of the factors that the rows have."""
    return [name for name in rows[0] if name not in COLUMNS] if rows else []


def varying(rows: Iterable[Row], names: Iterable[str]) -> list[str]:
    """Return those of the factors that have more than one value among the rows."""
    rows = list(rows)
    return [name for name in names if len({row[name] for row in rows}) > 1]


def mixed(rows: Sequence[Row], by: Sequence[str]) -> list[str]:
    """Return the factors besides ``by`` that vary within a group: its means mix them."""
    found = []
    for name in factors_of(rows):
        values: dict[tuple[Any, ...], set[Any]] = {}
        for row in rows:
            values.setdefault(tuple(row[factor] for factor in by), set()).add(row[name])
        if any(len(inside) > 1 for inside in values.values()):
            found.append(name)
    return found


def _group(values: Row, rows: Sequence[Row]) -> Row:
    found: Row = {**values, "matches": len(rows)}
    ways: tuple[tuple[str, Callable[[list[float]], float]], ...] = (
        ("", fmean), ("_min", min), ("_max", max),
    )  # fmt: skip
    for name in MEASURES:
        numbers = [row[name] for row in rows if row[name] is not None]
        found |= {f"{name}{end}": way(numbers) if numbers else None for end, way in ways}
    return found


def _order(value: Any) -> tuple[int, float, str]:
    if value is None:
        return 2, 0.0, ""
    if isinstance(value, int | float):
        return 0, float(value), ""
    return 1, 0.0, str(value)
