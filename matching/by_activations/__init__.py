"""Matches latents by what they do: by their activations on the same tokens."""

from .agreement import agreement
from .api import active_together, match_activations
from .encode import encode_store
from .files import match_activation_files

__all__ = [
    "active_together",
    "agreement",
    "encode_store",
    "match_activation_files",
    "match_activations",
]
