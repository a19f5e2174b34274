"""Sparse autoencoders: model, training over many seeds, files."""

from .config import SAEConfig, TrainConfig
from .model import SAE, SAEOutput
from .saved import load_sae, save_sae
from .training import train

__all__ = ["SAE", "SAEConfig", "SAEOutput", "TrainConfig", "load_sae", "save_sae", "train"]
