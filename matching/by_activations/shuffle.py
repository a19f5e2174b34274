"""`shuffled_tokens`: the same activations on other tokens, which leaves nothing but chance."""

import numpy as np

from ..codes import Codes


def shuffled_tokens(codes: Codes, seed: int) -> Codes:
    """Return codes whose N tokens are in a random order.

    How often each latent is active, how strongly, and with which other latents of its SAE, stays
    as it was; on which tokens does not. So what such codes share with another SAE's is chance.

    Args:
        codes: (N tokens, L latents).
        seed: of the order, which is the same in every call; 0 or more.

    Raises:
        ValueError: ``seed`` is negative.
    """
    if seed < 0:
        raise ValueError(f"seed: expected 0 or more, got {seed}")
    order = np.random.default_rng(seed).permutation(codes.tokens)
    counts = np.diff(codes.offsets)[order]  # (N,) latents of each token
    offsets = np.append(0, np.cumsum(counts))
    # Entry e of new token t is entry e - offsets[t] of the token order[t].
    entry = np.arange(offsets[-1]) + np.repeat(codes.offsets[order] - offsets[:-1], counts)
    return Codes(offsets, codes.latents[entry], codes.values[entry], codes.num_latents)
