"""A language model with something else in place of a module's output, and what it then predicts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...common.blocks import slices
from ..activations.language_model import run_model
from ..activations.shards import PADDING
from .measures import ratio

Change = Callable[[Tensor], Tensor]
"""What becomes of a module's output (B, T, D); the same shape."""

_BLOCK_ROWS = 256  # tokens whose whole distributions are in float32 at once


@dataclass(frozen=True)
class Spliced:
    """What a language model loses with an SAE's reconstruction in place of a module's output.

    Reconstruction, zeros and mean take the place of the output at the same positions: those that
    `harvest` would store. BOS, a first token that is an attention sink, and padding keep the
    model's own output each time. Of these positions, those count that another token of the sequence
    follows: the one to be predicted.

    ce is the cross-entropy, the mean over the tokens of -log q(next token), and kl the mean over
    the tokens of KL(p || q) = sum over the vocabulary of p (log p - log q), both in nats. p is the
    distribution of the model as it is, q that of the changed one. A ratio whose denominator is 0
    is infinite, or NaN for 0 / 0. A peer's key is named where it has the same formula.
    """

    tokens: int
    """Positions counted."""
    ce_original: float
    """ce of the model as it is: ``ce_loss_without_sae``."""
    ce_sae: float
    """ce with the reconstruction: ``ce_loss_with_sae``."""
    ce_zero: float
    """ce with zeros: ``ce_loss_with_ablation``."""
    ce_mean: float
    """ce with the mean output over all positions replaced, in all of the text."""
    ce_recovered_zero: float
    """(ce_zero - ce_sae) / (ce_zero - ce_original): ``ce_loss_score``; ``frac_recovered``."""
    ce_recovered_mean: float
    """(ce_mean - ce_sae) / (ce_mean - ce_original)."""
    kl_sae: float
    """kl with the reconstruction: ``kl_div_with_sae``."""
    kl_zero: float
    """kl with zeros: ``kl_div_with_ablation``."""
    kl_mean: float
    """kl with the mean."""
    kl_recovered_zero: float
    """1 - kl_sae / kl_zero: ``kl_div_score``."""
    kl_recovered_mean: float
    """1 - kl_sae / kl_mean."""


class Sums(NamedTuple):
    """Cross-entropy and KL of one way to run the model, summed over the tokens."""

    ce: float = 0.0
    kl: float = 0.0

    def plus(self, other: "Sums") -> "Sums":
        """Return the sums over the tokens of both."""
        return Sums(self.ce + other.ce, self.kl + other.kl)


def spliced(tokens: int, original: Sums, zero: Sums, mean: Sums, sae: Sums) -> Spliced:
    """Return the result for one SAE from the sums of all runs."""
    return Spliced(
        tokens=tokens,
        ce_original=original.ce / tokens,
        ce_sae=sae.ce / tokens,
        ce_zero=zero.ce / tokens,
        ce_mean=mean.ce / tokens,
        ce_recovered_zero=ratio(zero.ce - sae.ce, zero.ce - original.ce),
        ce_recovered_mean=ratio(mean.ce - sae.ce, mean.ce - original.ce),
        kl_sae=sae.kl / tokens,
        kl_zero=zero.kl / tokens,
        kl_mean=mean.kl / tokens,
        kl_recovered_zero=ratio(zero.kl - sae.kl, zero.kl),
        kl_recovered_mean=ratio(mean.kl - sae.kl, mean.kl),
    )


@torch.inference_mode()
def logits_with(model: nn.Module, input_ids: Tensor, changes: Mapping[nn.Module, Change]) -> Tensor:
    """Return the logits of a language model with some of its modules' outputs changed.

    Args:
        model: a causal transformers model.
        input_ids: (B, T) int64 on the model's device; `PADDING` at the end of shorter sequences,
            which the model is told not to attend to.
        changes: by module. Of a tuple that one returns, the first is changed, and of several calls
            the first.

    Returns:
        (B, T, V) in the model's dtype.
    """
    waiting = dict(changes)

    def change(module: nn.Module, _args: Any, output: Any) -> Any:
        if module not in waiting:
            return output
        own = output[0] if isinstance(output, tuple) else output
        new = waiting.pop(module)(own.reshape(*input_ids.shape, -1))
        new = new.to(own.dtype).reshape(own.shape)
        return (new, *output[1:]) if isinstance(output, tuple) else new

    handles = [module.register_forward_hook(change) for module in changes]
    try:
        logits: Tensor = run_model(model, input_ids).logits
    finally:
        for handle in handles:
            handle.remove()
    return logits


def replacing(positions: Tensor, rows: Tensor) -> Change:
    """Return the change that puts ``rows`` in some positions and leaves the others as they are.

    Args:
        positions: (B, T) bool.
        rows: (n, D), what fills them, in their order.
    """

    def change(output: Tensor) -> Tensor:
        new = output.clone()
        new[positions] = rows.to(output)
        return new

    return change


class Predictions:
    """The tokens of a batch whose prediction is counted.

    Args:
        input_ids: (B, T) int64, `PADDING` at the end of shorter sequences.
        positions: (B, T) bool: which are replaced; those with a token after them count.
    """

    def __init__(self, input_ids: Tensor, positions: Tensor) -> None:
        after = input_ids[:, 1:]
        counted = nn.functional.pad(positions[:, :-1] & (after != PADDING), (0, 1))
        self._places = counted.flatten().nonzero().flatten()  # (n,)
        self._next = after[counted[:, :-1]]  # (n,)

    def __len__(self) -> int:
        return len(self._next)

    def losses(self, original: Tensor, changed: Tensor) -> Sums:
        """Return the losses of a changed model, summed in float64.

        Args:
            original: (B, T, V), the logits of the model as it is.
            changed: (B, T, V).
        """
        total = Sums()
        for rows in slices(len(self), _BLOCK_ROWS):
            p, q = (_log_softmax(logits, self._places[rows]) for logits in (original, changed))
            ce = -q.gather(1, self._next[rows, None]).double().sum()
            # What the model rules out has log p = -inf, and adds 0.
            kl = torch.where(p.isneginf(), 0, p.exp() * (p - q)).sum(dim=1).double().sum()
            total = total.plus(Sums(float(ce), float(kl)))
        return total


def _log_softmax(logits: Tensor, places: Tensor) -> Tensor:
    """Return (n, V) float32 log-probabilities at some of the B * T places."""
    return torch.log_softmax(logits.flatten(0, 1)[places].float(), dim=-1)
