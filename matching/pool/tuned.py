"""JumpReLU SAEs with one threshold: the pool, and single SAEs to compare it with.

Scores are measured along decoder rows of length 1, so that one threshold means the same for all
latents. The decoder's bias is that of least squares, given the encoder: with the tokens x_t, the
active scores a_gt and the decoder's rows v_g,

    b_dec = mean over the tokens of (x_t - sum over g of a_gt v_g)
"""

import numpy as np
import torch
from numpy.typing import NDArray

from ...sae import SAE, SAEConfig
from ...sae.formats.stored import StoredSAE, as_jumprelu, encoder_bias
from .groups import Floats, Ints, unit
from .threshold import Batches, set_l0


def jumprelu(encoder: Floats, bias: Floats, decoder: Floats) -> SAE:
    """Return an SAE that is still without thresholds and with b_dec 0, in float32.

    Args:
        encoder: (P, D).
        bias: (P,) added to encoder @ x.
        decoder: (P, D) of length 1, or 0.
    """
    number, width = encoder.shape
    arrays = {
        "encoder.weight": encoder,
        "encoder.bias": bias,
        "W_dec": decoder,
        "b_dec": np.zeros(width),
        "threshold": np.zeros(number),
    }
    tensors = {name: torch.from_numpy(array).float() for name, array in arrays.items()}
    config = SAEConfig(width, number, activation="jumprelu")
    return SAE.from_stored(StoredSAE(config, tensors)).requires_grad_(False)


def cut(sae: SAE, latents: Ints) -> SAE:
    """Return an SAE with these latents of another, as `jumprelu`: their thresholds are dropped.

    Args:
        sae: one whose active latents are those of the largest scores, or above thresholds.
        latents: (P,) of its latents.
    """
    stored = as_jumprelu(sae.stored())
    decoder = _chosen(stored.tensors["W_dec"], latents)
    lengths = np.linalg.norm(decoder, axis=1)
    encoder = _chosen(stored.tensors["encoder.weight"], latents) * lengths[:, None]
    bias = _chosen(encoder_bias(stored, subtracts=False), latents) * lengths
    return jumprelu(encoder, bias, unit(decoder))


def tune(sae: SAE, fitting: Batches, held_out: Batches, l0: float) -> None:
    """Give an SAE as of `jumprelu` its threshold, and then its b_dec.

    Args:
        sae: changed in place.
        fitting: the tokens that b_dec is fitted on.
        held_out: those that the threshold is set on.
        l0: as for `set_l0`.
    """
    set_l0(sae, held_out, l0)
    total = torch.zeros(sae.config.d_in, dtype=torch.float64)
    tokens = 0
    for x in fitting():
        total += (x.double() - sae(x).reconstruction.double()).sum(dim=0)
        tokens += len(x)
    moved = total / tokens
    # The encoder reads x - b_dec: its bias makes up for what that changes.
    with torch.no_grad():
        sae.encoder.bias.add_(sae.encoder.weight.double() @ moved)
        sae.b_dec.add_(moved)


def _chosen(tensor: torch.Tensor, latents: Ints) -> NDArray[np.float64]:
    return tensor.detach()[torch.from_numpy(latents)].double().numpy()
