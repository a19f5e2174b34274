"""Stage env: says what the machine is, and measures what it can do at most."""

import platform
import subprocess
from functools import partial
from shutil import which

import torch

from ..machine import PACKAGES, versions
from .records import Record
from .setting import Setting
from .steps import Steps
from .timing import rate, timed

GPU_PACKAGES = (*PACKAGES, "triton", "pytest", "rich", "flexsae")
SMI = ("nvidia-smi", "--query-gpu=driver_version,clocks.sm,clocks.mem,power.draw,temperature.gpu")
SMI_SECONDS = 10


def run(setting: Setting, steps: Steps) -> None:
    """Run the stage."""
    steps.run("versions", partial(describe, setting))
    steps.run("copy", partial(copy, setting))
    side = setting.square
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}
    for name, dtype in half.items():
        steps.run(f"{name} {side}^3", partial(square, setting, dtype))
    steps.run(f"tf32 {side}^3", partial(tf32, setting))


def describe(setting: Setting) -> Record:
    """Return names and versions."""
    facts = setting.clock.describe() | {
        "python": platform.python_version(),
        "system": platform.platform(),
        "versions": versions(GPU_PACKAGES),
        "rehearsal": setting.rehearsal,
    }
    if which(SMI[0]):
        asked = [*SMI, "--format=csv,noheader"]
        told = subprocess.run(asked, capture_output=True, text=True, timeout=SMI_SECONDS)
        facts["nvidia-smi"] = told.stdout.strip()
    return facts


def copy(setting: Setting) -> Record:
    """Time a copy; each byte is read and written."""
    source = torch.zeros(setting.copied, dtype=torch.uint8, device=setting.device)
    target = torch.empty_like(source)
    facts = timed(setting, lambda: target.copy_(source))
    return facts | {"TB_s": round(2 * setting.copied / max(facts["ms"], 1e-9) / 1e9, 3)}


def square(setting: Setting, dtype: torch.dtype) -> Record:
    """Time a square product by torch."""
    side = setting.square
    a, b = (torch.randn(side, side, device=setting.device).to(dtype) for _ in range(2))
    return rate(2 * side**3, timed(setting, lambda: torch.mm(a, b)))


def tf32(setting: Setting) -> Record:
    """Time a square product of float32 numbers by tensor cores."""
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    matmul.fp32_precision = "tf32"
    try:
        return square(setting, torch.float32)
    finally:
        matmul.fp32_precision = before
