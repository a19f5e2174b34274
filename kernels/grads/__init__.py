"""Gradients by latent, from the non-zeros alone."""

from .api import LatentGrads, latent_grads

__all__ = ["LatentGrads", "latent_grads"]
