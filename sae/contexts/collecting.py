"""The contexts of several SAEs' latents, in one pass over activations."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...common.files import StrPath
from ...common.progress import Progress, silent
from ..activations import ActivationStore
from ..passes.jobs import Kind, plan, tokens_to_count
from ..passes.one_pass import SAVE_SECONDS, run
from .add_lenses import add_lenses
from .assembly import contexts_of
from .collector import Collector
from .corpus import CORPUS, store_corpus
from .kept import AFTER, BEFORE
from .table import CONTEXTS, FORMAT, Contexts, load_contexts


def collect_contexts(
    saes: Sequence[StrPath],
    store: ActivationStore,
    out: StrPath | None = None,
    *,
    corpus: StrPath | None = None,
    tokens: int | None = None,
    lens: bool = True,
    save_seconds: float = SAVE_SECONDS,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> dict[str, Contexts]:
    """Collect the contexts in which each latent of several SAEs fires.

    The activations are read once for all SAEs. Each SAE's contexts go to ``contexts.npz``, with
    ``contexts.json`` beside it; `sae.contexts.table` says what they are. They point into the
    corpus, which is written once for all SAEs of the store (`sae.contexts.corpus`). What was
    gathered so far is in ``contexts.part.npz``, which the end removes: the same call goes on where
    a killed one stopped, to the same bits. An SAE whose contexts are there already, of the same
    weights, settings, activations and tokens, is left as it is, except that a missing logit lens is
    added; any other contexts are replaced.

    Args:
        saes: SAE folders, files or names, as `load_sae` takes them. They compute in float32, on
            the GPU if there is one.
        store: (rows, d_in) activations of a language model. Where they were stored without tokens,
            their text is tokenised again and checked.
        out: a folder for the contexts, each in a folder of the SAE's name there
            (`sae.names.distinct_names`); None: each in its SAE's own folder.
        corpus: the folder of the corpus; None: the store's.
        tokens: read the first so many rows; None: all.
        lens: whether to load the model that the activations are of, for the tokens that each latent
            promotes and suppresses.
        save_seconds: what was gathered is saved every so often.
        progress: told of the phases "contexts", in tokens, "model", and "logit lens", in latents.
        say: told in one line what had to be assumed of an SAE, or why there is no logit lens.

    Returns:
        The contexts, by the SAEs' names.

    Raises:
        FileNotFoundError, ImportError: an SAE does not exist, or cannot be fetched; the text or the
            tokenizer that the tokens are needed from is gone.
        ValueError: an SAE is not a folder and there is no ``out``; an SAE does not fit the
            activations; the tokens of these are not known; there are none; an activation or a
            latent's value is NaN or infinite.
        OSError: a file could not be written.
    """
    told, speak = progress or silent, say or (lambda _: None)
    rows = tokens_to_count(store, tokens)
    folder = store.path if corpus is None else Path(corpus)
    text = store_corpus(store, folder)
    order = np.argsort(text.row_position[:rows], kind="stable")
    positions = text.row_position[:rows][order]
    begin = partial(_Gathered, positions=positions, sequence_offsets=text.sequence_offsets)
    facts = {
        "corpus": {"path": str((folder / CORPUS).resolve()), "sha256": text.facts["sha256"]},
        "model": text.facts["model"],
        "before": BEFORE,
        "after": AFTER,
    }
    kind = Kind("contexts", CONTEXTS, FORMAT, begin, facts)
    jobs = plan(saes, store, out, kind, rows, progress=told, say=speak)
    run(
        jobs,
        lambda some: store.gather(order[some]),
        rows,
        save_seconds=save_seconds,
        progress=told,
    )
    if lens:
        add_lenses(jobs, len(text.vocabulary.offsets) - 1, progress=told, say=speak)
    return {job.name: load_contexts(job.file, job.facts["sae"]["sha256"]) for job in jobs}


class _Gathered(Collector):
    """A collector whose contexts are saved at the end of the pass."""

    def save(self, file: Path, facts: Mapping[str, Any]) -> None:
        """Write the contexts of all tokens."""
        contexts_of(self).save(file, dict(facts))
