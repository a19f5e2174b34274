"""One SAE in training: its weights, its architecture, its optimiser and its counters."""

from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...kernels.grads import LatentGrads
from ..formats.stored import StoredSAE
from ..model import SAE
from .architectures import Batch, Chosen, Losses, architecture
from .gradients import Gradients
from .jobs import Job
from .optimizer import Optimizer, Schedule
from .split_adam import SplitAdam


@dataclass(frozen=True)
class StepFacts:
    """What one step of one SAE showed; tensors are scalars."""

    fvu: Tensor
    l0: Tensor
    dead: Tensor
    lr: float
    parts: dict[str, Tensor]
    """The loss's other terms."""
    sparsity: float


class Learner:
    """The SAE of one job and everything that its next update depends on.

    Args:
        job: what to train.
        sae: with its weights of before the first step, on the device where it is trained.
        total_steps: of the whole run.
    """

    def __init__(self, job: Job, sae: SAE, total_steps: int) -> None:
        self.job = job
        self.sae = sae
        self.total = total_steps
        self.architecture = architecture(job.sae, job.config)
        self.architecture.initialise(sae)
        self.optimizer = self.new_optimizer()
        self.model = sae if job.config.precision == "float32" else deepcopy(sae).bfloat16()
        """What computes: the SAE, or a copy of lower precision."""
        self.schedule = Schedule(job.config, job.sae.num_latents, total_steps)
        self.step = 0
        # (L,)
        self.tokens_since_fired = torch.zeros_like(sae.encoder.bias, dtype=torch.int64)
        self.fired = torch.zeros_like(self.tokens_since_fired)  # in the last epoch
        self.scale = 1.0
        """By which activations are multiplied first."""
        self.failure: str | None = None
        """Why it cannot go on, if it cannot."""

    def new_optimizer(self) -> Optimizer | SplitAdam:
        """Return what moves the weights."""
        return Optimizer(self.sae, self.job.config)

    def of_batch(self, losses: Losses, tokens: int) -> tuple[Losses, int]:
        """Return the losses and tokens of the whole batch for those that `update` got."""
        return losses, tokens

    @torch.no_grad()
    def update(
        self,
        x: Tensor,
        target: Tensor,
        variance: Tensor,
        stacked: Chosen | None,
        *,
        count_fired: bool,
        memory: LatentGrads | None = None,
    ) -> StepFacts | None:
        """Take one step of the optimiser down the loss of a batch.

        Args:
            x: (N, d_in), scaled.
            target: (N, d_out), scaled.
            variance: scalar, the total variance of the whole batch's target.
            stacked: the largest scores of a scan for several SAEs; see `Architecture`.
            count_fired: whether the batch is part of the last epoch.
            memory: for gradients that must be written, or None.

        Returns:
            None if the loss is not finite; the weights are then left as they are, and `failure`
            says why.
        """
        sae, model, step = self.sae, self.model, self.step
        gradients = Gradients(sae)
        dead = self.tokens_since_fired >= self.job.config.dead_after
        sparsity, lr = self.schedule.sparsity_at(step), self.schedule.lr(step)
        batch = Batch(x, target, variance, dead, sparsity)
        losses = self.architecture.backward(model, batch, stacked, gradients)
        losses, tokens = self.of_batch(losses, len(x))
        if not (losses.fvu + sum(losses.parts.values())).isfinite():
            self.failure = (
                f"lr: {self.job.folder} diverged at step {step + 1}, its FVU is "
                f"{losses.fvu.item()}; use a smaller learning rate or a longer warm-up"
            )
            return None
        self.optimizer.step(gradients, lr, step + 1, memory)
        self.architecture.after_step(sae)
        self.refresh()
        self._count(losses.fired, tokens, count_fired)
        self.step += 1
        l0 = losses.fired.sum() / tokens
        dead = self.tokens_since_fired >= self.job.config.dead_after
        return StepFacts(losses.fvu, l0, dead.sum(), lr, losses.parts, sparsity)

    def result(self) -> SAE:
        """Return the SAE for activations as they are; it may share memory with `sae`."""
        tensors, config = self.optimizer.result(), self.job.sae
        if self.scale != 1:
            tensors["encoder.weight"] = tensors["encoder.weight"] * self.scale
            tensors["W_dec"] = tensors["W_dec"] / self.scale
            tensors["b_dec"] = tensors["b_dec"] / self.scale
            config = replace(config, normalize_decoder=False)
        return SAE.from_stored(StoredSAE(config, tensors))

    @torch.no_grad()
    def refresh(self) -> None:
        """Give the copy of lower precision the weights anew."""
        if self.model is not self.sae:
            for copy, parameter in zip(self.model.parameters(), self.sae.parameters(), strict=True):
                copy.copy_(parameter)

    def _count(self, fired: Tensor, tokens: int, count_fired: bool) -> None:
        self.tokens_since_fired += tokens
        self.tokens_since_fired.masked_fill_(fired > 0, 0)
        if count_fired:
            self.fired += fired
