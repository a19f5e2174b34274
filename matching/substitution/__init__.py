"""What is lost where latents of one SAE are replaced by their partners in another."""

from .files import substitute

__all__ = ["substitute"]
