"""What the figures of several SAEs draw: what `match_all` wrote, or the same of one pair."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...common.tables import Table as StoredTable
from ...common.tables import load_table
from ...sae.firing import known_firing
from ..criteria.seed_tables import SeedTables
from ..match_all import ALL_SUMMARY, CRITERION, LATENTS_FORMAT, PAIRS_FORMAT
from .drawing import Table
from .from_matches import BOTH
from .pairs import read_pairs, read_seeds
from .score_files import need_scores, of_sae

UNKNOWN = -1  # a count that is not known, in `seed_latents`


@dataclass(frozen=True, eq=False)
class Latents:
    """What is known of each latent of several SAEs."""

    table: Table
    """One row a latent: ``sae`` (its name), ``latent``, ``in_saes``, ``decoder_cosine``,
    ``encoder_cosine``, ``similarity``, ``count``; see `criteria.seed_tables`."""
    num_saes: int
    tokens: dict[str, int | None]
    """By SAE, of how many tokens the counts are; SAEs of unknown counts are left out."""


def read_latents(folder: Path) -> Latents:
    """Return the latents of the SAEs in a folder of matches, and in how many SAEs each is.

    Args:
        folder: of `match_all`; or of one match, which says the same of two SAEs.

    Raises:
        FileNotFoundError: it is no such folder, or a file is gone.
        ValueError: a file is damaged, or the match is of one side alone.
    """
    if not (folder / ALL_SUMMARY).is_file():
        return _of_pair(folder)
    columns, facts = _stored(folder, "seed_latents.npz", LATENTS_FORMAT)
    names = [entry["name"] for entry in facts["dictionaries"]]
    firing = {name: known["tokens"] for name, known in facts["firing"].items() if known}
    return _latents(columns, names, firing)


def fired(latents: Latents) -> tuple[Table, int | None]:
    """Return the latents with known counts, and of how many tokens the counts are.

    Raises:
        ValueError: no count is known, or the counts are of different numbers of tokens.
    """
    known = latents.table["count"] != UNKNOWN
    if not known.any():
        raise ValueError(
            "no firing counts are known: run `twinsae fire` on the SAEs, then match them again"
        )
    tokens = set(latents.tokens.values())
    if len(tokens) > 1:
        raise ValueError(
            f"firing counts are of different numbers of tokens, {latents.tokens}: run "
            "`twinsae fire` on all SAEs at once, then `twinsae match-all` again"
        )
    return _rows(latents.table, known), tokens.pop()


def scored(latents: Latents, scores: Table) -> Table:
    """Return the latents that have a score, with the column ``score``.

    Args:
        latents: of `read_latents`.
        scores: of `score_files.read_scores`.

    Raises:
        ValueError: there is no score of any of the SAEs, or one of a latent that is not there.
    """
    names = list(dict.fromkeys(latents.table["sae"].tolist()))
    score = np.full(len(latents.table["sae"]), np.nan)
    for name in names:
        own = latents.table["sae"] == name
        score[own] = of_sae(scores, name, int(own.sum()))["score"]
    found = np.isfinite(score)
    need_scores(found.any(), scores, names)
    return _rows(latents.table | {"score": score}, found)


def shared_by_pairs(folder: Path) -> Table:
    """Return which share of each SAE's latents each other SAE shares, by criterion ``and``.

    Returns:
        One row for each ordered pair: ``of`` and ``with``, the names of the SAEs, and ``share`` of
        the first one's latents that the second shares.

    Raises:
        FileNotFoundError, ValueError: as for `read_latents`.
    """
    if (folder / ALL_SUMMARY).is_file():
        columns, facts = _stored(folder, "seed_pairs.npz", PAIRS_FORMAT)
        names = [entry["name"] for entry in facts["dictionaries"]]
    else:
        tables, names = _tables_of_pair(folder)
        columns = tables.pairs()
    named = np.array(names)
    return {
        "of": named[columns["a"]],
        "with": named[columns["b"]],
        "share": columns[CRITERION],
    }


def only_in_one(folder: Path) -> tuple[Table, dict[str, float] | None]:
    """Return which share of an SAE's latents is in none of n - 1 others, from ``seeds.json``.

    Returns:
        One row for each n: ``saes`` (n), ``mean``, ``std``, ``min`` and ``max`` of the share, and
        ``sets``, over how many sets of SAEs. And "a", "b", "c" of the curve a n^b + c through the
        means; None where there are too few SAEs for one, or the means do not determine it.

    Raises:
        FileNotFoundError, ValueError: as for `read_seeds`; or no SAE was matched with all others.
    """
    content = read_seeds(folder)
    points = content["only_in_base"]
    _need_bases(points, folder)
    columns = {"saes": "dictionaries"} | {n: n for n in ("mean", "std", "min", "max", "sets")}
    table = {name: np.array([point[key] for point in points]) for name, key in columns.items()}
    fit = content.get("fits", {}).get("power_offset")
    return table, fit["parameters"] if fit and fit["intervals"] else None


def in_exactly(folder: Path) -> Table:
    """Return how many latents of each SAE are in exactly n SAEs, from ``seeds.json``.

    Returns:
        One row for each SAE and n: ``sae``, its name, ``saes`` (n), ``latents``.

    Raises:
        FileNotFoundError, ValueError: as for `only_in_one`.
    """
    counts = read_seeds(folder)["in_exactly"]
    _need_bases(counts, folder)
    sizes = [len(own) for own in counts.values()]
    return {
        "sae": np.repeat(list(counts), sizes),
        "saes": np.concatenate([np.arange(1, size + 1) for size in sizes]),
        "latents": np.concatenate([np.array(own) for own in counts.values()]),
    }


def _of_pair(folder: Path) -> Latents:
    tables, names = _tables_of_pair(folder)
    (pair,) = read_pairs(folder)
    counts: dict[int, NDArray[np.int64]] = {}
    tokens: dict[str, int | None] = {}
    for place, letter in enumerate("ab"):
        facts = pair.summary["inputs"][letter]
        known = known_firing(Path(facts["path"]), facts["sha256"], facts["num_latents"])
        if known is not None:
            counts[place], tokens[names[place]] = known.count, known.tokens
    return _latents(tables.latents(counts), names, tokens)


def _tables_of_pair(folder: Path) -> tuple[SeedTables, list[str]]:
    (pair,) = read_pairs(folder)
    decoder, encoder = (pair.matching(side) for side in BOTH)
    tables = SeedTables(2, CRITERION)
    tables.add(0, 1, decoder, encoder)
    return tables, [pair.a, pair.b]


def _latents(
    columns: dict[str, NDArray[Any]], names: Sequence[str], tokens: dict[str, int | None]
) -> Latents:
    kept = ("latent", "in_seeds", "decoder_cosine", "encoder_cosine", "similarity", "count")
    table = {name.replace("in_seeds", "in_saes"): columns[name] for name in kept}
    return Latents({"sae": np.array(names)[columns["seed"]], **table}, len(names), tokens)


def _stored(folder: Path, file: str, format_name: str) -> StoredTable:
    if not (folder / file).is_file():
        raise FileNotFoundError(
            f"no {file} in {folder}: run `twinsae match-all` again, which matches nothing anew"
        )
    return load_table(folder / file, format_name)


def _rows(table: Table, mask: NDArray[np.bool_]) -> Table:
    return {name: column[mask] for name, column in table.items()}


def _need_bases(found: object, folder: Path) -> None:
    if not found:
        raise ValueError(f"{folder}: no SAE is matched with all others yet")
