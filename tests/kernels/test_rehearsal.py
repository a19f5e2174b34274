"""Rehearsals: launches go through Triton's real compiler for an H100, with no GPU here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from twinsae.kernels.backends import interpreting

if interpreting():
    pytest.skip("the interpreter's functions cannot be compiled", allow_module_level=True)

from twinsae.kernels import cache_keys
from twinsae.kernels.decode import sparse_decode
from twinsae.kernels.rehearsal import Rehearsal, check_grid, rehearsing
from twinsae.kernels.specs import compile_one, read_spec

HERE = Path(__file__).parent
# One of each contract, so that most kernels are launched: the whole set takes minutes.
FEW = (
    "test_topk_contract.py::test_half_precision_is_ranked_in_float32[triton-dtype0]",
    "test_mutual_contract.py::test_other_dtypes[triton-dtype1]",
    "test_pairs_contract.py::test_the_comparison_is_made_in_float64[triton]",
    "test_error_contract.py::test_an_empty_place_touches_nothing[triton]",
    "test_grads_contract.py::test_out_accumulates[triton]",
)


def run(cache: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *words], capture_output=True, text=True, check=False, cwd=HERE,
        env=os.environ | {"TRITON_CACHE_DIR": str(cache), "PYTHONSAFEPATH": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.aot
def test_a_fresh_process_finds_all_that_a_rehearsal_compiled(tmp_path: Path) -> None:
    cache, specs = tmp_path / "cache", tmp_path / "specs"
    pytest_options = "-p", "no:cacheprovider", "--device", "rehearsal", "--specs", str(specs)
    told = run(cache, "pytest", *pytest_options, *(str(HERE / name) for name in FEW))
    assert f"{len(FEW)} passed" in told
    found = [read_spec(line) for line in specs.read_text().splitlines()]
    assert len({spec.kernel for spec in found}) >= 8
    assert {spec.arch for spec in found} == {90}
    told = run(cache, "twinsae.kernels.specs", str(specs))
    assert told == f"{len(found)} of {len(found)} kernels were in the cache\n"


def test_the_keys_of_every_kernel_are_settled() -> None:
    room = Path(cache_keys.__file__).parent
    files = [path.relative_to(room) for path in room.glob("*/**/*.py")]
    with_kernels = [path for path in files if "\n@triton.jit" in (room / path).read_text()]
    modules = {".".join(path.with_suffix("").parts) for path in with_kernels}
    assert modules == set(cache_keys.MODULES)


@pytest.fixture
def rehearsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rehearsal:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    values, indices = torch.tensor([[2.0], [3.0]]), torch.tensor([[1], [-1]])
    weight = torch.tensor([[1.0, 1.0], [3.0, 4.0]])
    with rehearsing() as found:
        for dtype in (torch.float32, torch.bfloat16, torch.bfloat16):
            inputs = values.to(dtype), indices, weight.to(dtype)
            decoded = sparse_decode(*inputs, backend="triton")
            assert decoded.tolist() == [[6.0, 8.0], [0.0, 0.0]]
    return found


def test_launches_give_right_results_and_are_compiled_once(rehearsed: Rehearsal) -> None:
    assert rehearsed.launches == {"decode_rows": 3}
    assert rehearsed.compiled == {"decode_rows": 2}
    assert [spec.signature["weight_ptr"] for spec in rehearsed.specs] == ["*fp32", "*bf16"]
    assert [compile_one(spec) for spec in rehearsed.specs] == [(True, "")] * 2


def test_a_kernel_that_does_not_compile_is_named(rehearsed: Rehearsal) -> None:
    spec = rehearsed.specs[0]
    spec.signature["weight_ptr"] = "i32"
    hit, line = compile_one(spec)
    assert not hit
    assert line.startswith("twinsae.kernels.decode.triton.decode_rows: CompilationError: ")


@pytest.mark.parametrize("grid", [(0,), (2**31,), (1, 65_536), (1, 1, 65_536)])
def test_grids_that_cuda_cannot_launch_are_refused(grid: tuple[int, ...]) -> None:
    check_grid("kernel", (2**31 - 1, 65_535, 65_535))
    with pytest.raises(ValueError, match="kernel: no grid of CUDA"):
        check_grid("kernel", grid)


def test_triton_is_as_it_was_after_a_rehearsal(rehearsed: Rehearsal) -> None:
    assert rehearsed.launches
    with pytest.raises(ValueError, match="expected cuda tensors, got cpu"):
        sparse_decode(
            torch.ones(1, 1), torch.zeros(1, 1, dtype=torch.int64), torch.ones(1, 1),
            backend="triton",
        )  # fmt: skip
