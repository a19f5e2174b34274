"""Training: many SAEs on one stream of activations, resumable to the same bits."""

from .jobs import Job
from .start import Start, open_start
from .train import train, train_many

__all__ = ["Job", "Start", "open_start", "train", "train_many"]
