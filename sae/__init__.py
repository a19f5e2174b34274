"""Sparse autoencoders: model, training over many seeds, files."""

from .config import SAEConfig, TrainConfig
from .formats.native import save_sae
from .formats.registry import load_sae
from .model import SAE, SAEOutput
from .train import train

__all__ = ["SAE", "SAEConfig", "SAEOutput", "TrainConfig", "load_sae", "save_sae", "train"]
