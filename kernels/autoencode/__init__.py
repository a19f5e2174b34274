"""The TopK autoencoder in one call: active latents, reconstruction, and squared error."""

from .api import Autoencoded, topk_autoencode

__all__ = ["Autoencoded", "topk_autoencode"]
