"""What stands around the latents: the encoder's bias and input, and the skip connection."""

from torch import Tensor

from ...model import SAE
from ..gradients import Gradients, dot_rows
from .interface import Batch


def encoder_bias(sae: SAE, weight: Tensor, bias: Tensor) -> Tensor:
    """Return what the scores of raw inputs have as their bias (L,), for these encoder rows."""
    return bias if sae.config.transcode else bias - dot_rows(weight, sae.b_dec)


def encoder_input(sae: SAE, x: Tensor) -> Tensor:
    """Return what the encoder's rows are multiplied with, (N, d_in)."""
    return x if sae.config.transcode else x - sae.b_dec


def skipped(sae: SAE, batch: Batch) -> Tensor:
    """Return what the latents are to reconstruct, (N, d_out): what the skip connection leaves."""
    return batch.target if sae.W_skip is None else batch.target - batch.x @ sae.W_skip.T


def add_output(sae: SAE, x: Tensor, g: Tensor, gradients: Gradients) -> None:
    """Add what the reconstruction's gradient ``g`` (N, d_out) is for b_dec and the skip connection.

    ``x`` is (N, d_in), as it comes.
    """
    gradients.add_reconstruction(g)
    if sae.W_skip is not None:
        gradients.add_vector("W_skip", g.T @ x)
