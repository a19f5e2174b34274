"""The contexts in which each latent of an SAE fires, in memory and in their files.

A latent fires on a token if its activation there is above 0. A context is a window of tokens around
a token on which a latent fires, its peak: up to 20 tokens before it, and up to 12 from it on, all
of one sequence. ``contexts.npz`` holds C contexts of L latents, in the order of the latents:

| array | shape and dtype | what it is |
|---|---|---|
| ``count`` | (L,) int64 | on how many tokens each latent fires |
| ``max_active`` | (L,) float32 | its largest activation; NaN if it never fires |
| ``histogram`` | (L, 24) uint32 | its activations in 24 equal bins from 0 to ... |
| ``histogram_end`` | (L,) float32 | ... this, a power of two; 0 if it never fires |
| ``context_offsets`` | (L + 1,) int64 | its contexts are those from offset l to offset l + 1 |
| ``position`` | (C,) int64 | the peak's place in the corpus |
| ``peak`` | (C,) float32 | the activation there |
| ``kind`` | (C,) uint8 | 0 a strongest one, 1 a random one |
| ``before`` | (C,) uint8 | tokens of the window before the peak |
| ``after`` | (C,) uint8 | tokens of the window from the peak on |
| ``fire_offsets`` | (C + 1,) int64 | its firing tokens are those from offset c to offset c + 1 |
| ``fire_place`` | (F,) uint8 | the token's place in the window, from 0 on |
| ``fire_level`` | (F,) uint8 | its activation in 255ths of the context's peak, 1 to 255 |
| ``top_tokens`` | (L, 10) int32 | the tokens that the latent promotes most |
| ``top_logits`` | (L, 10) float32 | by how much |
| ``bottom_tokens`` | (L, 10) int32 | the tokens that it suppresses most |
| ``bottom_logits`` | (L, 10) float32 | by how much |

A latent's strongest contexts come first: at most 20 by falling peak, each of another sequence. Then
at most 10 of all its firing tokens that a hash of latent and position chooses, by falling peak,
except for those that are there already. In a random context, another token may fire more strongly
than the peak; its level is 255, too. The last four arrays are there if the model could be loaded.
"""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...common.files import StrPath
from ...common.tables import save_arrays
from ..passes.tables import load_sae_table
from .lens import LogitLens

FORMAT = "twinsae-contexts/1"
CONTEXTS = "contexts.npz"


@dataclass(frozen=True, eq=False)
class Contexts:
    """The contexts of L latents; see this module's table of arrays."""

    count: NDArray[np.int64]
    """(L,)"""
    max_active: NDArray[np.float32]
    """(L,)"""
    histogram: NDArray[np.uint32]
    """(L, 24)"""
    histogram_end: NDArray[np.float32]
    """(L,)"""
    context_offsets: NDArray[np.int64]
    """(L + 1,)"""
    position: NDArray[np.int64]
    """(C,)"""
    peak: NDArray[np.float32]
    """(C,)"""
    kind: NDArray[np.uint8]
    """(C,)"""
    before: NDArray[np.uint8]
    """(C,)"""
    after: NDArray[np.uint8]
    """(C,)"""
    fire_offsets: NDArray[np.int64]
    """(C + 1,)"""
    fire_place: NDArray[np.uint8]
    """(F,)"""
    fire_level: NDArray[np.uint8]
    """(F,)"""
    lens: LogitLens | None = None
    """The tokens that each latent promotes and suppresses; None where they are not known."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Of contexts from a file: what its JSON file says."""

    def save(self, file: StrPath, facts: dict[str, Any]) -> None:
        """Write the contexts and their description, each atomically.

        Args:
            file: the .npz file; the description stands beside it, with the ending .json.
            facts: JSON values: which SAE, activations and corpus.

        Raises:
            OSError: a file could not be written.
        """
        arrays: dict[str, NDArray[Any]] = {name: getattr(self, name) for name in _ARRAYS}
        if self.lens is not None:
            arrays |= self.lens._asdict()
        save_arrays(Path(file), FORMAT, arrays, {**facts, "logit_lens": self.lens is not None})


_ARRAYS = [one.name for one in fields(Contexts) if one.name not in ("lens", "facts")]


def load_contexts(path: StrPath, sae_sha256: str) -> Contexts:
    """Read what `twinsae contexts` wrote, and refuse that of other weights.

    Args:
        path: the .npz file, or the folder that holds ``contexts.npz``, such as the SAE's own.
        sae_sha256: the SHA-256 of the SAE's weight file, as ``summary.json`` of a match has it.

    Raises:
        FileNotFoundError: there are none, or no description beside them.
        ValueError: they are of other weights, or a file is corrupt.
    """
    arrays, facts = load_sae_table(
        path, CONTEXTS, FORMAT, sae_sha256, made="collected", command="twinsae contexts"
    )
    lens = None
    if facts["logit_lens"]:
        lens = LogitLens(*(arrays[name] for name in LogitLens._fields))
    return Contexts(**{name: arrays[name] for name in _ARRAYS}, lens=lens, facts=facts)
