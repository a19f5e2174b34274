"""Adds the logit lens to contexts that have none."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...common.blocks import slices
from ...common.progress import Progress
from ...common.tables import table_facts
from ..activations.language_model import load_model
from ..passes.jobs import Job
from .lens import LogitLens, logit_lens, unembedding_of
from .table import FORMAT, load_contexts

_BLOCK = 2048


def add_lenses(
    jobs: Sequence[Job], words: int, *, progress: Progress, say: Callable[[str], None]
) -> None:
    """Add the logit lens to the contexts that have none, on the GPU if there is one.

    Args:
        jobs: SAEs whose contexts are written, of one model.
        words: the first so many tokens of the model's vocabulary count.
        progress: told of the phases "model" and "logit lens", the latter in latents.
        say: told why there is no lens, in one line.

    Raises:
        OSError: a file could not be written.
    """
    waiting = [job for job in jobs if not table_facts(job.file, FORMAT)["logit_lens"]]
    matrix = _unembedding(waiting[0].facts["model"], progress, say) if waiting else None
    if matrix is None:
        return
    fitting = [job for job in waiting if _fits(job, matrix, say)]
    done, total = 0, sum(job.stored.config.num_latents for job in fitting)
    for job in fitting:
        parts: list[LogitLens] = []
        for rows in slices(job.stored.config.num_latents, _BLOCK):
            progress("logit lens", done, total, "latents")
            directions = job.stored.tensors["W_dec"][rows].to(matrix.device, torch.float32)
            parts.append(logit_lens(directions, matrix[:words]))
            done += len(directions)
        _add(job, parts)
        progress("logit lens", done, total, "latents")


def _unembedding(name: str, progress: Progress, say: Callable[[str], None]) -> Tensor | None:
    progress("model", 0, 1, "model")
    try:
        model: Any = load_model(name)
    except (OSError, ValueError, ImportError) as error:
        say(f"no logit lens: {error}")
        return None
    progress("model", 1, 1, "model")
    matrix = unembedding_of(model)
    if matrix is None:
        say(f"no logit lens: model {name!r} has no unembedding")
        return None
    return matrix.to("cuda" if torch.cuda.is_available() else "cpu")


def _fits(job: Job, matrix: Tensor, say: Callable[[str], None]) -> bool:
    width = job.stored.config.out_width
    if width != matrix.shape[1]:
        say(
            f"{job.name}: no logit lens: its decoder has width {width:,}, but the unembedding of "
            f"{job.facts['model']!r} has width {matrix.shape[1]:,}"
        )
    return width == matrix.shape[1]


def _add(job: Job, parts: Sequence[LogitLens]) -> None:
    """Write the contexts again, with the lens of all latents, in parts."""
    lens = LogitLens(*map(np.concatenate, zip(*parts, strict=True)))
    found = load_contexts(job.file, job.facts["sae"]["sha256"])
    replace(found, lens=lens).save(job.file, {**job.facts, "versions": found.facts["versions"]})
