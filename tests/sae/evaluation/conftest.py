"""SAEs of which it is known what they reconstruct."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from twinsae.sae import SAE, SAEConfig


def _perfect(width: int) -> SAE:
    """Return an SAE that gives back its input, bit for bit: two latents for each dimension."""
    sae = SAE(SAEConfig(width, 2 * width, k=width), seed=0)
    both = torch.cat([torch.eye(width), -torch.eye(width)])
    sae.encoder.weight.data, sae.W_dec.data = both, both.clone()
    return sae


@pytest.fixture
def perfect() -> Callable[[int], SAE]:
    return _perfect


def _constant(row: Tensor) -> SAE:
    """Return an SAE that gives back ``row`` (D,) whatever it reads."""
    sae = SAE(SAEConfig(len(row), 20, k=2, normalize_decoder=False), seed=0)
    sae.W_dec.data.zero_()
    sae.b_dec.data = row.clone()
    return sae


@pytest.fixture
def constant() -> Callable[[Tensor], SAE]:
    return _constant
