"""Two tables of several SAEs' matches: one row a latent, and one row a pair.

``seed_latents``, one row for each latent of each SAE that was matched with all S - 1 others:

| column | dtype | what it is |
|---|---|---|
| ``seed`` | int64 | place of the SAE in the list of SAEs |
| ``latent`` | int64 | the latent's number in it |
| ``in_seeds`` | int64 | in how many of the S SAEs it is, its own among them, by the criterion |
| ``decoder_cosine`` | float64 | mean over the others of the cosine with its decoder match there |
| ``encoder_cosine`` | float64 | the same of the encoders |
| ``similarity`` | float64 | mean of these two |
| ``count`` | int64 | on how many tokens it fired; -1 where that is not known |

The means are over **all** others in which the latent has a match: an SAE with fewer latents leaves
some without, and a latent without any match has NaN. The authors of
https://arxiv.org/abs/2501.16615 take the similarity of their figure 3 from one pair for each group
of latents, that of seed 1 and seed n for the latents in n seeds.

``seed_pairs``, one row for each ordered pair of SAEs that were matched:

| column | dtype | what it is |
|---|---|---|
| ``a``, ``b`` | int64 | places in the list of SAEs |
| ``decoder_cosine``, ``encoder_cosine`` | float64 | mean cosine of the matched pairs |
| one for each of `CRITERIA` | float64 | the share of a's latents that b shares |

The two directions of a pair share their cosines, not the criteria.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..matching import Matching
from .intervals import mean_over_seeds
from .overlap import CRITERIA, pw_mcc, shared
from .seed_counts import Others

Columns = dict[str, NDArray[Any]]


class SeedLatents:
    """What is known of one SAE's latents from its matches with others.

    Args:
        num_latents: L.
        num_others: how many other SAEs there are, S - 1.
    """

    def __init__(self, num_latents: int, num_others: int) -> None:
        self.others = Others(num_latents, num_others)
        self.num_added = 0
        self._sums = np.zeros((2, num_latents))  # decoders, encoders
        self._matched = np.zeros((2, num_latents), dtype=np.int64)

    def add(
        self, other: int, shares: NDArray[np.bool_], decoder: Matching, encoder: Matching
    ) -> None:
        """Take in the match with one other SAE.

        Args:
            other: its number among the others, from 0 on; each once.
            shares: (L,), which latents it shares by the criterion.
            decoder: the matching of the decoders, whose rows are this SAE's.
            encoder: that of the encoders.
        """
        self.others.add(other, shares)
        self.num_added += 1
        for side, matching in enumerate((decoder, encoder)):
            self._sums[side, matching.rows] += matching.cosine
            self._matched[side, matching.rows] += 1

    @property
    def is_complete(self) -> bool:
        """Whether all others were added."""
        return self.num_added == self.others.num_others

    def columns(self, seed: int, count: ArrayLike | None) -> Columns:
        """Return the rows of ``seed_latents`` of this SAE.

        Args:
            seed: its place in the list.
            count: (L,) on how many tokens each latent fired; None: not known.
        """
        size = len(self.others)
        means = np.where(self._matched > 0, self._sums, np.nan) / np.maximum(self._matched, 1)
        unknown = np.full(size, -1)
        return {
            "seed": np.full(size, seed),
            "latent": np.arange(size),
            "in_seeds": 1 + self.others.sharing().sum(axis=1),
            "decoder_cosine": means[0],
            "encoder_cosine": means[1],
            "similarity": means.mean(axis=0),
            "count": unknown if count is None else np.asarray(count, dtype=np.int64),
        }


class SeedTables:
    """Both tables, while pairs are added.

    Args:
        num_seeds: S, how many SAEs there are.
        criterion: one of `CRITERIA`.
    """

    def __init__(self, num_seeds: int, criterion: str) -> None:
        self._num_seeds = num_seeds
        self._criterion = criterion
        self._latents: dict[int, SeedLatents] = {}
        self._pairs: list[dict[str, float]] = []

    def add(self, a: int, b: int, decoder: Matching, encoder: Matching) -> None:
        """Take in the matchings of SAEs number a and b, whose rows are a's latents."""
        self._add_one_way(a, b, decoder, encoder)
        self._add_one_way(b, a, decoder.swapped(), encoder.swapped())

    def _add_one_way(self, a: int, b: int, decoder: Matching, encoder: Matching) -> None:
        masks = shared(decoder, encoder)
        size = len(decoder.row_max)
        latents = self._latents.setdefault(a, SeedLatents(size, self._num_seeds - 1))
        latents.add(b - (b > a), masks[self._criterion], decoder, encoder)
        cosines = {"decoder_cosine": pw_mcc(decoder), "encoder_cosine": pw_mcc(encoder)}
        shares = {name: float(masks[name].mean()) for name in CRITERIA}
        self._pairs.append({"a": a, "b": b, **cosines, **shares})

    def complete(self) -> dict[int, SeedLatents]:
        """Return the SAEs that were matched with all others, by place."""
        return {
            place: latents for place, latents in sorted(self._latents.items())
            if latents.is_complete
        }  # fmt: skip

    def latents(self, counts: Mapping[int, ArrayLike]) -> Columns:
        """Return ``seed_latents``.

        Args:
            counts: by place, (L,) on how many tokens each latent fired, where that is known.
        """
        parts = [
            latents.columns(place, counts.get(place)) for place, latents in self.complete().items()
        ]
        parts = parts or [SeedLatents(0, 1).columns(0, None)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def pairs(self) -> Columns:
        """Return ``seed_pairs``, ordered by a, then b."""
        rows = sorted(self._pairs, key=lambda row: (row["a"], row["b"]))
        names = ("a", "b", "decoder_cosine", "encoder_cosine", *CRITERIA)
        kinds = {"a": np.int64, "b": np.int64}
        return {
            name: np.array([row[name] for row in rows], dtype=kinds.get(name, np.float64))
            for name in names
        }


def pair_matrix(pairs: Mapping[str, NDArray[Any]], name: str, num_seeds: int) -> NDArray[Any]:
    """Return one column of ``seed_pairs`` as a matrix (S, S), for a heat map.

    Row a and column b is what b shares of a; NaN on the diagonal and where a pair is missing.
    """
    matrix = np.full((num_seeds, num_seeds), np.nan)
    matrix[pairs["a"], pairs["b"]] = pairs[name]
    return matrix


def over_seeds(pairs: Mapping[str, NDArray[Any]], num_seeds: int) -> dict[str, dict[str, Any]]:
    """Return each criterion's mean over all ordered pairs, with its interval over seeds.

    Args:
        pairs: the columns of ``seed_pairs``.
        num_seeds: S.

    Returns:
        ``{criterion: {"mean", "interval": [low, high]}}``, of level 0.95; see
        `intervals.mean_over_seeds`. The interval is None for fewer than three seeds, and there is
        nothing without a pair.
    """
    if not len(pairs["a"]):
        return {}
    found: dict[str, dict[str, Any]] = {}
    for name in CRITERIA:
        interval = mean_over_seeds(pair_matrix(pairs, name, num_seeds))
        mean = float(pairs[name].mean())
        found[name] = {"mean": mean, "interval": interval and list(interval)}
    return found
