"""A batch as the SAEs of a run take it."""

import torch
from torch import Tensor

from ..loss import total_variance
from .device import Batch


class Inputs:
    """The batch as the SAEs take it, made once for those that take the same.

    Args:
        batch: activations by hookpoint.
        step: its number, from 0 on, for messages.
    """

    def __init__(self, batch: Batch, step: int) -> None:
        self._batch = batch
        self._step = step
        self._scaled: dict[tuple[str, float, torch.dtype], Tensor] = {}
        self._variances: dict[tuple[str, float], Tensor] = {}

    def scaled(
        self, hookpoint: str, scale: float, precision: torch.dtype = torch.float32
    ) -> Tensor:
        """Return the activations (N, D), multiplied by ``scale``."""
        key = hookpoint, scale, precision
        if key not in self._scaled:
            x = self._batch[hookpoint]
            self._scaled[key] = (x if scale == 1 else x * scale).to(precision)
        return self._scaled[key]

    def variance(self, hookpoint: str, scale: float) -> Tensor:
        """Return the `total_variance`; raise ValueError if it cannot be used."""
        key = hookpoint, scale
        if key not in self._variances:
            variance = total_variance(self.scaled(hookpoint, scale))
            if not 0 < variance < torch.inf:
                raise _unusable(self._batch[hookpoint], self._step)
            self._variances[key] = variance
        return self._variances[key]


def _unusable(x: Tensor, step: int) -> ValueError:
    """Say why a batch (N, D), the one of the 0-based ``step``, has no usable variance."""
    where = f"step {step + 1} of training"
    bad = ~torch.isfinite(x).all(dim=1)  # (N,)
    if bad.any():
        row = int(bad.int().argmax())
        value = x[row][~torch.isfinite(x[row])][0].item()
        return ValueError(f"activations: row {row} of the batch of {where} holds {value}")
    if (x == x[0]).all():
        return ValueError(f"activations: the rows of the batch of {where} are all equal")
    return ValueError(f"activations: the variance of the batch of {where} is beyond float32")
