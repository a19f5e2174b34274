"""One seed in training: its SAE, its optimiser and its counters."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...kernels.grads import LatentGrads
from ..config import TrainConfig
from ..model import SAE
from .gradients import fvu_gradients, remove_parallel


@dataclass(frozen=True)
class StepFacts:
    """What one step of one seed showed; the numbers are scalar tensors."""

    fvu: Tensor
    l0: Tensor
    dead: Tensor
    lr: float


class Schedule:
    """The learning rate of every step: up linearly from 0, then down linearly to 0.

    It is that of transformers' ``get_linear_schedule_with_warmup``, which sparsify uses, except for
    two things: the first step has not rate 0 but that of the second, and the warm-up is at most
    half of the run.

    Args:
        config: with ``lr`` (None means the paper's 2e-4 / sqrt(num_latents / 2^14)) and
            ``warmup_steps``.
        num_latents: of the SAE.
        total_steps: of the whole run.
    """

    def __init__(self, config: TrainConfig, num_latents: int, total_steps: int) -> None:
        self.peak = 2e-4 / (num_latents / 2**14) ** 0.5 if config.lr is None else config.lr
        self.total = total_steps
        self.warmup = min(config.warmup_steps, total_steps // 2)

    def lr(self, step: int) -> float:
        """Return the rate of the update that follows ``step`` earlier ones."""
        if step < self.warmup:
            return self.peak * (step + 1) / (self.warmup + 1)
        return self.peak * (self.total - step) / (self.total - self.warmup)


class Learner:
    """The SAE of one seed and everything that its next update depends on.

    Args:
        sae: with its weights of before the first step, on the device where it is trained.
        seed: what its files are called by.
    """

    def __init__(self, sae: SAE, seed: int) -> None:
        self.seed = seed
        self.sae = sae
        # Fused: one pass over each tensor, element by element, so the same bits for any threads.
        self.adam = torch.optim.Adam(self.sae.parameters(), fused=True)
        self.step = 0
        # (L,)
        self.tokens_since_fired = torch.zeros_like(sae.encoder.bias, dtype=torch.int64)
        self.fired = torch.zeros_like(self.tokens_since_fired)  # in the last epoch

    @torch.no_grad()
    def update(
        self,
        x: Tensor,
        values: Tensor,
        indices: Tensor,
        variance: Tensor,
        *,
        lr: float,
        dead_after: int,
        count_fired: bool,
        memory: LatentGrads,
    ) -> StepFacts:
        """Take one step of Adam down the FVU of the batch ``x`` (N, D).

        ``values`` and ``indices`` (N, k) are the batch's active latents, ``variance`` its total
        variance. ``count_fired`` says whether the batch is part of the last epoch. ``memory`` is
        written over.

        Raises:
            ValueError: the FVU is not finite; the weights are left as they are.
        """
        sae = self.sae
        gradients = fvu_gradients(sae, x, values, indices, variance, out=memory)
        if not gradients.fvu.isfinite():
            raise ValueError(
                f"lr: seed {self.seed} diverged at step {self.step + 1}, its FVU is "
                f"{gradients.fvu.item()}; use a smaller learning rate or a longer warm-up"
            )
        if sae.config.normalize_decoder:
            remove_parallel(gradients.W_dec, sae.W_dec, gradients.radial)
        sae.encoder.weight.grad = gradients.encoder_weight
        sae.encoder.bias.grad = gradients.encoder_bias
        sae.W_dec.grad = gradients.W_dec
        sae.b_dec.grad = gradients.b_dec
        self.adam.param_groups[0]["lr"] = lr
        self.adam.step()
        self.adam.zero_grad()
        if sae.config.normalize_decoder:
            sae.normalize_decoder()
        self._count(gradients.fired, len(x), count_fired)
        self.step += 1
        l0 = gradients.fired.sum() / len(x)
        return StepFacts(gradients.fvu, l0, (self.tokens_since_fired >= dead_after).sum(), lr)

    def _count(self, fired: Tensor, tokens: int, count_fired: bool) -> None:
        self.tokens_since_fired += tokens
        self.tokens_since_fired.masked_fill_(fired > 0, 0)
        if count_fired:
            self.fired += fired
