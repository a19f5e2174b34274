"""What the figures draw of matches: tables with one row a latent or a threshold."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..criteria.overlap import shared
from .drawing import Table
from .pairs import Pair, read_pairs, read_seeds

BOTH = ("decoder", "encoder")


def matched_latents(pairs: Sequence[Pair], sides: Sequence[str] = BOTH) -> Table:
    """Return what each latent of each pair's first SAE is matched to.

    Args:
        pairs: one or more.
        sides: of which matchings: "decoder", "encoder" or both.

    Returns:
        One row for each pair and each latent of its A. ``pair`` is the pair's name and ``latent``
        the latent's number; for each side, ``<side>_cosine`` is the cosine with the match, NaN
        where there is none, ``<side>_match`` the number of that latent of B, -1 where there is
        none, and ``<side>_max`` the best cosine with any latent of B.

    Raises:
        FileNotFoundError, ValueError: as for `Pair.matching`.
    """
    parts: list[Table] = []
    for pair in pairs:
        part: Table = {}
        for side in sides:
            matching = pair.matching(side)
            cosine = np.full(len(matching.row_max), np.nan)
            match = np.full(len(matching.row_max), -1)
            cosine[matching.rows], match[matching.rows] = matching.cosine, matching.cols
            part |= {
                f"{side}_cosine": cosine,
                f"{side}_match": match,
                f"{side}_max": matching.row_max,
            }
        size = len(part[f"{sides[0]}_cosine"])
        parts.append({"pair": np.repeat(pair.name, size), "latent": np.arange(size), **part})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def swept_thresholds(pairs: Sequence[Pair]) -> Table:
    """Return the share of A's latents by each criterion, at each of 50 thresholds.

    Returns:
        One row for each pair and threshold: ``pair``, ``threshold``, and for each criterion that
        all pairs have a column with its name.
    """
    sweeps = [pair.summary["overlap"]["sweep"] for pair in pairs]
    kept = [name for name in sweeps[0] if all(name in sweep for sweep in sweeps)]
    sizes = [len(sweep["threshold"]) for sweep in sweeps]
    names = np.repeat([pair.name for pair in pairs], sizes)
    return {
        "pair": names,
        **{name: np.concatenate([sweep[name] for sweep in sweeps]) for name in kept},
    }


def largest_floor(pairs: Sequence[Pair], sides: Sequence[str] = BOTH) -> float:
    """Return the cosine that random directions reach, the largest of all pairs and sides."""
    return max(pair.chance_floor(side) for pair in pairs for side in sides)


def shared_by_pairs(folder: Path, criterion: str = "and") -> Table:
    """Return which share of each SAE's latents each other SAE shares.

    Returns:
        Two rows for each pair: ``of`` and ``with``, the names of the SAEs, and ``share`` of the
        first one's latents that the second shares.

    Raises:
        FileNotFoundError, ValueError: as for `read_pairs` and `Pair.matching`.
    """
    of, others, shares = [], [], []
    for pair in read_pairs(folder):
        decoder, encoder = (pair.matching(side) for side in BOTH)
        both_ways = ((pair.a, pair.b, decoder, encoder),
                     (pair.b, pair.a, decoder.swapped(), encoder.swapped()))  # fmt: skip
        for one, other, first, second in both_ways:
            of.append(one)
            others.append(other)
            shares.append(float(shared(first, second)[criterion].mean()))
    return {"of": np.array(of), "with": np.array(others), "share": np.array(shares)}


def only_in_one(folder: Path) -> Table:
    """Return which share of an SAE's latents is in none of n - 1 others, from ``seeds.json``.

    Returns:
        One row for each n: ``saes`` (n), ``mean``, ``std``, ``min`` and ``max`` of the share, and
        ``sets``, over how many sets of SAEs.

    Raises:
        FileNotFoundError, ValueError: as for `read_seeds`; or no SAE was matched with all others.
    """
    points = read_seeds(folder)["only_in_base"]
    _need_bases(points, folder)
    columns = {"saes": "dictionaries"} | {n: n for n in ("mean", "std", "min", "max", "sets")}
    return {name: np.array([point[key] for point in points]) for name, key in columns.items()}


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


def _need_bases(found: object, folder: Path) -> None:
    if not found:
        raise ValueError(f"{folder}: no SAE is matched with all others yet")
