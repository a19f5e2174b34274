"""Small SAEs on disk, matched, with firing counts, contexts and a text: input of the writer."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from twinsae.common.files import sha256
from twinsae.sae import SAE, SAEConfig, save_sae
from twinsae.sae.contexts import Contexts, Corpus, LogitLens, Vocabulary, load_corpus
from twinsae.sae.firing import Firing

D_IN = 8
TOKENS = 40_000
WORDS = (b"</script>", b'<img src=x onerror="alert(1)">', b"\xc3", b"\xa9", b"\n", b"", b" a")

Rows = NDArray[np.float32]


def plant_saes(folder: Path, sizes: tuple[int, ...], seed: int = 0) -> list[Path]:
    """Write SAEs that have about half of their latents in common, and are called seed0, seed1..."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((max(sizes), D_IN))
    paths = []
    for number, num_latents in enumerate(sizes):
        noise = rng.uniform(0, 1.5, (num_latents, 1))
        decoder = common[:num_latents] + noise * rng.standard_normal((num_latents, D_IN))
        encoder = decoder + 0.3 * rng.standard_normal((num_latents, D_IN))
        order = rng.permutation(num_latents)
        sae = SAE(SAEConfig(d_in=D_IN, num_latents=num_latents, k=2))
        with torch.no_grad():
            sae.W_dec.copy_(torch.from_numpy(decoder[order]))
            sae.encoder.weight.copy_(torch.from_numpy(encoder[order]))
        paths.append(folder / f"seed{number}")
        save_sae(sae, paths[-1])
    return paths


def rows_of(path: Path) -> dict[str, Rows]:
    """Return what an SAE's file holds of both sides."""
    from safetensors.numpy import load_file

    stored = load_file(path / "sae.safetensors")
    return {"decoder": stored["W_dec"], "encoder": stored["encoder.weight"]}


def weights_sha256(path: Path) -> str:
    return sha256(path / "sae.safetensors")


def plant_firing(path: Path, seed: int = 0) -> Firing:
    """Write how often latents fire; latent 0 never does."""
    rng = np.random.default_rng(seed)
    count = rng.integers(1, 500, len(rows_of(path)["decoder"]))
    count[0] = 0
    active = np.where(count > 0, rng.uniform(0.1, 2, len(count)), np.nan)
    firing = Firing(count, active, active * 3, active * 0.1, active, 1000)
    firing.save(path / "firing.npz", {"sae": {"sha256": weights_sha256(path)}})
    return firing


def plant_corpus(store: Path) -> Corpus:
    """Write a text of words that are markup, halves of characters, and nothing."""
    rng = np.random.default_rng(3)
    offsets = np.cumsum([0, *map(len, WORDS)])
    words = Vocabulary(np.frombuffer(b"".join(WORDS), np.uint8), offsets)
    tokens = rng.integers(0, len(WORDS), TOKENS).astype(np.int32)
    corpus = Corpus(tokens, np.arange(0, TOKENS + 1, 100), np.arange(TOKENS), words)
    facts = {"model": "a </script> model", "text": "builtin", "activations": {"sha256": "0" * 64}}
    store.mkdir(exist_ok=True)
    corpus.save(store / "corpus.npz", facts)
    return load_corpus(store)


def plant_contexts(path: Path, corpus: Path, *, lens: bool, seed: int = 0) -> Contexts:
    """Write contexts of an SAE: 0 to 3 of each latent, none of latent 0, which never fires."""
    rng = np.random.default_rng(seed)
    num_latents = len(rows_of(path)["decoder"])
    has = rng.integers(0, 4, num_latents)
    has[0] = 0
    total = int(has.sum())
    before, after = rng.integers(0, 21, total), rng.integers(1, 13, total)
    fires = rng.integers(1, 4, total)
    ends = np.where(has > 0, 4.0, 0.0)
    promoted = rng.integers(0, len(WORDS), (num_latents, 7)).astype(np.int32)
    logits = rng.standard_normal((num_latents, 7)).astype(np.float32)
    contexts = Contexts(
        count=np.where(has > 0, rng.integers(1, 9, num_latents), 0),
        max_active=np.where(has > 0, 3.0, np.nan).astype(np.float32),
        histogram=rng.integers(0, 9, (num_latents, 24)).astype(np.uint32),
        histogram_end=ends.astype(np.float32),
        context_offsets=np.concatenate([[0], np.cumsum(has)]),
        position=rng.integers(100, TOKENS - 100, total),
        peak=rng.uniform(0.5, 3, total).astype(np.float32),
        kind=rng.integers(0, 2, total).astype(np.uint8),
        before=before.astype(np.uint8),
        after=after.astype(np.uint8),
        fire_offsets=np.concatenate([[0], np.cumsum(fires)]),
        fire_place=rng.integers(0, 21, int(fires.sum())).astype(np.uint8),
        fire_level=rng.integers(1, 256, int(fires.sum())).astype(np.uint8),
        lens=LogitLens(promoted, logits, promoted[:, ::-1], -logits) if lens else None,
    )
    facts = {
        "sae": {"sha256": weights_sha256(path)},
        "tokens": TOKENS,
        "corpus": {"path": str(corpus / "corpus.npz"), "sha256": sha256(corpus / "corpus.npz")},
    }
    contexts.save(path / "contexts.npz", facts)
    return contexts
