"""Products with k non-zeros a row."""

from .api import gather_dot, sparse_decode

__all__ = ["gather_dot", "sparse_decode"]
