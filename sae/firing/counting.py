"""How often and how strongly the latents of several SAEs fire, in one pass over activations."""

from collections.abc import Callable, Sequence

import numpy as np

from ...common.files import StrPath
from ...common.progress import Progress, silent
from ..activations import ActivationStore
from ..passes.jobs import Kind, plan, tokens_to_count
from ..passes.one_pass import SAVE_SECONDS, run
from .sums import FiringSums
from .table import FIRING, FORMAT, Firing, load_firing


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
        FileNotFoundError: an SAE does not exist, or cannot be fetched.
        ValueError: an SAE is not a folder and there is no ``out``; an SAE does not fit the
            activations; there are none; an activation or a latent's value is NaN or infinite.
        OSError: a file could not be written.
    """
    told = progress or silent
    kind = Kind("fire", FIRING, FORMAT, FiringSums, {})
    rows = tokens_to_count(store, tokens)
    jobs = plan(saes, store, out, kind, rows, progress=told, say=say or (lambda _: None))

    run(
        jobs,
        lambda some: store.gather(np.arange(some.start, some.stop)),
        rows,
        save_seconds=save_seconds,
        progress=told,
    )
    return {job.name: load_firing(job.file, job.facts["sae"]["sha256"]) for job in jobs}
