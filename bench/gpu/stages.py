"""Names the stages of a run in their order, and their limits; this file does not import torch."""

from typing import Literal, get_args

Stage = Literal[
    "env", "compile", "checks", "parts", "times", "match", "float32", "big", "inductor"
]  # fmt: skip
"""Each is a module of this folder with a function `run(setting, steps)`."""

STAGES: tuple[Stage, ...] = get_args(Stage)
MINUTES = 9.0
LIMITS: dict[Stage, float] = {
    "env": 25, "compile": 70, "checks": 70, "parts": 65, "times": 85,
    "match": 85, "float32": 40, "big": 40, "inductor": 50,
}  # fmt: skip
"""Seconds of each stage in a run of `MINUTES`; other runs have as large a share."""
