"""Sparse autoencoders: model, training over many seeds, files."""

from typing import TYPE_CHECKING

from ..common.lazy import lazy_names
from .config import SAEConfig
from .train_config import TrainConfig

if TYPE_CHECKING:
    from .model import SAE, SAEOutput
    from .saved import load_sae, save_sae
    from .training import Start, open_start, train
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "SAE": ".model",
            "SAEOutput": ".model",
            "load_sae": ".saved",
            "save_sae": ".saved",
            "Start": ".training",
            "open_start": ".training",
            "train": ".training",
        },
    )

__all__ = [
    "SAE",
    "SAEConfig",
    "SAEOutput",
    "Start",
    "TrainConfig",
    "load_sae",
    "open_start",
    "save_sae",
    "train",
]
