"""Training: many SAEs on one stream of activations, resumable to the same bits."""

from .held_out import HeldOut
from .jobs import Job
from .start import Start, open_start
from .train import train, train_many
from .trainer import StoppedError

__all__ = ["HeldOut", "Job", "Start", "StoppedError", "open_start", "train", "train_many"]
