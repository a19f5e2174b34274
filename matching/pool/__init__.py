"""One SAE made of the latents that several seeds share."""

from .files import pool

__all__ = ["pool"]
