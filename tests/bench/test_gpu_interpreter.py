"""A whole `bench gpu` of the Triton kernels in Triton's interpreter, a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")

SCRIPT = """
import sys
from pathlib import Path

import torch
from twinsae.bench.gpu.clock import CpuClock
from twinsae.bench.gpu.plan import Plan
from twinsae.bench.gpu.run import Run
from twinsae.bench.inputs import Shape

toy = Shape(3, 8, 20, 3)
plan = Plan(
    dtype=getattr(torch, sys.argv[1]), minutes=4.0, backend="triton", compiler="eager",
    shapes=[toy], compiled=0, match=(20, 8), square=16, rounds=1, odd=toy, real=[toy],
    big_bytes=1 << 60, other_dtypes=[],
)
Run(plan, CpuClock(), Path(sys.argv[2]), print).go()
"""


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_triton_kernels_pass_and_are_timed(dtype: str, tmp_path: Path) -> None:
    file = tmp_path / "gpu.json"
    command = [sys.executable, "-c", SCRIPT, dtype, str(file)]
    subprocess.run(command, check=True, env={**os.environ, "TRITON_INTERPRET": "1"})
    found = json.loads(file.read_text())
    assert found["refused"] == []
    assert found["finished"]
    assert len(found["checks"]) == 22 + 5 * (dtype == "float16")
    ours = {timing["op"] for timing in found["timings"] if timing["variant"] == "twinsae"}
    assert ours == {"encode", "decode", "autoencode", "grads", "step"}
    assert found["matches"][0]["variant"] == "twinsae"
