"""`splitting`: SAEs of ascending sizes, from their files to tables on disk."""

from collections.abc import Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...common.files import StrPath, sha256
from ...common.memory import check_memory
from ...common.progress import Progress, renamed, silent
from ...common.tables import save_table
from ...sae import SAE
from ...sae.activations import ActivationStore
from ...sae.evaluation.checks import check_saes
from ...sae.formats.paths import weight_file
from ...sae.hub import locate
from ..substitution.observed import firings, observe, unit_rows
from ..substitution.on_store import Columns
from ..substitution.pair import open_sae
from ..substitution.replacement import Ints
from .stitching import Stitched, stitch
from .trees import THRESHOLD, Parents, Roots, find_parents, find_roots

FORMAT = "twinsae-splitting/1"
CHILDREN = "splitting.npz"
PARENTS = "splitting-parents.npz"
TOKENS = 8192

_BATCH = 2048
_ARRAYS = 6  # (N, D) and (L, D) arrays of float64 that are in memory at once


class Step(NamedTuple):
    """What was found of a smaller and a larger SAE."""

    fired_small: Ints
    """(L_small,) tokens."""
    fired_large: Ints
    """(L_large,) tokens."""
    fvu_small: float
    fvu_large: float
    parents: Parents
    stitched: Stitched


def splitting(
    saes: Sequence[StrPath],
    store: ActivationStore,
    out: StrPath,
    *,
    tokens: int = TOKENS,
    threshold: float = THRESHOLD,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Tell which latents of larger SAEs are novel, and which are latents of a smaller one, split.

    Writes ``out/splitting.npz``, one row for each latent of each SAE except the smallest, and
    ``out/splitting-parents.npz``, one row for each latent of each SAE except the largest; beside
    each lies a JSON file that says what it was made from, and that of the first holds the summary.

    Args:
        saes: two or more folders, files or names of SAEs, from the smallest to the largest.
        store: activations that all of them read.
        out: the folder to write to; made if missing.
        tokens: the first so many rows of the store; fewer if it has fewer.
        threshold: a latent is novel if its largest cosine with the smaller SAE's is below.
        progress: told of the phases "encode" and "stitch" of each two SAEs.

    Returns:
        The summary: ``tokens``, ``threshold``, and under ``steps``, for each two SAEs, what
        `step_summary` says.

    Raises:
        FileNotFoundError: there is no such SAE.
        ValueError: there are fewer than two, their sizes do not ascend, or one does not fit the
            activations or is a transcoder.
        OSError: a file could not be written.
    """
    told = progress or silent
    located = [locate(place, progress=told) for place in saes]
    opened = [open_sae(place) for place in located]
    sizes = [sae.config.num_latents for sae in opened]
    if len(sizes) < 2 or any(a >= b for a, b in pairwise(sizes)):
        raise ValueError(
            "saes: expected two or more with ascending numbers of latents, got "
            + ", ".join(f"{size:,}" for size in sizes)
        )
    names = {str(place): sae for place, sae in zip(saes, opened, strict=True)}
    check_saes(names, store.d_in, None, where=str(store.path))
    rows = min(tokens, store.rows)
    need = 8 * _ARRAYS * (rows + sizes[-1] + sizes[-2]) * store.d_in
    check_memory("splitting", need, None)
    steps = [
        _step(a, b, store, rows, threshold, renamed(told, after=f" {number} of {len(sizes) - 1}"))
        for number, (a, b) in enumerate(pairwise(opened), 1)
    ]
    roots = find_roots([step.parents for step in steps])
    found = {
        "tokens": rows,
        "threshold": threshold,
        "steps": [step_summary(step) for step in steps],
    }
    made_from = {
        "version": version("twinsae"),
        "saes": [
            {"path": str(place.path), **place.facts, "sha256": sha256(weight_file(place.path))}
            for place in located
        ],
        "activations": {"path": str(store.path), "fingerprint": store.fingerprint},
    }
    children = [_children(n, step, roots[n]) for n, step in enumerate(steps, 1)]
    save_table(Path(out) / CHILDREN, FORMAT, _stacked(children), made_from | {"summary": found})
    by_parent = [_parents(n, step) for n, step in enumerate(steps)]
    save_table(Path(out) / PARENTS, FORMAT, _stacked(by_parent), made_from)
    return found


def step_summary(step: Step) -> dict[str, Any]:
    """Return what one step from a smaller to a larger SAE adds.

    Returns:
        ``fvu``: of the ``small`` and the ``large`` SAE, and of the smaller ``with_novel`` latents,
        ``with_families`` swapped and ``with_both``. ``latents``: of the larger SAE, how many are
        ``novel`` and ``reconstruction``, and of those that fire (``live_...``) how many lower the
        error when inserted (``..._helps``). ``children``: how many latents of the smaller SAE have
        ``none``, ``one`` and ``several`` reconstruction latents; ``most``: of one latent; ``swaps``
        of families that fire and ``swaps_help``, those of them that lower the error.
    """
    parents, stitched = step.parents, step.stitched
    live, helps = step.fired_large > 0, stitched.inserted < 0
    kinds = {"novel": parents.novel, "reconstruction": ~parents.novel}
    latents: dict[str, int] = {}
    for name, mask in kinds.items():
        latents |= {
            name: int(mask.sum()),
            f"live_{name}": int((mask & live).sum()),
            f"live_{name}_helps": int((mask & live & helps).sum()),
        }
    number = parents.children
    swaps = stitched.swapped[~np.isnan(stitched.swapped) & (stitched.swapped != 0)]
    return {
        "fvu": {
            "small": step.fvu_small,
            "with_novel": stitched.with_novel,
            "with_families": stitched.with_families,
            "with_both": stitched.with_both,
            "large": step.fvu_large,
        },
        "latents": latents,
        "children": {
            "none": int((number == 0).sum()),
            "one": int((number == 1).sum()),
            "several": int((number > 1).sum()),
            "most": int(number.max()),
            "swaps": len(swaps),
            "swaps_help": int((swaps < 0).sum()),
        },
    }


def _step(
    small: SAE,
    large: SAE,
    store: ActivationStore,
    rows: int,
    threshold: float,
    progress: Progress,
) -> Step:
    observed = observe(small, large, store.in_order(_BATCH, rows), total=rows, progress=progress)
    units = unit_rows(small), unit_rows(large)
    progress("stitch", 0, 1, "step")
    parents = find_parents(*units, threshold)
    stitched = stitch(observed, *units, parents)
    progress("stitch", 1, 1, "step")
    fired = firings(observed.a), firings(observed.b)
    return Step(*fired, observed.fvu, observed.fvu_b, parents, stitched)


def _children(level: int, step: Step, roots: Roots) -> Columns:
    """Return the rows of the larger SAE's latents; level 0 is the smallest SAE."""
    number = len(step.fired_large)
    return {
        "level": np.full(number, level),
        "latent": np.arange(number),
        "fired": step.fired_large,
        "parent": step.parents.parent,
        "cosine": step.parents.cosine,
        "novel": step.parents.novel,
        "inserted": step.stitched.inserted,
        "root_level": roots.level,
        "root": roots.latent,
    }


def _parents(level: int, step: Step) -> Columns:
    """Return the rows of the smaller SAE's latents."""
    number = len(step.fired_small)
    return {
        "level": np.full(number, level),
        "latent": np.arange(number),
        "fired": step.fired_small,
        "children": step.parents.children,
        "swapped": step.stitched.swapped,
    }


def _stacked(tables: Sequence[Columns]) -> Columns:
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
