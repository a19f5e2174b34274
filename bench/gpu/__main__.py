"""Runs one stage: `python -m twinsae.bench.gpu STAGE OUT [--rehearse]`, as `parent.py` calls it."""

import sys
from importlib import import_module
from pathlib import Path

import torch

from .records import STEPS
from .setting import gpu_setting, toy_setting
from .steps import Steps


def main(stage: str, out: str, *options: str) -> None:
    """Run the steps of a stage that have not begun yet."""
    setting = toy_setting() if "--rehearse" in options else gpu_setting()
    steps = Steps(stage, Path(out) / STEPS, setting.clock)
    with torch.no_grad():
        import_module(f"{__package__}.{stage}").run(setting, steps)


if __name__ == "__main__":
    main(*sys.argv[1:])
