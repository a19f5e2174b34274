"""A TopK autoencoder in one call: the active latents, the reconstruction and its error."""

from .api import Autoencoded, topk_autoencode

__all__ = ["Autoencoded", "topk_autoencode"]
