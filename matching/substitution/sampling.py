"""Which latents are tried within the language model, and on which sequence of the text."""

from typing import NamedTuple

import numpy as np

from .curves import by_cosine
from .replacement import Floats, Ints, Sparse

STRATA = 10
PER_STRATUM = 20


class Sample(NamedTuple):
    """Latents that are tried, by falling cosine."""

    latent: Ints
    """(n,)."""
    stratum: Ints
    """(n,), 0 for the tenth of the latents with the largest cosines."""
    sequence: Ints
    """(n,): the first sequence in which each fires."""
    firings: Ints
    """(n,): on how many of its tokens."""


def sample_latents(cosine: Floats, a: Sparse, starts: Ints, seed: int) -> Sample:
    """Draw latents that fire in a text, as many from each tenth of the cosines.

    Args:
        cosine: (L,), of each latent with its partner; NaN where there is none: those are left out.
        a: (N, L) csc_array, the coefficients on the text's tokens.
        starts: (S + 1,): where each sequence's tokens begin among the N.
        seed: the same one gives the same draw.
    """
    live = (np.diff(a.indptr) > 0) & ~np.isnan(cosine)
    draw = np.random.default_rng(seed)
    strata = np.array_split(by_cosine(cosine, live), STRATA)
    chosen = [np.sort(draw.permutation(len(some))[:PER_STRATUM]) for some in strata]
    latents = np.concatenate([some[places] for some, places in zip(strata, chosen, strict=True)])
    stratum = np.repeat(np.arange(STRATA), [len(places) for places in chosen])
    sequences, firings = [], []
    for latent in latents:
        tokens = a.indices[a.indptr[latent] : a.indptr[latent + 1]]
        own = np.searchsorted(starts, tokens, side="right") - 1
        sequences.append(own.min())
        firings.append((own == own.min()).sum())
    columns = (latents, stratum, sequences, firings)
    return Sample(*(np.array(column, dtype=np.int64) for column in columns))
