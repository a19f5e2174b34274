"""How our trainer's losses compare with other people's over a run, and what each learned.

Where the losses are by definition the same, they are compared step by step. Where they part, the
peer trains once more with the dimensions of all activations and weights in another order: nothing
but its roundings changes, so that its two runs show how far rounding alone takes them.

Where the losses differ by definition, ours takes the coefficient of the sparsity at which as many
latents are active, and the FVU is compared.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice

import torch
from torch import Tensor

from ..sae.training.optimizer import Schedule
from .beside import TOGETHER, differences, unit_variance
from .learned import Learned, at_equal_l0, learned
from .own_loop import OwnLoop
from .problem import Shape
from .rivals import Contest

HELD_OUT = 8  # of so many batches, the last is not trained on


@dataclass(frozen=True)
class Trained:
    """One run."""

    losses: Sequence[float]
    """Of each step, before its update."""
    learned: Learned
    """On the batches that are held out."""


@dataclass(frozen=True)
class Comparison:
    """A run of ours beside one of a peer."""

    contest: Contest
    theirs: Trained
    ours: Trained
    reordered: Trained | None
    """The peer's with other roundings; None where it is not needed."""
    sparsity: float
    """Our coefficient."""

    @property
    def apart(self) -> list[float]:
        """How far our losses are from theirs, relative, step by step."""
        return differences(self.theirs.losses, self.ours.losses)

    @property
    def apart_by_rounding(self) -> list[float]:
        """How far the losses of the peer's two runs are from one another."""
        return differences(self.theirs.losses, self.reordered.losses) if self.reordered else []


def compare(contest: Contest, x: Tensor, shape: Shape, steps: int) -> Comparison:
    """Train a peer's SAE and ours from the same weights on the same batches.

    Args:
        contest: a peer and an architecture.
        x: (rows, D), used again and again; the last eighth of its batches, but at least one, is
            held out, if there are two or more.
        shape: the sizes of a batch and of the SAE.
        steps: of each run.

    Raises:
        ValueError: ours diverged, or there is no coefficient at which as many latents are active.
    """
    run = _Run(contest, unit_variance(x, shape.num_tokens), shape, steps)
    theirs, sparsity = run.theirs(), contest.config(shape).sparsity
    if contest.differs and sparsity:
        tried: dict[float, Trained] = {}

        def train(sparsity: float) -> Learned:
            tried[sparsity] = run.ours(sparsity)
            return tried[sparsity].learned

        sparsity, _ = at_equal_l0(train, theirs.learned.l0, sparsity)
        return Comparison(contest, theirs, tried[sparsity], None, sparsity)
    found = Comparison(contest, theirs, run.ours(sparsity), None, sparsity)
    if contest.differs or max(found.apart) <= TOGETHER:
        return found
    return replace(found, reordered=run.theirs(reordered=True))


class _Run:
    """What the runs of one comparison have in common."""

    def __init__(self, contest: Contest, x: Tensor, shape: Shape, steps: int) -> None:
        self.contest, self.shape, self.steps = contest, shape, steps
        self.config = contest.config(shape)
        self.b_dec = x.mean(dim=0)
        batches = torch.split(x, shape.num_tokens)
        held_out = max(len(batches) // HELD_OUT, 1)
        self.held_out = batches[-held_out:]
        self.trained_on = batches[:-held_out] or batches

    def theirs(self, reordered: bool = False) -> Trained:
        """Train the peer's; ``reordered``: with the dimensions in another order."""
        order = torch.arange(self.shape.d_in)
        if reordered:
            order = order.flip(0)
        sae = self.contest.start(self.shape, self.b_dec)
        for rows in (sae.encoder.weight, sae.W_dec, sae.b_dec):
            rows.data = rows.data[..., order]
        schedule = Schedule(self.config, self.shape.num_latents, self.steps)
        rival = self.contest.make(sae, self.contest, schedule, self.shape)
        losses = [rival.step(batch[:, order]) for batch in self._batches()]
        sae = self.contest.learned(sae, rival.module)
        held_out = [batch[:, order] for batch in self.held_out]
        return Trained(losses, learned(sae, self.config, held_out))

    def ours(self, sparsity: float) -> Trained:
        """Train ours with a coefficient of the sparsity."""
        config = replace(self.config, sparsity=sparsity)
        sae = self.contest.start(self.shape, self.b_dec)
        loop = OwnLoop(sae, config, self.steps)
        losses = [loop.step(batch) for batch in self._batches()]
        return Trained(losses, learned(sae, config, self.held_out))

    def _batches(self) -> Iterator[Tensor]:
        return islice(cycle(self.trained_on), self.steps)
