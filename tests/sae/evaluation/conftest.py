"""SAEs of which it is known what they reconstruct."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from twinsae.sae import SAE, SAEConfig


@pytest.fixture(scope="session")
def model_folder(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny GPT-2 with larger weights, so that its predictions depend on each module."""
    import transformers

    path = tmp_path_factory.mktemp("lively")
    model = transformers.GPT2LMHeadModel.from_pretrained(model_folder)
    for parameter in model.parameters():
        parameter.data *= 12 if parameter.ndim == 2 else 1
    model.save_pretrained(path)
    transformers.AutoTokenizer.from_pretrained(model_folder).save_pretrained(path)
    return path


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
