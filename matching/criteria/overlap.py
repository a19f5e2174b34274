"""Which latents two SAEs share, by every criterion in use.

The criteria are those of https://arxiv.org/abs/2501.16615 and of its authors' code
(https://github.com/SrGonao/sae_overlap). Decoder and encoder are matched independently. With c_i
and q_i the cosines of latent i of A with its decoder and its encoder match, and a threshold tau:

- ``and``: c_i > tau and q_i > tau; the two matches may differ
- ``and_equal``: ``and``, and both matches are the same latent of B
- ``decoder``, ``encoder``: c_i > tau; q_i > tau
- ``mean``: (c_i + q_i) / 2 > tau
- ``max``: ``max_decoder`` and ``max_encoder``; the two best latents of B may differ
- ``max_decoder``, ``max_encoder``: the best cosine with any latent of B, many to one, > tau
- ``equal``: both matches are the same latent of B, whatever their cosines
"""

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..matching import Matching
from .intervals import share_over_latents

CRITERIA = (
    "and",
    "and_equal",
    "decoder",
    "encoder",
    "mean",
    "max",
    "max_decoder",
    "max_encoder",
    "equal",
)
THRESHOLD = 0.7
SWEEP_POINTS = 50

Masks = dict[str, NDArray[np.bool_]]


def overlap(
    decoder: Matching | None,
    encoder: Matching | None,
    *,
    d_in: int,
    threshold: float = THRESHOLD,
    fired: tuple[ArrayLike, ArrayLike] | None = None,
) -> dict[str, Any]:
    """Count the latents of A that B shares, by every criterion.

    Fractions are of A's L_A latents; one that the matching leaves out is not shared.

    The "live" block looks at A's live latents only, and fractions are of their number. With
    firing counts (``by`` is "firing"), a latent is live if it fired at least once, and a match
    with a latent of B that never fired does not count (the ``max`` criteria look at A alone).
    Without (``by`` is "floor"), a latent of A is live if its best decoder cosine with any latent
    of B exceeds `chance_floor`; the encoder's is taken if there is no decoder matching.

    Args:
        decoder: the matching of the decoders, or None; then criteria that need it are left out.
        encoder: the matching of the encoders, or None; not both.
        d_in: width D of the dictionaries, for the chance floor.
        threshold: tau.
        fired: (L_A,) and (L_B,) how often each latent of A and of B fired.

    Returns:
        ``{"threshold", "criteria": {name: fraction}, "counts": {name: latents}, "intervals":
        {name: [low, high]}, "num_latents", "live": {"by", "num_latents", "criteria", "counts",
        "intervals"}, "sweep": {"threshold": 50 values from 0 to 1, name: fractions}}``; the sweep
        has no ``equal``, which has no threshold. Intervals are of fractions, over latents, of level
        0.95: see `intervals.share_over_latents`. There are none where no latent is looked at.

    Raises:
        ValueError: there is no matching, the two are of different sizes, or ``fired`` is.
    """
    sides = _aligned_pair(decoder, encoder)
    every = np.ones(sides.num_a, dtype=bool)
    by, live_a, live_b = _live(sides, d_in, fired)
    return {
        "threshold": threshold,
        **_counted(sides, threshold, every),
        "live": {"by": by, **_counted(sides.restricted(live_b), threshold, live_a)},
        "sweep": _sweep(sides),
    }


def shared(
    decoder: Matching | None, encoder: Matching | None, threshold: float = THRESHOLD
) -> Masks:
    """Return which latents of A are shared: {criterion: (L_A,) bool}. See `overlap`.

    Raises:
        ValueError: there is no matching, or the two are of different sizes.
    """
    return _masks(_aligned_pair(decoder, encoder), threshold)


def main_criterion(sides: Collection[str]) -> str:
    """Return what counts as shared by default: "and", or the one side that was matched."""
    return "and" if len(sides) > 1 else next(iter(sides))


def chance_floor(num_latents: int, d_in: int) -> float:
    """Return about how large the best of ``num_latents`` cosines with random directions is.

    It is sqrt(2 ln L / D), the expected maximum of L normal variables of variance 1 / D.
    """
    return math.sqrt(2 * math.log(num_latents) / d_in)


def mmcs(matching: Matching) -> tuple[float, float]:
    """Return the mean max cosine similarity from A to B, and from B to A.

    Mean over one dictionary's latents of the best cosine with any of the other's (Sharkey, Braun
    and Millidge, "Taking features out of superposition with sparse autoencoders", 2022).
    """
    return float(matching.row_max.mean()), float(matching.col_max.mean())


def pw_mcc(matching: Matching) -> float:
    """Return the pairwise mean correlation coefficient: the mean cosine of the matched pairs.

    As the published code of https://arxiv.org/abs/2505.20254 has it, without the absolute value of
    the paper's formula. Over min(L_A, L_B) pairs.
    """
    return matching.objective / len(matching.rows)


@dataclass(frozen=True)
class _Aligned:
    """One side's matching, spread out over A's latents."""

    cosine: NDArray[np.float64]  # (L_A,), -inf where unmatched
    partner: NDArray[np.int64]  # (L_A,), -1 where unmatched
    best: NDArray[np.float64]  # (L_A,)

    def restricted(self, live_b: NDArray[np.bool_]) -> Self:
        """Take matches with latents of B that are not live away."""
        kept = (self.partner >= 0) & live_b[self.partner]
        cosine, partner = np.where(kept, self.cosine, -np.inf), np.where(kept, self.partner, -1)
        return replace(self, cosine=cosine, partner=partner)


@dataclass(frozen=True)
class _Sides:
    """Both sides' matchings, or one."""

    decoder: _Aligned | None
    encoder: _Aligned | None
    first: _Aligned  # the decoder's, if there is one
    num_a: int
    num_b: int

    def restricted(self, live_b: NDArray[np.bool_]) -> Self:
        """Take matches with latents of B that are not live away, on both sides."""
        return replace(
            self,
            decoder=self.decoder and self.decoder.restricted(live_b),
            encoder=self.encoder and self.encoder.restricted(live_b),
        )


def _aligned_pair(decoder: Matching | None, encoder: Matching | None) -> _Sides:
    given = [matching for matching in (decoder, encoder) if matching is not None]
    sizes = {(len(matching.row_max), len(matching.col_max)) for matching in given}
    if len(sizes) != 1:
        found = " and ".join(f"{la:,} x {lb:,}" for la, lb in sorted(sizes)) or "none"
        raise ValueError(
            f"decoder and encoder must be matchings of the same two SAEs, but they are of {found}"
        )
    ((num_a, num_b),) = sizes
    return _Sides(
        decoder=_align(decoder) if decoder else None,
        encoder=_align(encoder) if encoder else None,
        first=_align(given[0]),
        num_a=num_a,
        num_b=num_b,
    )


def _align(matching: Matching) -> _Aligned:
    partner, cosine = matching.by_row()
    return _Aligned(np.where(partner < 0, -np.inf, cosine), partner, matching.row_max)


def _masks(sides: _Sides, threshold: float) -> Masks:
    """Return each criterion's latents, in the order of this module's docstring."""
    decoder, encoder = sides.decoder, sides.encoder
    masks: Masks = {}
    if decoder:
        masks["decoder"] = decoder.cosine > threshold
        masks["max_decoder"] = decoder.best > threshold
    if encoder:
        masks["encoder"] = encoder.cosine > threshold
        masks["max_encoder"] = encoder.best > threshold
    if decoder and encoder:
        masks["equal"] = (decoder.partner == encoder.partner) & (decoder.partner >= 0)
        masks["and"] = masks["decoder"] & masks["encoder"]
        masks["and_equal"] = masks["and"] & masks["equal"]
        masks["mean"] = (decoder.cosine + encoder.cosine) / 2 > threshold
        masks["max"] = masks["max_decoder"] & masks["max_encoder"]
    return {name: masks[name] for name in CRITERIA if name in masks}


def _counted(sides: _Sides, threshold: float, among: NDArray[np.bool_]) -> dict[str, Any]:
    """Count by every criterion the latents of ``among``, (L_A,) bool."""
    masks = _masks(sides, threshold)
    counts = {name: int((mask & among).sum()) for name, mask in masks.items()}
    num_latents = int(among.sum())
    intervals = {name: share_over_latents(count, num_latents) for name, count in counts.items()}
    return {
        "criteria": {name: count / max(num_latents, 1) for name, count in counts.items()},
        "counts": counts,
        "intervals": {name: list(found) for name, found in intervals.items() if found},
        "num_latents": num_latents,
    }


def _live(
    sides: _Sides, d_in: int, fired: tuple[ArrayLike, ArrayLike] | None
) -> tuple[str, NDArray[np.bool_], NDArray[np.bool_]]:
    """Return how liveness was told, and which latents of A and of B are live."""
    if fired is None:
        live_a = sides.first.best > chance_floor(sides.num_b, d_in)
        return "floor", live_a, np.ones(sides.num_b, dtype=bool)
    live_a, live_b = (np.asarray(counts) > 0 for counts in fired)
    if (live_a.shape, live_b.shape) != ((sides.num_a,), (sides.num_b,)):
        raise ValueError(
            f"fired must hold a count for each of {sides.num_a:,} and {sides.num_b:,} latents, "
            f"not arrays of shape {live_a.shape} and {live_b.shape}"
        )
    return "firing", live_a, live_b


def _sweep(sides: _Sides) -> dict[str, list[float]]:
    sweep: dict[str, list[float]] = {"threshold": []}
    for threshold in np.linspace(0.0, 1.0, SWEEP_POINTS).tolist():
        sweep["threshold"].append(threshold)
        for name, mask in _masks(sides, threshold).items():
            if name != "equal":
                sweep.setdefault(name, []).append(float(mask.mean()))
    return sweep
