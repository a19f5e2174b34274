"""Self-contained HTML pages: which features two autoencoders share, and how training went."""

from .page import render
from .training_page import render_training

__all__ = ["render", "render_training"]
