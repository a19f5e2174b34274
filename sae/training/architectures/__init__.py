"""How each kind of SAE is trained, one file a kind; a newcomer adds a file and a line here."""

from collections.abc import Callable

from ...config import Activation, SAEConfig
from ...train_config import TrainConfig, check_settings
from .batch_topk import BatchTopK
from .gated import Gated
from .groupmax import GroupMax
from .interface import Architecture, Batch, Chosen, Losses
from .jumprelu import JumpReLU
from .relu import ReLU
from .topk import TopK

__all__ = ["Architecture", "Batch", "Chosen", "Losses", "architecture"]

_KINDS: dict[Activation, Callable[[SAEConfig, TrainConfig], Architecture]] = {
    "topk": TopK,
    "batch_topk": BatchTopK,
    "groupmax": GroupMax,
    "relu": ReLU,
    "gated": Gated,
    "jumprelu": JumpReLU,
}


def architecture(sae_config: SAEConfig, config: TrainConfig) -> Architecture:
    """Return a new one for one SAE.

    Raises:
        ValueError: its settings do not suit it; the message names one.
    """
    check_settings(sae_config, config)
    return _KINDS[sae_config.activation](sae_config, config)
