"""The pooled stable SAE: one latent for each group of latents that several seeds have in common."""

from .files import pool

__all__ = ["pool"]
