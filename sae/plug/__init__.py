"""The kernels inside other people's trainers, and as parts for your own.

`sparsify` and `saelens` are switched on and off; `twinsae.sae.plug.dictionary_learning` has a
trainer to be named in place of theirs. None of them is imported before it is needed.
"""

from .functional import Active, decode, encode, encode_batch
from .modules import SparseDecoder, TopKEncoder
from .saelens_patch import saelens
from .sparsify_patch import sparsify

__all__ = [
    "Active",
    "SparseDecoder",
    "TopKEncoder",
    "decode",
    "encode",
    "encode_batch",
    "saelens",
    "sparsify",
]
