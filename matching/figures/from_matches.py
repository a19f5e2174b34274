"""What the figures of matches draw: one row a latent, a pair of latents or a threshold."""

from collections.abc import Sequence

import numpy as np

from .drawing import Table
from .pairs import Pair
from .score_files import EXPLANATION, need_scores, of_sae

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
            match, cosine = matching.by_row()
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


def scores_of_matches(pairs: Sequence[Pair], scores: Table) -> Table:
    """Return the scores of both latents of each pair that the decoders' matching has.

    Args:
        pairs: one or more.
        scores: of `score_files.read_scores`.

    Returns:
        One row for each pair of latents that both have a score: ``pair``, ``latent`` of A,
        ``match`` in B, ``score_a``, ``score_b``, ``decoder_cosine``.

    Raises:
        ValueError: there is no such pair of latents, or a score of a latent that is not there.
        FileNotFoundError: as for `Pair.matching`.
    """
    parts: list[Table] = []
    for pair in pairs:
        matching = pair.matching("decoder")
        of_a = of_sae(scores, pair.a, len(matching.row_max))["score"][matching.rows]
        of_b = of_sae(scores, pair.b, len(matching.col_max))["score"][matching.cols]
        both = np.isfinite(of_a) & np.isfinite(of_b)
        parts.append(
            {
                "pair": np.repeat(pair.name, int(both.sum())),
                "latent": matching.rows[both],
                "match": matching.cols[both],
                "score_a": of_a[both],
                "score_b": of_b[both],
                "decoder_cosine": matching.cosine[both],
            }
        )
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    names = list(dict.fromkeys(name for pair in pairs for name in (pair.a, pair.b)))
    need_scores(found["latent"].size, scores, [f"both of {' and '.join(names)}"])
    return found


def explained_matches(pair: Pair, scores: Table) -> Table:
    """Return the decoder's and the explanation's cosine of A's matched latents that have both.

    Args:
        pair: the match.
        scores: of `score_files.read_scores`.

    Returns:
        One row a latent: ``latent``, ``match``, ``decoder_cosine``, ``explanation_cosine``.

    Raises:
        ValueError: there is no such latent or no column ``explanation_cosine``.
        FileNotFoundError: as for `Pair.matching`.
    """
    if EXPLANATION not in scores:
        raise ValueError(f"scores: expected a column {EXPLANATION}, got {', '.join(scores)}")
    matching = pair.matching("decoder")
    cosine = of_sae(scores, pair.a, len(matching.row_max))[EXPLANATION][matching.rows]
    found = np.isfinite(cosine)
    need_scores(found.any(), scores, [pair.a])
    return {
        "latent": matching.rows[found],
        "match": matching.cols[found],
        "decoder_cosine": matching.cosine[found],
        EXPLANATION: cosine[found],
    }
