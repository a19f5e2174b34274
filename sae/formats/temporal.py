"""Temporal SAEs (https://huggingface.co/canrager/temporalSAEs), ``latest_ckpt.safetensors``.

Their codes depend on the whole sequence, so only the decoder ``D`` (L, D) can be matched.
"""

from .orientation import Names
from .source import Source
from .stored import StoredSAE

NAMES = Names(None, "D", (), ("b",), layout="LD/LD", family="name of a temporal SAE's checkpoint")


def names_of(_source: Source) -> Names:
    """Return what the tensors are called."""
    return NAMES


def load(source: Source) -> StoredSAE:
    """Refuse: codes need the whole sequence."""
    raise source.refused("a temporal SAE's code, which depends on the whole sequence,")
