"""What an SAE learned, and with which coefficient of its sparsity it learns as sparse a code."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..sae import SAE, TrainConfig
from ..sae.loss import total_variance
from ..sae.training.architectures import Batch, architecture
from ..sae.training.gradients import Gradients
from ..sae.training.stack import EncoderStack

EQUAL_L0 = 0.01  # relative
STRIDE = 4.0  # between coefficients until one is too small and one too large
MOST_RUNS = 16


@dataclass(frozen=True)
class Learned:
    """Means over batches, whose latents are chosen as in training."""

    fvu: float
    l0: float


@torch.no_grad()
def learned(sae: SAE, config: TrainConfig, batches: Sequence[Tensor]) -> Learned:
    """Measure an SAE.

    Args:
        sae: of any architecture that is trained.
        config: how it was trained.
        batches: each (N, D).
    """
    kind = architecture(sae.config, config)
    stack = EncoderStack([sae]) if kind.stacked_k else None
    dead = torch.zeros_like(sae.encoder.bias, dtype=torch.bool)
    fvus, l0s = [], []
    for x in batches:
        stacked = stack.encode(x, kind.stacked_k)[0] if stack else None
        batch = Batch(x, x, total_variance(x), dead, config.sparsity)
        losses = kind.backward(sae, batch, stacked, Gradients(sae))
        fvus.append(float(losses.fvu))
        l0s.append(float(losses.fired.sum()) / len(x))
    return Learned(sum(fvus) / len(fvus), sum(l0s) / len(l0s))


def at_equal_l0(
    train: Callable[[float], Learned], l0: float, sparsity: float
) -> tuple[float, Learned]:
    """Find the coefficient with which as many latents are active, to 1 %.

    Args:
        train: trains with a coefficient; the more of it, the fewer latents are active.
        l0: how many there should be.
        sparsity: the coefficient to try first.

    Returns:
        The coefficient, and what was learned with it.

    Raises:
        ValueError: 16 runs did not find one.
    """
    low, high = 0.0, float("inf")
    for _ in range(MOST_RUNS):
        found = train(sparsity)
        if abs(found.l0 - l0) <= EQUAL_L0 * l0:
            return sparsity, found
        if found.l0 > l0:
            low = sparsity
        else:
            high = sparsity
        if not low:
            sparsity = high / STRIDE
        elif high == float("inf"):
            sparsity = low * STRIDE
        else:
            sparsity = (low * high) ** 0.5
    raise ValueError(
        f"l0: no coefficient between {low:g} and {high:g} makes {l0:.1f} latents active; "
        f"{found.l0:.1f} at the last one"
    )
