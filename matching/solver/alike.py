"""Whether a dictionary has many rows that are nearly the same."""

import numpy as np
import torch

from ..rows import block_rows
from .selection import Selection

_SAMPLE = 32  # rows, evenly spaced
_NEAR = 0.99  # cosine
_PEERS = 32  # as many as a candidate list has by default
_SHARE = 1 / 16  # of the sample


def many_alike(rows: Selection) -> bool:
    """Return whether one row in 16, of a sample, has more than 32 others that are nearly like it.

    Candidate lists of such rows fill up with each other's partners, and scans in float32 cannot
    tell these apart.
    """
    places, size = np.arange(len(rows)), block_rows(rows.stored.d_in)
    sample = rows.unit(places[:: max(1, len(rows) // _SAMPLE)])
    peers = torch.zeros(len(sample), dtype=torch.int64, device=sample.device)
    for start in range(0, len(rows), size):
        part = rows.unit(places[start : start + size])
        peers += (sample @ part.T > _NEAR).sum(1)
    return int((peers > _PEERS).sum()) > _SHARE * len(sample)
