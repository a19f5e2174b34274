"""The chunks of an SAE's contexts, and those of the corpus and the vocabulary."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....common.blocks import slices
from ....sae.contexts import Contexts, Corpus
from .chunks import write_chunk

PER_CHUNK = 256
"""Latents in a chunk of contexts: opening a latent loads one chunk of each SAE."""
TOKENS_PER_CHUNK = 32_768


def write_contexts(data: Path, sae: int, contexts: Contexts) -> int:
    """Write an SAE's contexts in chunks of 256 latents, and return how many chunks there are.

    Args:
        data: the folder of all chunks.
        sae: the SAE's number.
        contexts: of its latents.

    Raises:
        OSError: a file could not be written.
    """
    blocks = list(slices(len(contexts.count), PER_CHUNK))
    for number, latents in enumerate(blocks):
        write_chunk(data, f"sae{sae}/contexts-{number}", _arrays(contexts, latents), {})
    return len(blocks)


def _arrays(contexts: Contexts, latents: slice) -> dict[str, NDArray[Any]]:
    bounds = contexts.context_offsets[latents.start : latents.stop + 1]
    own = slice(int(bounds[0]), int(bounds[-1]))
    fire_bounds = contexts.fire_offsets[own.start : own.stop + 1]
    fires = slice(int(fire_bounds[0]), int(fire_bounds[-1]))
    arrays: dict[str, NDArray[Any]] = {
        "count": contexts.count[latents].astype(np.uint32),
        "context_offsets": (bounds - bounds[0]).astype(np.uint32),
        "position": contexts.position[own].astype(np.uint32),
        "peak": contexts.peak[own],
        "kind": contexts.kind[own],
        "before": contexts.before[own],
        "after": contexts.after[own],
        "fire_offsets": (fire_bounds - fire_bounds[0]).astype(np.uint32),
        "fire_place": contexts.fire_place[fires],
        "fire_level": contexts.fire_level[fires],
        "histogram": contexts.histogram[latents],
        "histogram_end": contexts.histogram_end[latents],
    }
    if contexts.lens is not None:
        for name, array in contexts.lens._asdict().items():
            dtype = np.uint32 if name.endswith("tokens") else np.float32
            arrays[name] = array[latents].astype(dtype)
    return arrays


def write_corpus(data: Path, corpus: Corpus) -> dict[str, Any]:
    """Write the corpus and the vocabulary, and return what the manifest says of them.

    Args:
        data: the folder of all chunks.
        corpus: the text that all contexts point into.

    Raises:
        OSError: a file could not be written.
    """
    vocabulary = corpus.vocabulary
    dtype = np.uint16 if len(vocabulary.offsets) - 1 <= 2**16 else np.uint32
    blocks = list(slices(len(corpus.tokens), TOKENS_PER_CHUNK))
    for number, block in enumerate(blocks):
        write_chunk(data, f"corpus-{number}", {"tokens": corpus.tokens[block].astype(dtype)}, {})
    words: dict[str, NDArray[Any]] = {
        "bytes": vocabulary.bytes.astype(np.uint8),
        "offsets": vocabulary.offsets.astype(np.uint32),
    }
    write_chunk(data, "vocabulary", words, {})
    return {
        "tokens": len(corpus.tokens),
        "per_chunk": TOKENS_PER_CHUNK,
        "chunks": len(blocks),
        "model": corpus.facts["model"],
        "text": corpus.facts["text"],
        "sha256": corpus.facts["sha256"],
    }
