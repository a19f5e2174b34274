"""What a run may check and time, by name; the command line shows them without torch."""

from typing import Literal

Op = Literal["encode", "decode", "autoencode", "grads", "step", "match"]

OPS: tuple[Op, ...] = ("encode", "decode", "autoencode", "grads", "step", "match")
