"""Pages: which features autoencoders share, with a browser of all latents; how training went."""

from typing import TYPE_CHECKING

from ...common.lazy import lazy_names

if TYPE_CHECKING:
    from .page import render
    from .training_page import render_training
else:
    __getattr__ = lazy_names(
        __name__,
        {"render": ".page", "render_training": ".training_page"},
        needs=("a report", "jinja2", "matplotlib"),
    )

__all__ = ["render", "render_training"]
