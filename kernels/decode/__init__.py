"""The sparse products: decoding from k active latents a row, and what its gradient needs."""

from .api import DecodedError, csr_decode, decode_error, gather_dot, sparse_decode

__all__ = ["DecodedError", "csr_decode", "decode_error", "gather_dot", "sparse_decode"]
