"""What a larger SAE has that a smaller one has not: novel latents, and latents that are split."""

from .files import splitting

__all__ = ["splitting"]
