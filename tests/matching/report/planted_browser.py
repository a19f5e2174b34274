"""Writes a latent browser's folder of planted numbers, with chunks.py alone.

As a script, in the repository's root, with the number of latents of each SAE:

    .venv/bin/python -m tests.matching.report.planted_browser FOLDER --latents 1000 1000 800
"""

import argparse
import shutil
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

import numpy as np
import twinsae.matching.report
from twinsae.matching.report.latents.chunks import write_chunk

from .planted_contexts import Corpus, draw_contexts, plant_corpus, write_contexts, write_offsets
from .planted_pairs import SIDES, THRESHOLD, Arrays, criteria, plant_pair, shared_mask

STATIC = Path(twinsae.matching.report.__file__).parent / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data: blob:; font-src data:"
)
HOSTILE_TITLE = "planted <i>&amp; </title><script>window.broken = 1</script>"
HOSTILE_NAME = 'seed2 <b onclick="window.broken = 1">&"\''
HOSTILE_EXPLANATION = "</script><script>window.broken = 1</script><img src=x onerror='broken = 1'>"
COLUMNS = (
    ("fires_per_million", "fires per million tokens", "How often it fires.", 1),
    ("max_active", "strongest activation", "The largest activation seen.", 2),
    ("mean_active", "mean activation", "The mean over the tokens on which it fires.", 2),
    ("own_cosine", "own cosine", "The cosine of its encoder and decoder vectors.", 3),
    ("seeds", "seeds", "How many other SAEs share it.", 0),
    ("reappearance", "reappearance", "The share of other SAEs that have it.", 2),
    ("score.detection", "detection score", "How well the explanation tells contexts apart.", 3),
    ("score.fuzzing", "fuzzing score", "How well the explanation tells tokens apart.", 3),
)


class Planted(NamedTuple):
    """What was planted; `pairs` is by (i, j) with i < j, and arrays are those of the chunks."""

    folder: Path
    manifest: dict
    columns: list[Arrays]
    pairs: dict[tuple[int, int], Arrays]
    contexts: list[Arrays]
    """Those of all latents of an SAE, as one chunk."""
    explanations: list[list[str]]
    corpus: Corpus


def plant(
    folder: Path, latents: Sequence[int] = (1000, 1000), *, tokens=65_600, words=1000, top=20
) -> Planted:
    """Write the folder and return what is in it.

    Args:
        folder: made if missing.
        latents: how many each SAE has.
        tokens: of the corpus.
        words: of the vocabulary, besides the planted ones.
        top: strongest contexts of a latent; half as many random ones are drawn besides.
    """
    rng = np.random.default_rng(0)
    data = folder / "data"
    names = [HOSTILE_NAME if i == 2 else f"seed{i}" for i in range(len(latents))]
    features = [np.sort(rng.permutation(max(latents))[:n])[rng.permutation(n)] for n in latents]
    common = rng.beta(0.7, 0.7, max(latents))  # how likely an SAE has this feature
    good = [rng.random(n) < common[of] for n, of in zip(latents, features, strict=True)]
    numbers = [(i, j) for j in range(len(latents)) for i in range(j)]
    pairs = {
        (i, j): plant_pair(rng, features[i], features[j], good[i], good[j], first=(i, j) == (0, 1))
        for i, j in sorted(numbers)
    }
    corpus = plant_corpus(rng, data, tokens, words)
    columns, contexts, explanations = [], [], []
    for i, n in enumerate(latents):
        chosen = draw_contexts(rng, n, corpus, top)
        contexts.append(chosen)
        columns.append(_columns(rng, i, n, pairs, chosen, corpus))
        explanations.append(_explanations(rng, n))
        write_chunk(data, f"sae{i}/columns", columns[i], {})
        write_contexts(data, i, chosen)
        write_offsets(data, f"sae{i}/text", [text.encode() for text in explanations[i]])
    for (i, j), arrays in pairs.items():
        write_chunk(data, f"pair-{i}-{j}", arrays, {})
    manifest = _manifest(names, latents, pairs, corpus)
    write_chunk(data, "manifest", {}, manifest)
    _write_page(folder, len(latents))
    return Planted(folder, manifest, columns, pairs, contexts, explanations, corpus)


def found_by(planted: Planted, sae: int, text: str) -> np.ndarray:
    """Return the (L,) mask of latents whose tokens or explanation have this text of lower case."""
    columns = planted.columns[sae]
    words = [word.decode(errors="replace").lower() for word in planted.corpus.words]
    tokens = np.column_stack([columns["peak_token"], columns["first_tokens"]])
    hits = np.array([text in word for word in words])[tokens] & (tokens >= 0)
    explained = [text in explanation.lower() for explanation in planted.explanations[sae]]
    return hits.any(1) | np.array(explained)


def _columns(rng, i, n, pairs, contexts, corpus) -> Arrays:
    shared_with = np.zeros(n, np.uint32)
    for (a, b), arrays in pairs.items():
        both = shared_mask(arrays)
        if a == i:
            shared_with[both] |= np.uint32(1 << b)
        elif b == i:
            shared_with[arrays["decoder.partner"][both]] |= np.uint32(1 << a)
    seeds = np.bitwise_count(shared_with)
    count, most = contexts["count"], contexts["histogram_end"]
    explained = rng.random(n) < 0.7
    first = contexts["context_offsets"][:-1]
    positions = np.append(contexts["position"], 0)
    columns = {
        "fires_per_million": count / corpus.counted * 1e6,
        "max_active": most,
        "mean_active": np.where(count > 0, most * 0.4, np.nan),
        "own_cosine": rng.uniform(0.2, 0.95, n),
        "seeds": seeds,
        "reappearance": seeds / (1 + max(b for _, b in pairs)),
        "score.detection": np.where(explained, rng.uniform(0.4, 1, n), np.nan),
        "score.fuzzing": np.where(explained, rng.uniform(0.4, 1, n), np.nan),
    }
    found: Arrays = {name: values.astype(np.float32) for name, values in columns.items()}
    found["shared_with"] = shared_with
    found["peak_token"] = np.where(count > 0, corpus.tokens[positions[first]].astype(np.int32), -1)
    found["first_tokens"] = contexts["top_tokens"][:, :3].astype(np.int32)
    return found


def _explanations(rng, n) -> list[str]:
    """Leave about a third empty; latent 1's is markup."""
    topics = (
        "law",
        "weather",
        "brackets in code",
        "names of towns",
        "Gr\u00fc\u00dfe \u2013 \U0001f600",
    )
    texts = [
        f"mentions of {topics[t]}, {i}" if t < 5 else ""
        for i, t in enumerate(rng.integers(0, 8, n))
    ]
    texts[min(1, n - 1)] = HOSTILE_EXPLANATION
    return texts


def _manifest(names, latents, pairs, corpus) -> dict:
    columns = [dict(zip(("name", "label", "help", "digits"), c, strict=True)) for c in COLUMNS]
    chunks = [-(-n // 256) for n in latents]
    saes = [
        {
            "name": name,
            "num_latents": n,
            "d_in": 64,
            "architecture": "topk",
            "k": 32,
            "sha256": f"{i:x}" * 64,
            "path": f"planted/{name}",
            "firing_tokens": corpus.counted,
            "contexts": {
                "chunks": chunks[i],
                "per_chunk": 256,
                "tokens": corpus.counted,
                "logit_lens": True,
            },
            "explanations": True,
            "columns": columns,
        }
        for i, (name, n) in enumerate(zip(names, latents, strict=True))
    ]
    listed = []
    for (i, j), arrays in pairs.items():
        masks = criteria(arrays)
        floor = np.sqrt(2 * np.log(latents[j]) / 64)
        listed.append(
            {
                "a": i,
                "b": j,
                "sides": list(SIDES),
                "chance_floor": dict.fromkeys(SIDES, float(floor)),
                "matchings": {"decoder": "d" * 64, "encoder": "e" * 64},
                "counts": {
                    name: {"count": int(mask.sum()), "share": float(mask.mean())}
                    for name, mask in masks.items()
                },
                "threshold": THRESHOLD,
            }
        )
    return {
        "format": "twinsae-report/1",
        "twinsae": "0.1.0",
        "title": HOSTILE_TITLE,
        "threshold": THRESHOLD,
        "saes": saes,
        "pairs": listed,
        "corpus": corpus.facts,
        "vocabulary": True,
    }


def _write_page(folder: Path, num_saes: int) -> None:
    """Write latents.html beside a copy of the app."""
    first = ["manifest", "sae0/columns"] + ["sae1/columns", "pair-0-1"] * (num_saes > 1)
    scripts = "".join(f'<script defer src="data/{name}.js"></script>\n' for name in first)
    (folder / "latents.html").write_text(
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{escape(HOSTILE_TITLE)}</title>\n"
        '<link rel="stylesheet" href="static/app.css">\n'
        '<script defer src="static/app.js"></script>\n'
        f'{scripts}</head>\n<body><div id="app"></div></body>\n</html>\n'
    )
    shutil.copytree(STATIC, folder / "static", dirs_exist_ok=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--latents", type=int, nargs="+", default=[1000, 1000])
    given = parser.parse_args()
    plant(given.folder, given.latents)
    print(given.folder.resolve() / "latents.html")
