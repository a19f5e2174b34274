"""The gradients of an autoencoder's weights, summed for each latent from the non-zeros alone."""

from .api import LatentGrads, latent_grads

__all__ = ["LatentGrads", "latent_grads"]
