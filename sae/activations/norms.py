"""How long activations are, and the rows among them that are far longer than the others."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from .shards import ChosenShard, Shard

OUTLIER_RATIO = 100.0
"""A largest norm this many times the median is worth a warning: few rows then rule the loss."""

_BLOCK_ROWS = 8192


def row_norms(shards: Iterable[Shard], where: Path) -> np.ndarray:
    """Return the Euclidean length of every row, (rows,) float64.

    Raises:
        ValueError: an activation is NaN or infinite; the message says which.
    """
    parts = []
    for shard in shards:
        for start in range(0, shard.rows, _BLOCK_ROWS):
            block = shard.tensor[start : start + _BLOCK_ROWS]
            norms = torch.linalg.vector_norm(block.float(), dim=1, dtype=torch.float64)
            parts.append(norms.numpy())
    norms = np.concatenate(parts)
    wrong = np.flatnonzero(~np.isfinite(norms))
    if len(wrong):
        raise ValueError(f"{where}: activation {wrong[0]} is not finite")
    return norms


def spread(norms: np.ndarray) -> dict[str, float]:
    """Return the ``min``, ``median``, ``p99.9`` (99.9th percentile) and ``max`` of norms."""
    points = {"min": 0, "median": 50, "p99.9": 99.9, "max": 100}
    values = np.percentile(norms, list(points.values()))
    return {name: float(value) for name, value in zip(points, values, strict=True)}


def choose_rows(shards: Sequence[Shard], keep: np.ndarray) -> list[Shard]:
    """Return the shards with only the rows for which ``keep``, (rows,) bool, is true."""
    ends = np.cumsum([shard.rows for shard in shards])[:-1]
    parts = np.split(keep, ends)
    return [
        ChosenShard(shard, np.flatnonzero(part)) for shard, part in zip(shards, parts, strict=True)
    ]
