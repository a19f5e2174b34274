"""What is known of how often an SAE's latents fire, whichever file tells it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...common.files import sha256
from ..formats.dictionary import LATENTS, load_firing_counts
from ..formats.paths import weight_file
from .table import FIRING, load_firing


@dataclass(frozen=True, eq=False)
class KnownFiring:
    """How often each latent fired."""

    count: NDArray[np.int64]
    """(L,): on how many tokens."""
    source: str
    """The file that tells it: "firing.npz", of `twinsae fire`, or "latents.safetensors", of the
    last epoch of training."""
    sha256: str
    """The file's SHA-256."""
    tokens: int | None
    """Of how many; None where the file does not say."""

    @property
    def facts(self) -> dict[str, Any]:
        """What a summary says of it, as JSON values."""
        return {"file": self.source, "sha256": self.sha256, "tokens": self.tokens}


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
        known = KnownFiring(firing.count, FIRING, firing.facts["sha256"], firing.tokens)
    else:
        counts = load_firing_counts(path)
        if counts is None:
            return None
        digest = sha256(weight_file(path).with_name(LATENTS))
        known = KnownFiring(counts.numpy(), LATENTS, digest, None)
    if len(known.count) != num_latents:
        raise ValueError(f"{path}: {len(known.count):,} firing counts for {num_latents:,} latents")
    return known
