"""SAEs of every way to encode and decode, with random weights in float64."""

from collections.abc import Callable

import pytest
import torch
from twinsae.sae import SAE, SAEConfig

WIDTH = 6
SETTINGS = {
    "topk": {"k": 3},
    "batch_topk": {"k": 3, "activation": "batch_topk"},
    "groupmax": {"k": 4, "activation": "groupmax"},
    "relu": {"activation": "relu"},
    "gated": {"activation": "gated"},
    "jumprelu": {"activation": "jumprelu"},
    "raw_topk": {"k": 3, "activation": "raw_topk"},
    "abs_topk": {"k": 3, "activation": "abs_topk"},
    "normed_topk": {"k": 3, "activation": "normed_topk"},
    "transcode": {"k": 3, "transcode": True},
    "skip": {"k": 3, "skip_connection": True},
    "layer_norm": {"k": 3, "normalization": "layer_norm"},
    "constant_norm": {"activation": "relu", "normalization": "constant_norm"},
    "standardize": {"k": 3, "normalization": "standardize"},
    "matryoshka": {"k": 3, "prefixes": (5, 12, 20)},
}


@pytest.fixture
def make_sae() -> Callable[..., SAE]:
    """Make an SAE of one kind, with rows of several lengths, one zero row and one dead latent."""

    def make(kind: str, num_latents: int = 20, seed: int = 0) -> SAE:
        settings = SETTINGS[kind]
        if "prefixes" in settings:
            settings = settings | {"prefixes": (5, 12, num_latents)}
        config = SAEConfig(WIDTH, num_latents, normalize_decoder=False, **settings)
        sae = SAE(config, seed=seed, dtype=torch.float64)
        rng = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, parameter in sae.named_parameters():
                if name != "encoder.weight":
                    parameter.copy_(torch.randn(parameter.shape, generator=rng) * 0.3)
            sae.W_dec[2] = 0
            sae.encoder.bias[3] = -1e3 if config.activation != "abs_topk" else 0
            if sae.threshold is not None:
                sae.threshold.fill_(0.1)
        return sae

    return make
