"""The planted texts of a latent browser's folder: vocabulary, corpus, and contexts of latents."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from twinsae.matching.report.latents.chunks import write_chunk

SEQUENCE, BEFORE, AFTER, BINS = 100, 20, 12, 24
CORPUS_CHUNK, LATENTS_CHUNK = 32_768, 256
ODD_WORDS = [
    b"\n",
    b"</script>",
    b"<img src=x onerror=window.broken=1>",
    b"&lt;",
    b"\"'",
    b"\xc3",  # an \u00e9 in two tokens
    b"\xa9",
    b" \xf0\x9f",  # an emoji in two tokens
    b"\x98\x80",
    b"\xff",  # no UTF-8 at all
    b"\t",
    b"",
]

Arrays = dict[str, np.ndarray]


class Corpus(NamedTuple):
    tokens: np.ndarray  # (T,) uint16
    words: list[bytes]
    counted: int
    """Tokens on which firing was counted."""
    facts: dict


def plant_corpus(rng, data: Path, tokens: int, words: int) -> Corpus:
    """Write corpus and vocabulary."""
    vocabulary = [*ODD_WORDS, *(f" word{i}".encode() for i in range(words))]
    drawn = np.minimum(rng.zipf(1.3, tokens), len(vocabulary)) - 1
    ids = ((drawn + len(ODD_WORDS)) % len(vocabulary)).astype(np.uint16)  # odd ones are the rarest
    for first in (5, 7):  # the two halves of a letter stand together
        places = rng.choice(tokens // 2, tokens // 200, replace=False) * 2
        ids[places], ids[places + 1] = first, first + 1
    chunks = -(-tokens // CORPUS_CHUNK)
    for n in range(chunks):
        part = ids[n * CORPUS_CHUNK : (n + 1) * CORPUS_CHUNK]
        write_chunk(data, f"corpus-{n}", {"tokens": part}, {})
    write_offsets(data, "vocabulary", vocabulary)
    facts = {"tokens": tokens, "per_chunk": CORPUS_CHUNK, "chunks": chunks, "model": "planted"}
    facts |= {"text": "planted words", "sha256": "c" * 64}
    return Corpus(ids, vocabulary, tokens, facts)


def write_offsets(data: Path, name: str, texts: Sequence[bytes]) -> None:
    """Write texts as one run of bytes, and where each starts."""
    offsets = np.cumsum([0, *map(len, texts)]).astype(np.uint32)
    joined = np.frombuffer(b"".join(texts), np.uint8)
    write_chunk(data, name, {"bytes": joined, "offsets": offsets}, {})


def draw_contexts(rng, latents: int, corpus: Corpus, top: int) -> Arrays:
    """Draw every latent's contexts; 3 % never fired, and some fired fewer times than `top`."""
    count = np.minimum(rng.lognormal(5, 2, latents), corpus.counted / 10).astype(np.uint32)
    count[rng.random(latents) < 0.03] = 0
    most = np.where(count > 0, rng.gamma(4, 1, latents), 0).astype(np.float32)
    tops = np.minimum(count, top).astype(np.int64)
    randoms = np.minimum(count - tops, top // 2).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(tops + randoms)])
    latent = np.repeat(np.arange(latents), tops + randoms)
    rank = np.arange(offsets[-1]) - offsets[:-1][latent]
    kind = rank >= tops[latent]
    share = np.where(kind, 0.4 * 0.9 ** (rank - tops[latent]), 1 - 0.5 * rank / top)
    position = rng.integers(0, len(corpus.tokens), offsets[-1])
    start = position // SEQUENCE * SEQUENCE
    before = np.minimum(BEFORE, position - start)
    after = np.minimum(AFTER, np.minimum(start + SEQUENCE, len(corpus.tokens)) - position - 1)
    contexts = {
        "count": count,
        "context_offsets": offsets.astype(np.uint32),
        "position": position.astype(np.uint32),
        "peak": (most[latent] * share).astype(np.float32),
        "kind": kind.astype(np.uint8),
        "before": before.astype(np.uint8),
        "after": after.astype(np.uint8),
        "histogram": (count[:, None] * 0.5 ** np.arange(1, BINS + 1)).astype(np.uint32),
        "histogram_end": most,
    }
    return contexts | _fires(rng, before, after) | _lens(rng, latents, len(corpus.words))


def _fires(rng, before, after) -> Arrays:
    """Let the peak fire at full strength, and with it up to three more tokens of the window."""
    others = rng.integers(0, (before + after + 1)[:, None], (len(before), 3))
    drawn = np.sort(np.column_stack([before, others]), axis=1)  # (C, 4)
    kept = np.column_stack([np.ones(len(before), bool), drawn[:, 1:] != drawn[:, :-1]])
    level = rng.integers(1, 255, drawn.shape)
    level[drawn == before[:, None]] = 255
    return {
        "fire_offsets": np.concatenate([[0], np.cumsum(kept.sum(1))]).astype(np.uint32),
        "fire_place": drawn[kept].astype(np.uint8),
        "fire_level": level[kept].astype(np.uint8),
    }


def _lens(rng, latents, words) -> Arrays:
    found = {}
    for end, sign in (("top", 1), ("bottom", -1)):
        found[f"{end}_tokens"] = rng.integers(0, words, (latents, 10)).astype(np.uint32)
        logits = np.sort(rng.gamma(4, 1, (latents, 10)), axis=1)[:, ::-1]
        found[f"{end}_logits"] = (sign * logits).astype(np.float32)
    return found


def write_contexts(data: Path, sae: int, contexts: Arrays) -> None:
    """Write contexts of all latents as chunks of 256 latents."""
    per_latent = ("count", "histogram", "histogram_end", "top_tokens", "top_logits")
    per_latent += ("bottom_tokens", "bottom_logits")
    for first in range(0, len(contexts["count"]), LATENTS_CHUNK):
        latents = slice(first, first + LATENTS_CHUNK)
        offsets = contexts["context_offsets"][first : first + LATENTS_CHUNK + 1]
        of = slice(offsets[0], offsets[-1])
        fires = contexts["fire_offsets"][offsets[0] : offsets[-1] + 1]
        fire = slice(fires[0], fires[-1])
        chunk = {name: contexts[name][latents] for name in per_latent}
        chunk |= {
            name: contexts[name][of] for name in ("position", "peak", "kind", "before", "after")
        }
        chunk |= {name: contexts[name][fire] for name in ("fire_place", "fire_level")}
        chunk["context_offsets"] = offsets - offsets[0]
        chunk["fire_offsets"] = fires - fires[0]
        write_chunk(data, f"sae{sae}/contexts-{first // LATENTS_CHUNK}", chunk, {})
