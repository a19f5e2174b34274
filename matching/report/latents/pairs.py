"""The chunk of a pair: what each latent of one SAE has to do with the other SAE."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....common.tables import load_table, read_json, table_facts
from ...by_activations.files import FORMAT as ACTIVATIONS_FORMAT
from ...certainty.files import FORMAT as CERTAINTY_FORMAT
from ...match_folder import OpenedMatch
from ...matching import Matching
from .nearest import Columns

_STEPS = 4096
"""Numbers that are shown with three digits, and never compared, are rounded to 1 / 4096: gzip
then needs half the bytes for them."""


def pair_arrays(opened: OpenedMatch, nearest: tuple[Columns, Columns]) -> dict[str, NDArray[Any]]:
    """Return the arrays of a pair's chunk; the manual's page Report data lists them.

    Args:
        opened: the match.
        nearest: its tables, of `nearest_latents`.

    Raises:
        ValueError: a file beside the match is corrupt.
    """
    of_a, of_b = nearest
    arrays: dict[str, NDArray[Any]] = {}
    for side, found in opened.sides.items():
        matching = found.matching
        partner, cosine = matching.by_row()
        own: dict[str, NDArray[Any]] = {
            "partner": partner.astype(np.int32),
            "cosine": cosine.astype(np.float32),
            "best": of_a[f"{side}_best"].astype(np.int32),
            "best_cosine": matching.row_max.astype(np.float32),
            "lead": rounded(of_a[f"{side}_lead"]),
            "price": rounded(matching.row_price),
            "back_best": of_b[f"{side}_best"].astype(np.int32),
            "back_best_cosine": matching.col_max.astype(np.float32),
            "back_lead": rounded(of_b[f"{side}_lead"]),
            **_sureness(opened.folder / f"{side}-certainty.npz", found.sha256, side, len(partner)),
        }
        arrays |= {f"{side}.{name}": array for name, array in own.items()}
    prefix = "decoder" if "decoder" in opened.sides else "encoder"
    for back, table in (("", of_a), ("back_", of_b)):
        arrays[f"{prefix}.{back}nearest"] = table["unmatched"].astype(np.int32)
        arrays[f"{prefix}.{back}nearest_cosine"] = rounded(table["unmatched_cosine"])
    return arrays | _by_activations(opened)


def rounded(numbers: NDArray[Any]) -> NDArray[np.float32]:
    """Return numbers that are shown and not compared, rounded; see `_STEPS`."""
    return (np.round(np.asarray(numbers, dtype=np.float64) * _STEPS) / _STEPS).astype(np.float32)


def _sureness(file: Path, matching: str, side: str, num_latents: int) -> dict[str, NDArray[Any]]:
    """Return the intervals of `twinsae certainty`, if they are of this matching."""
    try:
        facts = table_facts(file, CERTAINTY_FORMAT)
    except FileNotFoundError:
        return {}
    if facts["matchings"][side] != matching:
        return {}
    columns = load_table(file, CERTAINTY_FORMAT).columns
    found = {}
    for name, column in (("sure_low", "lower"), ("sure_high", "upper")):
        whole = np.full(num_latents, np.nan)
        whole[columns["latent_a"]] = columns[column]
        found[name] = rounded(whole)
    return found


def _by_activations(opened: OpenedMatch) -> dict[str, NDArray[Any]]:
    """Return the match by activations that lies in the folder, if it is of the same SAEs."""
    file = opened.folder / "activations.npz"
    described = file.with_suffix(".json")
    if not (file.is_file() and described.is_file()):
        return {}
    inputs = read_json(described, ACTIVATIONS_FORMAT)["inputs"]
    own = opened.summary["inputs"]
    if any(inputs[letter]["sha256"] != own[letter]["sha256"] for letter in "ab"):
        return {}
    partner, cosine = Matching.load(file).by_row()
    return {
        "activations.partner": partner.astype(np.int32),
        "activations.cosine": cosine.astype(np.float32),
    }
