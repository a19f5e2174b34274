"""These tests run where all peers are installed: `make test-peers`."""

import os
from collections.abc import Callable
from importlib.util import find_spec

import pytest
import torch
from torch import Tensor
from twinsae.sae import SAE

PEERS = ("sparsify", "sae_lens", "dictionary_learning")
if not all(map(find_spec, PEERS)):
    collect_ignore_glob = ["test_*.py"]

# Before sparsify is imported: without a GPU its decoder works in no other way.
os.environ["SPARSIFY_DISABLE_TRITON"] = "1"
os.environ["WANDB_MODE"] = "disabled"


@pytest.fixture
def x() -> Tensor:
    """(64, 12): activations with a mean."""
    return 2 * torch.randn(64, 12, generator=torch.Generator().manual_seed(9)) + 1


def _dense(sae: SAE, x: Tensor) -> Tensor:
    top = sae.encode(x)
    latents = sae.config.num_latents
    places = top.indices.where(top.indices >= 0, latents)
    return torch.zeros(len(x), latents + 1).scatter(1, places, top.values)[:, :latents]


@pytest.fixture
def dense() -> Callable[[SAE, Tensor], Tensor]:
    """The codes (N, L) of our SAE."""
    return _dense


def _randomise(module: torch.nn.Module) -> None:
    """Give every parameter numbers that no symmetry hides, biases included."""
    generator = torch.Generator().manual_seed(5)
    for name, parameter in sorted(module.named_parameters()):
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.data = noise.abs() / 2 if name == "threshold" else noise / 2


@pytest.fixture
def randomise() -> Callable[[torch.nn.Module], None]:
    return _randomise
