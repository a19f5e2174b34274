"""The optimiser's step, and its state as files hold it."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..loss import squared_norm
from ..model import SAE
from ..train_config import TrainConfig


class Schedule:
    """The learning rate of every step: up linearly from 0, at its peak, then down linearly to 0.

    With ``decay`` 1 it is that of transformers' ``get_linear_schedule_with_warmup``, which sparsify
    uses, except for two things: the first step has not rate 0 but that of the second, and the
    warm-up is at most half of the run.

    Args:
        config: with ``lr`` (None means the paper's 2e-4 / sqrt(num_latents / 2^14)),
            ``warmup_steps`` and ``decay``.
        num_latents: of the SAE.
        total_steps: of the whole run.
    """

    def __init__(self, config: TrainConfig, num_latents: int, total_steps: int) -> None:
        self.peak = 2e-4 / (num_latents / 2**14) ** 0.5 if config.lr is None else config.lr
        self.total = total_steps
        self.warmup = min(config.warmup_steps, total_steps // 2)
        self.fall = min(round(config.decay * total_steps), total_steps - self.warmup)
        self.sparsity = config.sparsity
        self.rise_of_sparsity = round(config.sparsity_warmup * total_steps)

    def lr(self, step: int) -> float:
        """Return the rate of the update that follows ``step`` earlier ones."""
        if step < self.warmup:
            return self.peak * (step + 1) / (self.warmup + 1)
        left = self.total - step
        return self.peak * left / self.fall if left < self.fall else self.peak

    def sparsity_at(self, step: int) -> float:
        """Return the weight of the sparsity penalty in the update that follows ``step`` others."""
        return self.sparsity * min(1.0, (step + 1) / (self.rise_of_sparsity + 1))


class Optimizer:
    """Adam for all parameters of one SAE."""

    def __init__(self, sae: SAE, config: TrainConfig) -> None:
        self._sae = sae
        self._clip = config.clip
        # Fused: one pass over each tensor, element by element, so the same bits for any threads.
        self._adam = torch.optim.Adam(
            sae.parameters(), betas=config.betas, eps=config.eps, fused=True
        )

    def step(self, gradients: Mapping[str, Tensor], lr: float) -> None:
        """Take one step down the gradients, which are given by the parameters' names."""
        factor = self._clipping(gradients)
        for name, parameter in self._sae.named_parameters():
            gradient = gradients.get(name)
            parameter.grad = gradient if factor is None or gradient is None else gradient * factor
        self._adam.param_groups[0]["lr"] = lr
        self._adam.step()
        self._adam.zero_grad()

    def tensors(self) -> dict[str, Tensor]:
        """Return the state by names, to save it."""
        return {
            f"adam.{key}.{name}": value
            for name, parameter in self._sae.named_parameters()
            for key, value in self._adam.state[parameter].items()
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the state that `tensors` returned."""
        for name, parameter in self._sae.named_parameters():
            state: dict[str, Any] = {}
            for key in ("step", "exp_avg", "exp_avg_sq"):
                saved = tensors.get(f"adam.{key}.{name}")
                if saved is not None:
                    state[key] = torch.empty_like(saved, device=parameter.device).copy_(saved)
            if state:
                self._adam.state[parameter] = state

    def _clipping(self, gradients: Mapping[str, Tensor]) -> Tensor | None:
        """Return the factor by which gradients over the limit are scaled down; None: no limit."""
        if not self._clip:
            return None
        rows = [g if g.ndim == 2 else g.unsqueeze(1) for g in gradients.values()]
        norm = torch.stack([squared_norm(each) for each in rows]).sum().sqrt()
        return (self._clip / (norm + 1e-6)).clamp(max=1.0)  # as torch's clip_grad_norm_
