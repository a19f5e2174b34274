"""Pages: which features autoencoders share, with a browser of all latents; how training went."""

from .page import render
from .training_page import render_training

__all__ = ["render", "render_training"]
