"""One self-contained HTML page that shows which features two autoencoders share."""

from .page import render

__all__ = ["render"]
