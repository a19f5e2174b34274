"""The suite for pytest-benchmark: one short run of it, and what its checks refuse."""

import json
import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import torch
from twinsae.bench.problem import Problem, Shape
from twinsae.bench.refuse import WrongResultError

ROOT = Path(__file__).parents[2]
FILE = ROOT / "bench" / "suite" / "test_kernels.py"
TOY = Shape(9, 8, 300, 3)


def load() -> ModuleType:
    spec = spec_from_file_location("suite", FILE)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    module.PRICE = 2.0  # at least a few of the pairs reach it
    return module


SUITE = load()


@pytest.fixture
def problem() -> Problem:
    with torch.no_grad():
        return SUITE.problem_of(TOY, "cpu")


@pytest.mark.parametrize("backend", ["reference", "native"])
@pytest.mark.parametrize("kernel", SUITE.CALLS)
def test_right_results_are_timed(kernel: str, backend: str, problem: Problem) -> None:
    SUITE.refuse_wrong(kernel, problem, SUITE.CALLS[kernel](problem, backend))


def spoil(found: object, name: str) -> object:
    if name == "cols":  # the last pair is missing
        return found._replace(rows=found.rows[:-1], cols=found.cols[:-1])
    if name == "overflow":
        return found._replace(overflow=torch.tensor(1))
    wrong = (found[0] if isinstance(found, list) else getattr(found, name)).clone()
    wrong[-1] += 1
    return [wrong] if isinstance(found, list) else found._replace(**{name: wrong})


@pytest.mark.parametrize(
    ("kernel", "name"),
    [
        ("linear_topk", "values"), ("linear_topk", "indices"), ("mutual_topk", "row_values"),
        ("mutual_topk", "col_indices"), ("pairs_above", "cols"), ("pairs_above", "overflow"),
        ("sparse_decode", ""), ("latent_grads", "dW_enc"), ("topk_autoencode", "recon"),
    ],
)  # fmt: skip
def test_wrong_results_are_not_timed(kernel: str, name: str, problem: Problem) -> None:
    found = SUITE.CALLS[kernel](problem, "native")
    with pytest.raises(WrongResultError):
        SUITE.refuse_wrong(kernel, problem, spoil(found, name))


def test_pytest_benchmark_runs_it(tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    command = [
        sys.executable, "-m", "pytest", str(FILE.parents[1]), "--benchmark-only", "-q",
        "-k", "native and 512x512x8192x32 and (linear or sparse)", "-p", "no:cacheprovider",
        "--benchmark-min-rounds=1", "--benchmark-max-time=0.01", f"--benchmark-json={file}",
    ]  # fmt: skip
    # pytest-benchmark measures nothing in a worker of pytest-xdist, and this may be one.
    env = {name: value for name, value in os.environ.items() if "XDIST" not in name}
    subprocess.run(command, check=True, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL)
    runs = json.loads(file.read_text())["benchmarks"]
    encode, decode = sorted(runs, key=lambda run: run["name"])
    assert encode["name"] == "test_speed[linear_topk-native-512x512x8192x32]"
    assert decode["name"] == "test_speed[sparse_decode-native-512x512x8192x32]"
    assert "gflops" not in decode["extra_info"]
    info, median = encode["extra_info"], encode["stats"]["median"]
    assert [info[name] for name in "NDLk"] == [512, 512, 8192, 32]
    assert info["threads"] >= 1
    assert info["tokens_per_second"] == pytest.approx(512 / median)
    assert info["gflops"] == pytest.approx(2 * 512 * 512 * 8192 / median / 1e9)
