"""Products with k non-zeros a row."""

from .api import DecodedError, decode_error, gather_dot, sparse_decode

__all__ = ["DecodedError", "decode_error", "gather_dot", "sparse_decode"]
