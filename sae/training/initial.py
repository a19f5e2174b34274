"""The weights that training begins with, as far as they depend on the first batch.

SAEs that begin alike also end alike, whatever the data. So a run records how similar its SAEs are
before the first step.
"""

import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ...common.files import atomic_write
from .gradients import dot_rows
from .jobs import Job
from .learner import Learner
from .ranks import Ranks

INITIAL = "initial.json"
SAMPLE = 256  # latents of one SAE, compared with all of the other


@torch.no_grad()
def begin(learner: Learner, x: Tensor, target: Tensor) -> None:
    """Set the weights of a new SAE from the first batch, ``x`` (N, d_in) and ``target`` (N, d_out).

    The reconstruction begins at the target's mean (section 2.1 of arXiv 2501.16615). A transcoder
    begins without its decoder, and its encoder's bias takes off the mean of ``x``, as in sparsify.
    """
    sae = learner.sae
    sae.b_dec.copy_(target.mean(dim=0))
    if learner.job.target:
        sae.W_dec.zero_()
        sae.encoder.bias.copy_(-dot_rows(sae.encoder.weight, x.mean(dim=0)))
    elif learner.job.config.init != "paper":
        rows = sae.encoder.weight
        if learner.job.config.init == "data":
            rows = _mixed(rows, x, learner.job.seed)
        rows = normalize(rows)
        sae.encoder.weight.copy_(rows)
        sae.W_dec.copy_(rows)


def _mixed(rows: Tensor, x: Tensor, seed: int) -> Tensor:
    """Return, for each of the random ``rows`` (L, D), its direction plus that of an activation.

    Activations are less their mean, and drawn without repetition as long as there are enough.
    """
    generator = torch.Generator().manual_seed(seed)
    orders = [torch.randperm(len(x), generator=generator) for _ in range(-(-len(rows) // len(x)))]
    drawn = torch.cat(orders)[: len(rows)].to(x.device)
    return normalize(rows) + normalize((x - x.mean(dim=0))[drawn])


def scale_of(learner: Learner, x: Tensor) -> float:
    """Return the factor by which a new SAE's activations, first ``x`` (N, d_in), are multiplied."""
    if learner.job.config.input_scale == "none":
        return 1.0
    mean_norm = float(torch.linalg.vector_norm(x, dim=1).mean())
    return float(x.shape[1] ** 0.5) / mean_norm


@torch.no_grad()
def record_similarity(
    run: Path, learners: Sequence[Learner], jobs: Sequence[Job], ranks: Ranks
) -> None:
    """Add to ``run/initial.json`` how similar each two new SAEs of one hookpoint are.

    ``mean_max_cosine`` is the mean, over at most 256 latents of the first spread over all, of the
    largest cosine of the encoder's row with any of the second's. Rows drawn at random have small
    ones; 1 means that both began with the same rows.

    Args:
        run: folder of the run.
        learners: the new SAEs of this process.
        jobs: all of the run, in the order in which an SAE is the first or the second of two.
        ranks: the processes; the first one writes.
    """
    samples: dict[str, Tensor] = {}
    for part in ranks.gather({learner.job.folder: _sample(learner) for learner in learners}):
        samples |= part
    own = {learner.job.folder: learner for learner in learners}
    records: list[dict[str, Any]] = []
    for a, b in combinations([job for job in jobs if job.folder in samples], 2):
        if a.hookpoint == b.hookpoint and b.folder in own:
            rows = normalize(own[b.folder].sae.encoder.weight)
            cosines = samples[a.folder].to(rows.device) @ rows.T
            mean = float(cosines.amax(dim=1).mean())
            records.append({"a": a.folder, "b": b.folder, "mean_max_cosine": mean})
    places = {job.folder: place for place, job in enumerate(jobs)}
    records = [record for part in ranks.gather(records) for record in part]
    records.sort(key=lambda record: (places[record["a"]], places[record["b"]]))
    if records and ranks.first:
        _add(run / INITIAL, records)


def _sample(learner: Learner) -> Tensor:
    """Return some of the encoder's rows (at most 256, d_in) at unit norm, on the CPU."""
    rows = normalize(learner.sae.encoder.weight)
    chosen = torch.linspace(0, len(rows) - 1, min(SAMPLE, len(rows))).long()
    return rows[chosen.to(rows.device)].cpu()


def _add(path: Path, records: Sequence[dict[str, Any]]) -> None:
    before = json.loads(path.read_text()) if path.is_file() else []
    fresh = {(record["a"], record["b"]) for record in records}
    kept = [record for record in before if (record["a"], record["b"]) not in fresh]
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps([*kept, *records], indent=1) + "\n")
