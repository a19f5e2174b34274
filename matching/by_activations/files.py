"""`match_activation_files`: match two SAEs on a store by what their latents do, into a folder."""

import json
import math
import platform
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...common.files import StrPath, atomic_write, sha256
from ...common.progress import Progress, renamed, silent
from ...sae import SAE
from ...sae.activations import ActivationStore, open_activations
from ...sae.formats import registry
from ...sae.formats.orientation import Orientation
from ...sae.formats.paths import weight_file
from ...sae.hub import LocatedSAE, locate
from ..codes import Codes
from ..matching import Matching
from ..proof import verify_activations
from .agreement import agreement
from .api import active_together, match_activations
from .encode import encode_store
from .shuffle import shuffled_tokens
from .similarity import Measure

FORMAT = "twinsae-match-activations/1"
NAME = "activations"
SIDES = ("decoder", "encoder")


@dataclass(frozen=True)
class _Input:
    facts: dict[str, Any]
    codes: Codes


def match_activation_files(
    a: StrPath | LocatedSAE,
    b: StrPath | LocatedSAE,
    store: StrPath,
    out: StrPath,
    *,
    measure: Measure = "cosine",
    tokens: int | None = None,
    memory_limit: int | None = None,
    verify: bool = False,
    shuffle: int | None = None,
    orientation: Orientation | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Match two SAEs by their activations on a store, and write the matching and a summary.

    ``out/activations.npz`` holds a `Matching`'s arrays, whose ``cosine`` is the similarity, and
    ``together`` (M,) int64, the tokens on which both latents of a pair are active.
    ``out/activations.json`` holds the inputs with their SHA-256, versions, settings, what the
    matching reached and took, and where it agrees with ``out/decoder.npz`` and ``out/encoder.npz``,
    if these are there: `match_files` writes them.

    Args:
        a: an SAE, as `load_sae` reads it.
        b: the other.
        store: activations that both read, as `open_activations` takes them.
        out: the folder to write to; made if missing.
        measure: as for `match_activations`.
        tokens: take the first so many tokens of the store; None: all.
        memory_limit: as for `match_activations`.
        verify: prove the matching again by `verify_activations`.
        shuffle: seed of `shuffled_tokens`, which B's tokens go through first; None: they do not.
        orientation: as for `load_sae`, of both SAEs.
        progress: told how far each phase has come.

    Returns:
        The summary.

    Raises:
        FileNotFoundError: an input does not exist.
        ValueError: an SAE cannot be read or does not fit the activations, a matching in ``out`` is
            of SAEs of other sizes, or `match_activations` refuses.
        OSError: the result could not be written.
    """
    told = progress or silent
    opened, folder = open_activations(Path(store)), Path(out)
    weights = {side: folder / f"{side}.npz" for side in SIDES}
    sides = {side: Matching.load(path) for side, path in weights.items() if path.is_file()}
    first, second = (
        _encoded(place, opened, tokens, seed, orientation, renamed(told, before=f"{letter} "))
        for letter, place, seed in (("a", a, None), ("b", b, shuffle))
    )
    named = renamed(told, before=f"{NAME} ")
    pair = first.codes, second.codes
    matching = match_activations(*pair, measure=measure, memory_limit=memory_limit, progress=named)
    together = active_together(*pair, matching)
    proof = _verified(pair, matching, measure, named) if verify else None
    summary = {
        "format": FORMAT,
        "versions": _versions(),
        "inputs": {"a": first.facts, "b": second.facts},
        "store": {"path": str(opened.path.resolve()), "tokens": first.codes.tokens},
        "settings": {"measure": measure, "memory_limit": memory_limit, "verify": verify,
                     "shuffle": shuffle},
        **_reached(matching, together, pair),
        "verified": proof,
        "agreement": {side: agreement(matching, together, sides[side]) for side in sides},
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder, matching, together, summary)
    return summary


def _encoded(
    place: StrPath | LocatedSAE,
    store: ActivationStore,
    tokens: int | None,
    shuffle: int | None,
    orientation: Orientation | None,
    progress: Progress,
) -> _Input:
    import torch

    located = locate(place, progress=progress)
    stored = registry.load(located.path, orientation=orientation, **located.settings)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    sae = SAE.from_stored(stored).to(device, torch.float32)
    codes = encode_store(sae, store, tokens=tokens, progress=progress)
    codes = codes if shuffle is None else shuffled_tokens(codes, shuffle)
    facts = {
        "path": str(located.path.resolve()),
        **located.facts,
        "sha256": sha256(weight_file(located.path)),
        "num_latents": codes.num_latents,
        "d_in": sae.config.d_in,
        "assumed": list(stored.assumed),
        "active": int(np.count_nonzero(codes.fired)),
        "l0": len(codes.values) / codes.tokens,
    }
    return _Input(facts, codes)


def _reached(
    matching: Matching, together: NDArray[np.int64], pair: tuple[Codes, Codes]
) -> dict[str, Any]:
    met = together > 0
    return {
        "objective": matching.objective,
        "upper_bound": matching.upper_bound,
        "gap": matching.gap,
        "certified": matching.certified,
        "pairs": int(met.sum()),
        "unmatched": int((~met).sum()),
        "mean_similarity": float(matching.cosine[met].mean()) if met.any() else None,
        "codes": sum(len(codes.values) for codes in pair),
        "seconds": matching.stats["seconds"],
        "passes": matching.stats["passes"],
        "peak_memory_bytes": matching.stats["peak_memory_bytes"],
    }


def _verified(
    pair: tuple[Codes, Codes], matching: Matching, measure: Measure, progress: Progress
) -> dict[str, Any]:
    start = time.perf_counter()
    certificate = verify_activations(*pair, matching, measure=measure, progress=progress)
    names = ("objective", "upper_bound", "gap", "worst_violation")
    numbers = {name: getattr(certificate, name) for name in names}
    return {
        "valid": certificate.valid,
        "reasons": list(certificate.reasons),
        **{name: value if math.isfinite(value) else None for name, value in numbers.items()},
        "seconds": time.perf_counter() - start,
    }


def _versions() -> dict[str, str]:
    packages = ("twinsae", "numpy", "scipy", "torch")
    return {**{name: version(name) for name in packages}, "python": platform.python_version()}


def _write(
    out: Path, matching: Matching, together: NDArray[np.int64], summary: dict[str, Any]
) -> None:
    # The summary goes first and comes last, so that it never describes another file than its own.
    (out / f"{NAME}.json").unlink(missing_ok=True)
    matching.save(out / f"{NAME}.npz", together=together)
    text = json.dumps(summary, indent=2, allow_nan=False) + "\n"
    with atomic_write(out / f"{NAME}.json") as temporary:
        temporary.write_text(text)
