"""Training: many SAEs on one stream of activations, resumable to the same bits."""

from .held_out import HeldOut
from .jobs import Job
from .ranks import LostProcessError, Ranks, open_ranks
from .shared_batches import share_batches
from .start import Start, open_start
from .train import train, train_many
from .trainer import StoppedError

__all__ = [
    "HeldOut",
    "Job",
    "LostProcessError",
    "Ranks",
    "Start",
    "StoppedError",
    "open_ranks",
    "open_start",
    "share_batches",
    "train",
    "train_many",
]
