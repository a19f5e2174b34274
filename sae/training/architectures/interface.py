"""What an architecture is: how a batch's active latents are chosen, and the loss's gradients."""

from typing import NamedTuple, Protocol

from torch import Tensor

from ...model import SAE
from ..gradients import Gradients
from ..places import Listed


class Batch(NamedTuple):
    """What one SAE sees of a step."""

    x: Tensor
    """(N, d_in), the encoder's input."""
    target: Tensor
    """(N, d_out), what is to be reconstructed: x, except for transcoders."""
    variance: Tensor
    """Scalar, the target's `total_variance`. Each loss is divided by it: the squared error is then
    the FVU, and a penalty "weight times the mean over tokens, beside the mean squared error" is
    weight times its sum over tokens, divided by the variance."""
    dead: Tensor
    """(L,) bool, the latents that count as dead."""
    sparsity: float
    """The weight of the sparsity penalty at this step."""


class Chosen(NamedTuple):
    """The active latents that a scan found."""

    places: Listed
    values: Tensor
    """Of places: the scores, 0 where the index is -1."""


class Losses(NamedTuple):
    """What one step showed; the losses are scalars."""

    fired: Tensor
    """(L,) int64, tokens of the batch on which each latent was active."""
    fvu: Tensor
    """Of the reconstruction (of matryoshka: of the whole one)."""
    parts: dict[str, Tensor]
    """The other terms of the loss, by name, as they are added to the FVU."""


class Architecture(Protocol):
    """One kind of SAE in training. It holds what its steps depend on besides the parameters."""

    stacked_k: int
    """How many of the largest scores it chooses from, where `linear_topk` finds them for several
    SAEs at once; 0: it scans by itself."""
    state: dict[str, float]
    """What it needs to go on, besides the parameters; saved with them."""

    def initialise(self, sae: SAE) -> None:
        """Set the parameters that only this architecture has."""

    def backward(
        self, sae: SAE, batch: Batch, stacked: Chosen | None, gradients: Gradients
    ) -> Losses:
        """Choose the active latents and add the loss's gradients.

        Args:
            sae: with the weights of before the step.
            batch: what it sees.
            stacked: its `stacked_k` largest positive scores of each token, (N, stacked_k),
                descending; None where it scans by itself.
            gradients: takes the gradients.
        """

    def after_step(self, sae: SAE) -> None:
        """Do what follows the optimiser's step, such as to keep thresholds in their range."""
