"""What is known of how often an SAE's latents fire, whichever file tells it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..formats.dictionary import LATENTS, load_firing_counts
from .table import FIRING, load_firing


@dataclass(frozen=True, eq=False)
class KnownFiring:
    """How often each latent fired."""

    count: NDArray[np.int64]
    """(L,): on how many tokens."""
    source: str
    """The file that tells it: "firing.npz", of `twinsae fire`, or "latents.safetensors", of the
    last epoch of training."""
    tokens: int | None
    """Of how many; None where the file does not say."""


def known_firing(path: Path, sae_sha256: str, num_latents: int) -> KnownFiring | None:
    """Return how often the latents of an SAE fired, or None where that is not known.

    What `twinsae fire` left in the SAE's folder comes first, then what training left there.

    Args:
        path: the SAE's folder or file.
        sae_sha256: the SHA-256 of its weight file.
        num_latents: L.

    Raises:
        ValueError: a file is corrupt, of another number of latents, or the table is that of other
            weights.
    """
    if (path / FIRING).is_file():
        firing = load_firing(path, sae_sha256)
        known = KnownFiring(firing.count, FIRING, firing.tokens)
    else:
        counts = load_firing_counts(path)
        if counts is None:
            return None
        known = KnownFiring(counts.numpy(), LATENTS, None)
    if len(known.count) != num_latents:
        raise ValueError(f"{path}: {len(known.count):,} firing counts for {num_latents:,} latents")
    return known
