"""Stage inductor: torch's ops by torch.compile. It comes last, because compiling takes long."""

import torch

from .setting import Setting
from .steps import Steps
from .times import time_ways
from .ways import Way

SECONDS = 45.0  # the limit of one way


def run(setting: Setting, steps: Steps) -> None:
    """Run the stage."""

    def compiled(way: Way) -> Way:
        made = torch.compile(way.run, backend=setting.compiler, dynamic=False)
        return Way(f"torch.compile: {way.name}", made)

    def compilable(ways: list[Way]) -> list[Way]:
        return [compiled(way) for way in ways if way.compilable]

    time_ways(setting, steps, compilable, SECONDS)
