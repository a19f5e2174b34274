"""The latent browser's data: what `twinsae report` writes and ``latents.html`` reads."""

from .write import PAGE, write_browser

__all__ = ["PAGE", "write_browser"]
