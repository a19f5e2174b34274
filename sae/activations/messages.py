"""What a trainer and the process that harvests for it tell one another."""

from typing import NamedTuple

from .config import HarvestConfig


class Job(NamedTuple):
    """To the harvest, at first: what to load."""

    config: HarvestConfig
    block_tokens: int
    threads: int
    """Of torch in that process."""


class Ready(NamedTuple):
    """From the harvest, once the model has run on the first sequences."""

    widths: dict[str, int]
    """d_in of each hookpoint."""
    dtype: str
    skip_first: bool
    bos: int | None
    identity: str
    """See `harvest_identity`."""


class Begin(NamedTuple):
    """To the harvest: the block to begin with, and where to end."""

    epoch: int
    block: int
    epochs: int


class Free(NamedTuple):
    """To the harvest: the trainer has read a block, whose memory may be filled again."""


class Filled(NamedTuple):
    """From the harvest: the next block is complete."""

    slot: int
    rows: int
