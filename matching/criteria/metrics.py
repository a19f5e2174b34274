"""The numbers by which the field compares two dictionaries, each with its source's name for it.

With S_ij the cosine of latent i of A with latent j of B, and pi the exact matching of M pairs:

- ``mean_matched_cosine``: (1/M) sum of S_i,pi(i). ``mean_matched_absolute_cosine``: the same of
  |S|, for which another matching is the best.
- ``mean_max_cosine_a_to_b``: (1/L_A) sum_i max_j S_ij; ``..._b_to_a``: (1/L_B) sum_j max_i S_ij.
- ``mutual_nearest``: the share of A's latents i whose nearest latent j of B has i as its nearest;
  ``mutual_nearest_above_0.7``: of these only those with S_ij > 0.7.
- ``mean_greedy_cosine``: the mean of the pairs that are chosen one by one, the best first.
- ``matched_above_0.7``, ``greedy_above_0.7``, ``nearest_above_0.7``: the share of A's latents whose
  partner, by the exact matching, by greedy choice or the nearest, has a cosine above 0.7.
- ``greedy_agrees``, ``nearest_agrees``: the share of the exact matching's pairs that it has, too.
- ``alignment_a``, ``alignment_b``: the mean over one SAE's latents of the cosine of its encoder row
  with its own decoder row; ``_p05`` to ``_p95`` are quantiles.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...common.progress import Progress, silent
from ..matching import Matching
from ..rows import StoredRows
from ..solver.selection import edge_cosines, whole
from .overlap import THRESHOLD, mmcs, pw_mcc
from .partners import Floats, Indices, greedy_partners, neighbours

QUANTILES = (5, 25, 50, 75, 95)  # percent

_MNN = "mutual nearest neighbours (arXiv 2603.25325)"
_CALLED = {
    "mean_matched_cosine": "PW-MCC, as its code has it (arXiv 2505.20254); stability (2502.12892)",
    "mean_matched_absolute_cosine": "PW-MCC, as its text has it (arXiv 2505.20254)",
    "mean_max_cosine_a_to_b": "MMCS (Sharkey et al. 2022); stability (arXiv 2505.16077)",
    "mean_max_cosine_b_to_a": "MMCS (Sharkey et al. 2022)",
    "mutual_nearest": _MNN + ", without its threshold",
    "mutual_nearest_above_0.7": _MNN,
    "mean_greedy_cosine": "greedy pairing (arXiv 2410.06981)",
    "matched_above_0.7": "shared, decoder or encoder alone (arXiv 2501.16615)",
    "nearest_above_0.7": "not novel (arXiv 2502.04878)",
    "alignment_a": "encoder-decoder alignment (arXiv 2605.18629)",
    "alignment_b": "encoder-decoder alignment (arXiv 2605.18629)",
}


class Metric(NamedTuple):
    """One number."""

    name: str
    value: float
    called: str
    """What the literature calls it, and where; empty where no source has a name."""


class SideMetrics(NamedTuple):
    """What one side's rows, decoder's or encoder's, say of two SAEs."""

    metrics: list[Metric]
    columns: dict[str, NDArray[np.generic]]
    """A tidy table, (L_A,) each: ``latent``; the partners ``matched`` and ``greedy`` (-1: none) and
    ``nearest`` in B with their cosines ``matched_cosine`` and so on (NaN: none); ``mutual``,
    whether the nearest one's nearest is this latent."""


def side_metrics(
    a: StoredRows,
    b: StoredRows,
    signed: Matching,
    absolute: Matching,
    progress: Progress = silent,
) -> SideMetrics:
    """Compute every number of this module that needs one side alone.

    Args:
        a: (L_A, D) the dictionaries; their cosines count with their signs.
        b: (L_B, D).
        signed: their matching.
        absolute: their matching by absolute cosines.
        progress: told of the phase "candidates", in pairs.

    Raises:
        ValueError: a matching counts cosines in the other way, or the rows are not signed.
    """
    if signed.absolute or not absolute.absolute or a.absolute or b.absolute:
        raise ValueError("expected rows and a matching with signs, and one of absolute cosines")
    found = neighbours(a, b, progress)
    nearest, back = found.nearest()
    matched, _ = signed.by_row()
    partners = {"matched": matched, "greedy": greedy_partners(a, b, found), "nearest": nearest}
    cosines = {name: _cosines(a, b, partner) for name, partner in partners.items()}
    mutual = back[nearest] == np.arange(a.num_latents)
    a_to_b, b_to_a = mmcs(signed)
    values = {
        "mean_matched_cosine": pw_mcc(signed),
        "mean_matched_absolute_cosine": pw_mcc(absolute),
        "mean_max_cosine_a_to_b": a_to_b,
        "mean_max_cosine_b_to_a": b_to_a,
        "mean_greedy_cosine": float(np.nanmean(cosines["greedy"])),
        "mutual_nearest": float(mutual.mean()),
        "mutual_nearest_above_0.7": float((mutual & (cosines["nearest"] > THRESHOLD)).mean()),
        **{f"{name}_above_0.7": float((cosine > THRESHOLD).mean())
           for name, cosine in cosines.items()},
        **{f"{name}_agrees": float((partners[name] == matched)[signed.rows].mean())
           for name in ("greedy", "nearest")},
    }  # fmt: skip
    columns: dict[str, NDArray[np.generic]] = {"latent": np.arange(a.num_latents)}
    for name, partner in partners.items():
        columns |= {name: partner, f"{name}_cosine": cosines[name]}
    columns["mutual"] = mutual
    return SideMetrics([_metric(name, value) for name, value in values.items()], columns)


def alignment(decoder: StoredRows, encoder: StoredRows) -> Floats:
    """Return the cosine of each latent's decoder row with its own encoder row, (L,).

    Args:
        decoder: (L, D) rows of an SAE.
        encoder: (L, D), those of the same one.
    """
    return _cosines(decoder, encoder, np.arange(decoder.num_latents))


def alignment_metrics(name: str, cosines: Floats) -> list[Metric]:
    """Return mean and quantiles of what `alignment` returned for the SAE ``name``, "a" or "b"."""
    quantiles = np.percentile(cosines, QUANTILES)
    spread = {f"_p{percent:02}": value for percent, value in zip(QUANTILES, quantiles, strict=True)}
    values = {"": cosines.mean(), **spread}
    return [_metric(f"alignment_{name}{end}", float(value)) for end, value in values.items()]


def _metric(name: str, value: float) -> Metric:
    return Metric(name, value, _CALLED.get(name, ""))


def _cosines(a: StoredRows, b: StoredRows, partner: Indices) -> Floats:
    """Return the cosine of each row of ``a`` with its partner, NaN where it has none: (L_A,)."""
    rows = np.flatnonzero(partner >= 0)
    cosines = np.full(a.num_latents, np.nan)
    cosines[rows] = edge_cosines(whole(a), whole(b), rows, partner[rows])
    return cosines
