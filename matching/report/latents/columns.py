"""The chunk of an SAE's columns: one number of each latent under each name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....sae.contexts import Contexts, Corpus
from ....sae.firing import load_firing

MOST_IN_A_MASK = 32
_FIRST_TOKENS = 3


class Shown(NamedTuple):
    """How the page shows a column."""

    label: str
    help: str
    digits: int


SHOWN = {
    "fires_per_million": Shown(
        "fires per million", "On how many of a million tokens it is active.", 1
    ),
    "max_active": Shown("peak", "Its largest activation.", 2),
    "mean_active": Shown("mean activation", "Its mean over the tokens where it is active.", 2),
    "own_cosine": Shown("own cosine", "The cosine of its decoder row with its encoder row.", 3),
    "seeds": Shown("shared with", "How many of the other SAEs share it.", 0),
    "reappearance": Shown(
        "reappears", "The share of the other SAEs that share it by one latent on both sides.", 2
    ),
}


class Columns(NamedTuple):
    """What is known of an SAE's latents."""

    arrays: dict[str, NDArray[Any]]
    """Those of the chunk."""
    shown: list[dict[str, Any]]
    """What the manifest says of the columns."""
    firing_tokens: int | None
    """Tokens on which firing was counted."""


def sae_columns(
    firing: Mapping[str, NDArray[Any]],
    firing_tokens: int | None,
    shared: NDArray[np.bool_],
    others: Mapping[str, NDArray[Any]],
    contexts: tuple[Contexts, Corpus] | None,
    scores: Mapping[str, NDArray[Any]],
) -> Columns:
    """Put an SAE's columns together.

    Args:
        firing: (L,) columns of `firing_columns`.
        firing_tokens: tokens that these were counted on; None: they are not known.
        shared: (S, L) whether each of the S SAEs shares the latent; False for the SAE itself.
        others: further (L,) columns, of names in `SHOWN`.
        contexts: of its latents, with the text; None if they were not collected.
        scores: (L,) by name; NaN where a latent has none.
    """
    numbers = {**firing, **others, "seeds": shared.sum(axis=0)}
    arrays: dict[str, NDArray[Any]] = {
        name: np.asarray(numbers[name], dtype=np.float32) for name in SHOWN if name in numbers
    }
    shown = [{"name": name, **SHOWN[name]._asdict()} for name in arrays]
    for name, values in scores.items():
        arrays[f"score.{name}"] = np.asarray(values, dtype=np.float32)
        told = Shown(name, f"The score {name} of its explanation.", 3)
        shown.append({"name": f"score.{name}", **told._asdict()})
    if len(shared) <= MOST_IN_A_MASK:
        bits = np.uint32(1) << np.arange(len(shared), dtype=np.uint32)
        arrays["shared_with"] = (shared * bits[:, None]).sum(axis=0).astype(np.uint32)
    if contexts is not None:
        arrays |= _tokens(*contexts)
    return Columns(arrays, shown, firing_tokens)


def firing_columns(
    path: Path, sae_sha256: str, contexts: Contexts | None
) -> tuple[dict[str, NDArray[Any]], int | None]:
    """Return how often and how strongly an SAE's latents fire, and of how many tokens that is.

    It is taken from what `twinsae fire` left in the SAE's folder, else from its contexts.

    Args:
        path: the SAE's folder or file.
        sae_sha256: the SHA-256 of its weight file.
        contexts: of its latents, if there are any.

    Raises:
        ValueError: the table is corrupt or of other weights.
    """
    try:
        firing = load_firing(path, sae_sha256) if path.is_dir() else None
    except FileNotFoundError:
        firing = None
    if firing is not None:
        columns = {"max_active": firing.max_active, "mean_active": firing.mean_active}
        return {"fires_per_million": firing.frequency * 1e6, **columns}, firing.tokens
    if contexts is not None:
        tokens = int(contexts.facts["tokens"])
        rate = contexts.count * (1e6 / tokens)
        return {"fires_per_million": rate, "max_active": contexts.max_active}, tokens
    return {}, None


def _tokens(contexts: Contexts, corpus: Corpus) -> dict[str, NDArray[Any]]:
    """Return the token of each latent's strongest context, and those that it promotes most."""
    offsets = contexts.context_offsets
    has = np.flatnonzero(np.diff(offsets) > 0)
    peak = np.full(len(contexts.count), -1, dtype=np.int32)
    peak[has] = corpus.tokens[contexts.position[offsets[has]]]
    found: dict[str, NDArray[Any]] = {"peak_token": peak}
    if contexts.lens is not None:
        found["first_tokens"] = contexts.lens.top_tokens[:, :_FIRST_TOKENS].astype(np.int32)
    return found
