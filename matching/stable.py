"""Which latents come back in other seeds, and which latents of n seeds belong together.

Two latents of two SAEs are **linked** if they are partners in both matchings, of decoders and of
encoders, with both cosines above the threshold (criterion ``and_equal`` of `criteria.overlap`).

**Reappearance.** Of the S - 1 other SAEs, a latent is linked with one in some; that share estimates
the probability that another training finds it, too (https://arxiv.org/abs/2606.12138 has the idea,
with another estimator). Its interval is that of Clopper and Pearson ("The use of confidence or
fiducial limits illustrated in the case of the binomial", 1934) for S - 1 trials.

**Groups.** The links are taken by falling mean of the two cosines. Each joins the groups of its two
latents, unless both have a latent of the same SAE: a group has at most one of each.

**Consistency.** Of all chains of two links i - j - k over three SAEs, the share whose ends i and k
are not linked. It is 0 if links are an equivalence.

For example, take one latent in each of three SAEs, with links 1 - 2 (0.9) and 2 - 3 (0.8), and a
second latent in SAE 3 that is linked with the one in SAE 1 (0.75). The first two links make a group
of three. The third one would bring a second latent of SAE 3 into it, and is left out, so that this
latent is alone. There are two chains, with their middles in SAE 2 and in SAE 1, and the ends of
neither are linked: all are inconsistent. The latent in SAE 2 comes back in 2 of 2 others.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..common.files import StrPath
from ..common.tables import read_json, save_table
from .criteria.intervals import LEVEL
from .criteria.overlap import THRESHOLD
from .match_all import ALL_FORMAT, ALL_SUMMARY
from .match_files import SIDES
from .matching import Matching

STABLE = "stable.npz"
STABLE_FORMAT = "twinsae-stable/1"

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]
Pair = tuple[int, int]


class Links(NamedTuple):
    """The links of two SAEs."""

    rows: Indices
    """(n,) latents of the first, ascending."""
    cols: Indices
    """(n,) the latents of the second that they are linked with."""
    cosine: Floats
    """(n,) the mean of the decoders' cosine and the encoders'."""


class Stable(NamedTuple):
    """What is known of all latents of S SAEs, one after another."""

    seed: Indices
    """(n,) the SAE's place in the list."""
    latent: Indices
    """(n,) the latent's number in it."""
    linked: Indices
    """(n,) in how many of the other SAEs it has a link."""
    share: Floats
    """(n,) that number divided by S - 1."""
    low: Floats
    """(n,) the lower end of the share's interval of level 0.95."""
    high: Floats
    """(n,) the upper end."""
    group: Indices
    """(n,) the number of its group; groups are numbered by falling size."""
    group_size: Indices
    """(n,) how many latents that group has."""


def links(decoder: Matching, encoder: Matching, threshold: float = THRESHOLD) -> Links:
    """Return the links of two SAEs.

    Args:
        decoder: the matching of their decoders.
        encoder: that of their encoders.
        threshold: that both cosines exceed.
    """
    partner, cosine = encoder.by_row()
    both = (partner[decoder.rows] == decoder.cols) & (decoder.cosine > threshold)
    both &= cosine[decoder.rows] > threshold
    rows = decoder.rows[both]
    return Links(rows, decoder.cols[both], (decoder.cosine[both] + cosine[rows]) / 2)


def stable(sizes: ArrayLike, found: Mapping[Pair, Links]) -> Stable:
    """Return how often each latent comes back, and its group.

    Args:
        sizes: (S,) the number of latents of each SAE.
        found: the links of each two SAEs, by their places (a, b) with a < b.
    """
    lengths = np.asarray(sizes, dtype=np.int64)
    starts = np.append(0, np.cumsum(lengths))
    linked = np.zeros(starts[-1], dtype=np.int64)
    for (a, b), pairs in found.items():
        linked[starts[a] + pairs.rows] += 1
        linked[starts[b] + pairs.cols] += 1
    group, size = _groups(starts, found)
    low, high = _clopper_pearson(linked, len(lengths) - 1)
    return Stable(
        seed=np.repeat(np.arange(len(lengths)), lengths),
        latent=np.concatenate([np.arange(length) for length in lengths]),
        linked=linked,
        share=linked / max(1, len(lengths) - 1),
        low=low,
        high=high,
        group=group,
        group_size=size,
    )


def inconsistent(sizes: ArrayLike, found: Mapping[Pair, Links]) -> tuple[int, int]:
    """Return how many chains of two links have ends that are not linked, and how many there are.

    Args:
        sizes: (S,) as for `stable`.
        found: as for `stable`.
    """
    lengths = np.asarray(sizes, dtype=np.int64)
    partner: dict[Pair, Indices] = {}
    for (a, b), pairs in found.items():
        for one, other, own, theirs in ((a, b, pairs.rows, pairs.cols),
                                        (b, a, pairs.cols, pairs.rows)):  # fmt: skip
            partner[one, other] = np.full(lengths[one], -1, dtype=np.int64)
            partner[one, other][own] = theirs
    open_chains = chains = 0
    for middle in range(len(lengths)):
        ends = [other for one, other in partner if one == middle]
        for a, c in ((a, c) for a in ends for c in ends if a < c):
            left, right = partner[middle, a], partner[middle, c]
            both = (left >= 0) & (right >= 0)
            left, right = left[both], right[both]
            chains += len(left)
            closed = (a, c) in partner and int((partner[a, c][left] == right).sum())
            open_chains += len(left) - closed
    return open_chains, chains


def stable_files(folder: StrPath) -> dict[str, Any]:
    """Write ``stable.npz`` and its description into a folder that `match_all` wrote.

    Args:
        folder: where every two SAEs were matched.

    Returns:
        ``{"dictionaries": names, "weights": {name: SHA-256 of the SAE's file}, "threshold",
        "groups": {size: number}, "chains", "inconsistent", "share": mean share of other SAEs in
        which a latent comes back}``.

    Raises:
        FileNotFoundError: the folder is not of `match_all`, or a pair's file is gone.
        ValueError: it is corrupt, or pairs are missing.
        OSError: the table could not be written.
    """
    place = Path(folder)
    content = _read(place)
    names = [facts["name"] for facts in content["dictionaries"]]
    found: dict[Pair, Links] = {}
    for pair in content["pairs"]:
        a, b = names.index(pair["a"]), names.index(pair["b"])
        matched = place / f"{pair['a']}--{pair['b']}"
        decoder, encoder = (Matching.load(matched / f"{side}.npz") for side in SIDES)
        found[a, b] = links(decoder, encoder, content["threshold"])
    sizes = [facts["num_latents"] for facts in content["dictionaries"]]
    result = stable(sizes, found)
    open_chains, chains = inconsistent(sizes, found)
    counts = np.bincount(np.bincount(result.group))
    facts = {
        "dictionaries": names,
        "weights": {facts["name"]: facts["sha256"] for facts in content["dictionaries"]},
        "threshold": content["threshold"],
        "groups": {str(size): int(counts[size]) for size in range(1, len(counts))},
        "chains": chains,
        "inconsistent": open_chains,
        "share": float(result.share.mean()),
    }
    save_table(place / STABLE, STABLE_FORMAT, result._asdict(), facts)
    return facts


def _read(folder: Path) -> dict[str, Any]:
    file = folder / ALL_SUMMARY
    if not file.is_file():
        raise FileNotFoundError(f"{folder} has no {ALL_SUMMARY}: expected one of `match_all`")
    content = read_json(file, ALL_FORMAT)
    if content["missing"]:
        pair = content["missing"][0]
        raise ValueError(f"{folder}: {pair['a']} and {pair['b']} were not matched")
    seeds = len(content["dictionaries"])
    if len(content["pairs"]) < seeds * (seeds - 1) // 2:
        raise ValueError(f"{folder}: expected every two SAEs to be matched, as by --pairs all")
    return content


def _groups(starts: Indices, found: Mapping[Pair, Links]) -> tuple[Indices, Indices]:
    """Return each latent's group and that group's size."""
    parent = list(range(int(starts[-1])))
    # A bit for each SAE that a group has a latent of.
    members = [
        1 << seed for seed, count in enumerate(np.diff(starts).tolist()) for _ in range(count)
    ]

    def root(latent: int) -> int:
        while parent[latent] != latent:
            parent[latent] = parent[parent[latent]]
            latent = parent[latent]
        return latent

    for left, right in _by_falling_cosine(starts, found):
        one, other = root(left), root(right)
        if not members[one] & members[other]:
            parent[other] = one
            members[one] |= members[other]
    roots = np.array([root(latent) for latent in range(len(parent))], dtype=np.int64)
    _, first, inverse, count = np.unique(
        roots, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.lexsort((first, -count))  # by falling size; of equal ones the first latent's first
    number = np.empty_like(order)
    number[order] = np.arange(len(order))
    return number[inverse], count[inverse]


def _by_falling_cosine(starts: Indices, found: Mapping[Pair, Links]) -> list[list[int]]:
    """Return all links as pairs of places in the list of all latents; ties go by place."""
    if not found:
        return []
    left = np.concatenate([starts[a] + pairs.rows for (a, _), pairs in found.items()])
    right = np.concatenate([starts[b] + pairs.cols for (_, b), pairs in found.items()])
    cosine = np.concatenate([pairs.cosine for pairs in found.values()])
    order = np.lexsort((right, left, -cosine))
    listed: list[list[int]] = np.stack([left, right], axis=1)[order].tolist()
    return listed


def _clopper_pearson(successes: Indices, trials: int) -> tuple[Floats, Floats]:
    from scipy.stats import beta  # here, so that a bare GPU machine can match without it

    tail = (1 - LEVEL) / 2
    counts = np.arange(trials + 1)
    low, high = np.zeros(trials + 1), np.ones(trials + 1)
    low[1:] = beta.ppf(tail, counts[1:], trials - counts[1:] + 1)
    high[:-1] = beta.ppf(1 - tail, counts[:-1] + 1, trials - counts[:-1])
    return low[successes], high[successes]
