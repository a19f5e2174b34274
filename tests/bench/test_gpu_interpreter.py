"""A whole run of `bench gpu` with the Triton kernels in the interpreter, in another process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")

KERNELS = {
    "linear_topk", "sparse_decode", "gather_dot", "decode_error", "latent_grads",
    "topk_autoencode", "mutual_topk", "pairs_above",
}  # fmt: skip
SCRIPT = """
import sys
from pathlib import Path

import torch
from twinsae.bench.clock import CpuClock
from twinsae.bench.gpu.plan import Plan
from twinsae.bench.gpu.run import Run
from twinsae.bench.problem import Shape

toy = Shape(3, 8, 20, 3)
plan = Plan(
    dtype=torch.float16, minutes=4.0, backend="triton", compiler="eager",
    shapes=[toy], compiled=0, match=(20, 8), square=16, rounds=1, odd=toy, real=[toy],
    big_bytes=1 << 60, other_dtypes=[],
)
Run(plan, CpuClock(), Path(sys.argv[1]), print).go()
"""


@pytest.mark.slow
def test_triton_kernels_pass_and_are_timed(tmp_path: Path) -> None:
    file = tmp_path / "gpu.json"
    command = [sys.executable, "-c", SCRIPT, str(file)]
    environment = os.environ | {
        "TRITON_INTERPRET": "1",
        "XDG_CACHE_HOME": str(tmp_path),
        "OMP_NUM_THREADS": "1",
    }
    subprocess.run(command, check=True, env=environment)
    found = json.loads(file.read_text())
    assert found["refused"] == []
    assert found["finished"]
    assert {check["kernel"] for check in found["checks"]} == KERNELS
    # A match is always float32. `make test-triton` tests all kernels in both dtypes.
    assert {check["dtype"] for check in found["checks"]} == {"float16", "float32"}
    ours = {timing["task"]["job"] for timing in found["timings"] if timing["way"] == "twinsae"}
    assert ours == {"encode", "decode", "autoencode", "grads", "step"}
    assert found["matches"][0]["way"] == "twinsae"
