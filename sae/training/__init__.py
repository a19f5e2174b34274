"""Training: many SAEs on one stream of activations, resumable to the same bits."""

from .jobs import Job
from .source import OneStore, Source
from .start import Start, open_start
from .train import train, train_many
from .trainer import StoppedError

__all__ = [
    "Job",
    "OneStore",
    "Source",
    "Start",
    "StoppedError",
    "open_start",
    "train",
    "train_many",
]
