"""A stage of `bench gpu` with the Triton kernels in the interpreter, in another process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from twinsae.bench.gpu.records import STEPS, read, results, unfinished

pytest.importorskip("triton")


@pytest.mark.slow
def test_triton_kernels_pass_and_are_timed(tmp_path: Path) -> None:
    file = tmp_path / STEPS
    file.touch()
    own = {"TRITON_INTERPRET": "1", "XDG_CACHE_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "twinsae.bench.gpu", "parts", str(tmp_path), "--rehearse"]
    subprocess.run(command, check=True, env=os.environ | own, stdout=subprocess.DEVNULL)
    records = read(file)
    assert unfinished(records) == []
    found = results(records)
    assert [r for r in found.values() if "problem" in r] == []
    assert all(r["ms"] > 0 for r in found.values())
    assert ("parts", "D 16 32x256x64 warps 4 stages 1") in found
