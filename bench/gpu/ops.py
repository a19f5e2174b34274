"""The names of the jobs that a run checks and times; this file does not import torch."""

from typing import Literal

Op = Literal["encode", "decode", "autoencode", "grads", "step", "match"]

OPS: tuple[Op, ...] = ("encode", "decode", "autoencode", "grads", "step", "match")
