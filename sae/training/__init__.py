"""Training: many seeds on one stream of activations, resumable to the same bits."""

from .train import train

__all__ = ["train"]
