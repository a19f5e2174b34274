"""Training: many seeds on one stream of activations, resumable to the same bits."""

from .start import Start, open_start
from .train import train

__all__ = ["Start", "open_start", "train"]
