"""The batches of token ids that one shard of a harvest is made of."""

import hashlib
from collections.abc import Sequence

from torch import Tensor

from .config import HarvestConfig


def batches_of_shard(config: HarvestConfig) -> int:
    """Return how many batches a shard is made of."""
    return -(-config.shard_rows // (config.sequences * config.context))


def ids_digest(group: Sequence[Tensor]) -> str:
    """Return the SHA-256 of a shard's token ids, by which a store knows its text again."""
    return hashlib.sha256(b"".join(ids.numpy().tobytes() for ids in group)).hexdigest()
