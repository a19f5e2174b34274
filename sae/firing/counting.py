"""How often and how strongly the latents of several SAEs fire, in one pass over activations."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...common.files import StrPath, sha256
from ...common.progress import Progress, renamed, silent
from ..activations import ActivationStore
from ..formats.paths import weight_file
from ..formats.registry import load
from ..formats.stored import StoredSAE
from ..hub import LocatedSAE, locate
from ..names import distinct_names
from .passes import Job, run
from .table import FIRING, Firing, load_firing

SAVE_SECONDS = 60.0


def fire(
    saes: Sequence[StrPath],
    store: ActivationStore,
    out: StrPath | None = None,
    *,
    tokens: int | None = None,
    save_seconds: float = SAVE_SECONDS,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> dict[str, Firing]:
    """Count how often and how strongly each latent of several SAEs fires.

    The activations are read once for all SAEs, in order. Each SAE's table goes to ``firing.npz``,
    with ``firing.json`` beside it; `sae.firing.table` lists the columns. The sums so far are in
    ``firing.part.npz``, which the end removes: the same call goes on where a killed one stopped, to
    the same numbers. An SAE whose table is there already, of the same weights, settings,
    activations and tokens, is left as it is; any other table is replaced.

    Args:
        saes: SAE folders, files or names, as `load_sae` takes them. They compute in float32, on
            the GPU if there is one.
        store: (rows, d_in) activations.
        out: a folder for the tables, each in a folder of the SAE's name there
            (`sae.names.distinct_names`); None: each in its SAE's own folder, where `match_files`
            and others look for it.
        tokens: count the first so many rows; None: all.
        save_seconds: the sums are saved every so often.
        progress: told of the phase "fire", in tokens.
        say: told what had to be assumed of an SAE, in one line.

    Returns:
        The tables, by the SAEs' names.

    Raises:
        FileNotFoundError, ImportError: an SAE does not exist, or cannot be fetched.
        ValueError: an SAE is not a folder and there is no ``out``; an SAE does not fit the
            activations; there are none; an activation or a latent's value is NaN or infinite.
        OSError: a file could not be written.
    """
    if not saes:
        raise ValueError("saes: expected one or more to count, got none")
    rows = store.rows if tokens is None else min(tokens, store.rows)
    if rows < 1:
        raise ValueError(f"{store.path}: there are no activations to count on")
    told, speak = progress or silent, say or (lambda _: None)
    activations = {"path": str(store.path), "sha256": store.fingerprint, "rows": store.rows}
    jobs = []
    for name, given in zip(distinct_names(saes), saes, strict=True):
        located = locate(given, progress=renamed(told, before=f"{name} "))
        file = _place(located, name, out)
        stored = load(located.path, **located.settings)
        for what in stored.assumed:
            speak(f"{name}: {what}")
        _check_width(name, stored, store)
        facts = {"sae": _facts(located, stored), "activations": activations, "tokens": rows}
        jobs.append(Job(name, stored, file, facts))
    missing = [job for job in jobs if not job.is_done()]
    run(missing, store, rows, save_seconds=save_seconds, progress=told)
    return {job.name: load_firing(job.file, job.facts["sae"]["sha256"]) for job in jobs}


def _place(located: LocatedSAE, name: str, out: StrPath | None) -> Path:
    """Return where an SAE's table goes."""
    if out is not None:
        return Path(out) / name / FIRING
    if located.name is None and located.path.is_dir():
        return located.path / FIRING
    raise ValueError(
        f"out: expected a folder for the tables, because {located.path} is no folder of an SAE's "
        "own on this machine"
    )


def _facts(located: LocatedSAE, stored: StoredSAE) -> dict[str, Any]:
    file = weight_file(located.path)
    return {
        "path": str(located.path.resolve()),
        **located.facts,
        "file": file.name,
        "sha256": sha256(file),
        "config": json.loads(json.dumps(asdict(stored.config))),  # as it comes back from the file
    }


def _check_width(name: str, stored: StoredSAE, store: ActivationStore) -> None:
    if stored.config.d_in != store.d_in:
        raise ValueError(
            f"{name} reads activations of width {stored.config.d_in:,}, but those of {store.path} "
            f"have width {store.d_in:,}"
        )
