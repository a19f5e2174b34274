"""The suite for pytest-benchmark: one short run of it; test_gpu_gate.py has its checks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE = ROOT / "bench" / "suite" / "test_kernels.py"


def test_pytest_benchmark_runs_it(tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    command = [
        sys.executable, "-m", "pytest", str(FILE.parents[1]), "--benchmark-only", "-q",
        "-k", "native and 512x512x8192x32 and (speed[encode or decode)", "-p", "no:cacheprovider",
        "--benchmark-min-rounds=1", "--benchmark-max-time=0.01", f"--benchmark-json={file}",
    ]  # fmt: skip
    # pytest-benchmark measures nothing in a worker of pytest-xdist, and this may be one.
    env = {name: value for name, value in os.environ.items() if "XDIST" not in name}
    subprocess.run(command, check=True, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL)
    runs = json.loads(file.read_text())["benchmarks"]
    decode, encode = sorted(runs, key=lambda run: run["name"])
    assert encode["name"] == "test_speed[encode-native-512x512x8192x32]"
    assert decode["name"] == "test_speed[decode-native-512x512x8192x32]"
    assert "gflops" not in decode["extra_info"]
    info, median = encode["extra_info"], encode["stats"]["median"]
    assert [info[name] for name in "NDLk"] == [512, 512, 8192, 32]
    assert info["threads"] >= 1
    assert info["tokens_per_second"] == pytest.approx(512 / median)
    assert info["gflops"] == pytest.approx(2 * 512 * 512 * 8192 / median / 1e9)
