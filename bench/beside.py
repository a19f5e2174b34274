"""Our trainer beside other people's: their losses step by step, and the time of a step."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle

import torch
from torch import Tensor

from ..sae import SAE
from ..sae.loss import total_variance
from ..sae.training.optimizer import Schedule
from .clock import Call, CpuClock
from .measurement import OURS, Measurement, Task, summary
from .own_loop import OwnLoop
from .problem import Shape
from .refuse import WrongResultError
from .rivals import Contest, Step

UNTIMED = 2  # the first step of each has its memory measured, the second warms up
TOGETHER = 1e-4  # relative, of two losses that are called equal
# Relative, of the last step. Sooner or later rounding decides which of two latents is chosen for a
# token, and the runs drift apart, as two runs of one trainer do whose weights differ by a rounding.
SAME_LOSS = 0.02
FEW = 50  # one of so many latents is active where few are
SEEN = 64  # tokens by whose scores that is arranged


def bench_beside(
    contest: Contest, x: Tensor, shape: Shape, source: str, steps: int, few: bool = False
) -> list[Measurement]:
    """Train twice from the same weights on the same batches; the two take turns step by step.

    Args:
        contest: a peer and an architecture.
        x: (rows, D), used again and again.
        shape: the sizes of a batch and of the SAE.
        source: "real" or "random".
        steps: how many steps of each are timed.
        few: begin with one latent in 50 active; only for kinds without k, half of whose latents
            are active at first otherwise.

    Returns:
        The peer and ours. Notes: the last step's loss; for how many steps the losses are equal to
        1e-4, and how far they are apart at most, both relative. Memory is beyond the weights and
        the state of the optimiser.

    Raises:
        WrongResultError: the last losses differ by more than 2 %.
    """
    x = unit_variance(x, shape.num_tokens)
    total, b_dec = steps + UNTIMED, x.mean(dim=0)
    config = contest.config(shape)
    schedule = Schedule(config, shape.num_latents, total)
    theirs, ours = (contest.start(shape, b_dec) for _ in range(2))
    job = contest.job
    if few:
        job = f"{job}, 1 in {FEW} active,"
        for sae in (theirs, ours):
            few_active(sae, x[:SEEN])
    loops = {
        contest.peer: contest.make(theirs, contest, schedule, shape).step,
        OURS: OwnLoop(ours, config, total).step,
    }
    losses: dict[str, list[float]] = {way: [] for way in loops}
    batches = torch.split(x, shape.num_tokens)
    ways = {way: _recorded(loop, batches, losses[way]) for way, loop in loops.items()}
    clock = CpuClock()
    peaks = {way: clock.peak(step).total for way, step in ways.items()}
    taken = clock.samples(ways, steps)
    notes = _notes(contest, *losses.values())
    operations = 2 * shape.num_tokens * shape.d_in * shape.num_latents
    task = Task(f"{job} beside {contest.peer}", shape.sizes, source, operations)
    return [
        replace(summary(task, way, taken[way], peaks[way]), notes=[note])
        for way, note in zip(ways, notes, strict=True)
    ]


def _notes(contest: Contest, theirs: Sequence[float], ours: Sequence[float]) -> tuple[str, str]:
    if not abs(ours[-1] - theirs[-1]) <= SAME_LOSS * abs(theirs[-1]):
        raise WrongResultError(
            f"{contest.job} beside {contest.peer}: the loss is {ours[-1]:.4f}, theirs "
            f"{theirs[-1]:.4f}, after {len(ours)} steps: not timed"
        )
    apart = differences(theirs, ours)
    together = next((step for step, one in enumerate(apart) if one > TOGETHER), len(apart))
    found = (
        f"within {TOGETHER:g} for {together} of {len(apart)} steps, at most {max(apart):.0e} apart"
    )
    return f"loss {theirs[-1]:.4f}", f"loss {ours[-1]:.4f}; {found}"


@torch.no_grad()
def few_active(sae: SAE, x: Tensor) -> None:
    """Lower all scores alike, so that one in 50 of those of ``x`` (N, D) is positive."""
    scores = ((x - sae.b_dec) @ sae.encoder.weight.T).flatten()
    sae.encoder.bias.sub_(scores.kthvalue(len(scores) - len(scores) // FEW).values)


def unit_variance(x: Tensor, rows: int) -> Tensor:
    """Return ``x`` (a multiple of ``rows``, D), each batch scaled to the variance ``rows``."""
    return torch.cat(
        [batch * (rows / total_variance(batch)) ** 0.5 for batch in torch.split(x, rows)]
    )


def differences(theirs: Sequence[float], ours: Sequence[float]) -> list[float]:
    """Return the relative difference of two runs' losses at each step."""
    return [abs(a - b) / abs(a) for a, b in zip(theirs, ours, strict=True)]


def _recorded(step: Step, batches: Sequence[Tensor], losses: list[float]) -> Call:
    """Return a call that trains on the next batch and appends its loss; it begins again."""
    endless = cycle(batches)
    return lambda: losses.append(step(next(endless)))
