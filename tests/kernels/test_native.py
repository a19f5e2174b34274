"""Calls of the C++ functions: wrong ones raise ValueError; the instruction set is chosen."""

import platform
import threading

import numpy as np
import pytest
import torch
from twinsae.kernels import _native
from twinsae.kernels.topk import linear_above, linear_topk


def floats(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def ints(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.int64)


READ_ONLY = floats(3, 1, 2)
READ_ONLY.flags.writeable = False
MISALIGNED = np.frombuffer(bytearray(3 * 4 * 4 + 1), np.uint8)[1:].view(np.float32).reshape(3, 4)
NOT_INPUTS = [
    ([[1.0]], "expected a numpy array of float32"),
    (np.ones((3, 4)), "expected a numpy array of float32"),
    (floats(4), "expected 2 dimensions, got 1"),
    (floats(4, 3).T, "expected a C-contiguous array"),
    (MISALIGNED, "expected aligned memory"),
    (None, "expected a numpy array"),
]


def linear_arguments() -> dict:
    return {
        "x": floats(3, 4), "weight": floats(10, 4), "panels": None, "bias": floats(10),
        "floor": floats(3), "mask": np.ones(10, bool), "threads": 2, "values": floats(3, 1, 2),
        "indices": ints(3, 1, 2), "num_latents": 10,
    }  # fmt: skip


@pytest.mark.parametrize(("wrong", "message"), NOT_INPUTS)
def test_linear_topk_refuses_what_is_no_matrix(wrong: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"x: {message}"):
        _native.linear_topk(**{**linear_arguments(), "x": wrong})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": floats(10, 5)}, r"weight: expected shape \(10, 4\), got \(10, 5\)"),
        ({"weight": None}, "weight, panels: expected one of them"),
        ({"panels": floats(1, 4, 32)}, "weight, panels: expected one of them"),
        ({"weight": None, "panels": floats(1, 4, 32)}, "mask: needs weight"),
        ({"weight": None, "mask": None, "panels": floats(1, 4, 16)}, "panels: expected shape"),
        ({"bias": floats(9)}, "bias: expected shape"),
        ({"floor": floats(4)}, "floor: expected shape"),
        ({"mask": np.ones(9, bool)}, "mask: expected shape"),
        ({"mask": np.ones(10, np.uint8)}, "mask: expected a numpy array of bool"),
        ({"threads": 0}, "threads: expected 1"),
        ({"threads": 100_000}, "threads: expected 1"),
        ({"values": floats(3, 0, 2)}, "number of groups"),
        ({"values": floats(3, 3, 2)}, "number of groups"),
        ({"values": floats(3, 1, 0)}, "k: expected"),
        ({"values": floats(3, 1, 11)}, "k: expected"),
        ({"values": floats(2, 1, 2)}, "values: expected shape"),
        ({"values": READ_ONLY}, "values: expected a writeable array"),
        ({"indices": ints(3, 2, 1)}, "indices: expected shape"),
        ({"indices": np.zeros((3, 1, 2), np.int32)}, "indices: expected a numpy array of int64"),
        ({"num_latents": 9}, "weight: expected shape"),
        ({"num_latents": -10}, "number of groups"),
        ({"num_latents": 2**40}, "fewer than 2\\^31 latents"),
    ],
)
def test_linear_topk_checks_every_argument(change: dict, message: str) -> None:
    _native.linear_topk(**linear_arguments())
    with pytest.raises(ValueError, match=message):
        _native.linear_topk(**{**linear_arguments(), **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"b": floats(6, 3)}, "b: expected shape"),
        ({"b": None}, "b, panels: expected one of them"),
        ({"b": None, "panels": floats(2, 4, 32)}, "panels: expected shape"),
        ({"col_values": floats(5, 0), "row_values": floats(3, 0)}, "m: expected 1"),
        ({"col_values": floats(5, 4)}, "m: expected 1"),
        ({"row_values": floats(3, 1)}, "row_values: expected shape"),
        ({"row_indices": ints(4, 2)}, "row_indices: expected shape"),
        ({"col_indices": ints(4, 2)}, "col_indices: expected shape"),
        ({"row_floor": floats(5)}, "row_floor: expected shape"),
        ({"col_floor": floats(3)}, "col_floor: expected shape"),
        ({"threads": -1}, "threads: expected 1"),
    ],
)
def test_mutual_topk_checks_every_argument(change: dict, message: str) -> None:
    arguments = {
        "a": floats(3, 4), "b": floats(5, 4), "panels": None, "row_floor": floats(3),
        "col_floor": floats(5), "threads": 1,
        "row_values": floats(3, 2), "row_indices": ints(3, 2), "col_values": floats(5, 2),
        "col_indices": ints(5, 2),
    }  # fmt: skip
    _native.mutual_topk(**arguments)
    with pytest.raises(ValueError, match=message):
        _native.mutual_topk(**{**arguments, **change})


def test_pack_panels_checks_every_argument() -> None:
    for panels in (floats(1, 4, 32), floats(2, 4, 16), floats(2, 4)):
        with pytest.raises(ValueError, match="panels: expected"):
            _native.pack_panels(floats(33, 4), 1, panels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": floats(3, 1)}, "values: expected shape"),
        ({"bias": floats(3)}, "bias: expected shape"),
        ({"out": floats(3, 3)}, "out: expected shape"),
        ({"indices": ints(3, 2) + 5}, "indices: expected -1 to 4, got 5"),
        ({"indices": ints(3, 2) - 2}, "indices: expected -1 to 4, got -2"),
        ({"indices": ints(2, 3).T}, "indices: expected a C-contiguous"),
        ({"weight": floats(0, 4)}, "indices: expected -1 to -1, got 0"),
        ({"threads": 0}, "threads: expected 1"),
    ],
)
def test_sparse_decode_checks_every_argument(change: dict, message: str) -> None:
    arguments = {
        "values": floats(3, 2), "indices": ints(3, 2), "row_offsets": None,
        "weight": floats(5, 4), "bias": floats(4), "threads": 1, "out": floats(3, 4),
    }  # fmt: skip
    _native.sparse_decode(**arguments)
    with pytest.raises(ValueError, match=message):
        _native.sparse_decode(**{**arguments, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": floats(2, 4)}, "rows: expected shape"),
        ({"rows": floats(3, 5)}, "rows: expected shape"),
        ({"out": floats(3, 3)}, "out: expected shape"),
        ({"indices": ints(3, 2) + 5}, "indices: expected -1 to 4, got 5"),
    ],
)
def test_gather_dot_checks_every_argument(change: dict, message: str) -> None:
    arguments = {
        "rows": floats(3, 4), "indices": ints(3, 2), "row_offsets": None,
        "weight": floats(5, 4), "threads": 1, "out": floats(3, 2),
    }  # fmt: skip
    _native.gather_dot(**arguments)
    with pytest.raises(ValueError, match=message):
        _native.gather_dot(**{**arguments, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": floats(2, 2)}, "values: expected shape"),
        ({"weight": floats(5, 3)}, "target: expected shape"),
        ({"bias": floats(5)}, "bias: expected shape"),
        ({"target": floats(2, 4)}, "target: expected shape"),
        ({"squares": floats(4)}, "squares: expected shape"),
        ({"g": floats(4, 4)}, "g: expected shape"),
        ({"d_values": floats(3, 3)}, "d_values: expected shape"),
        ({"indices": ints(3, 2) + 5}, "indices: expected -1 to 4, got 5"),
    ],
)
def test_decode_error_checks_every_argument(change: dict, message: str) -> None:
    arguments = {
        "values": floats(3, 2), "indices": ints(3, 2), "row_offsets": None,
        "weight": floats(5, 4), "bias": floats(4), "target": floats(3, 4), "scale": 1.0,
        "threads": 1, "squares": floats(3),
        "g": floats(3, 4), "d_values": floats(3, 2),
    }  # fmt: skip
    if "weight" in change:
        arguments["bias"] = None
    _native.decode_error(**arguments)
    with pytest.raises(ValueError, match=message):
        _native.decode_error(**{**arguments, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": None}, "dW_dec: needs values and g"),
        ({"x": None}, "dW_enc: needs d_values and x"),
        ({"dW_enc": None, "d_values": None}, "db_enc: needs d_values"),
        ({"values": floats(2, 2)}, "values: expected shape"),
        ({"d_values": floats(2, 2)}, "d_values: expected shape"),
        ({"x": floats(3, 5)}, "x: expected shape"),
        ({"g": floats(2, 4)}, "g: expected shape"),
        ({"dW_enc": floats(4, 4)}, "dW_enc: expected shape"),
        ({"db_enc": floats(4)}, "db_enc: expected shape"),
        ({"fired": ints(4)}, "fired: expected shape"),
        ({"num_latents": 4}, "dW_dec: expected shape"),
        ({"num_latents": -1}, "num_latents: expected 0 or more"),
        ({"num_latents": 2**40}, "num_latents: expected fewer than 2"),
        ({"indices": ints(3, 2) + 5}, "indices: expected -1 to 4, got 5"),
    ],
)
def test_latent_grads_checks_every_argument(change: dict, message: str) -> None:
    arguments = {
        "values": floats(3, 2), "d_values": floats(3, 2), "indices": ints(3, 2),
        "row_offsets": None, "x": floats(3, 4), "g": floats(3, 4), "accumulate": True,
        "threads": 1, "num_latents": 5,
        "dW_dec": floats(5, 4), "dW_enc": floats(5, 4), "db_enc": floats(5), "fired": ints(5),
    }  # fmt: skip
    _native.latent_grads(**arguments)
    with pytest.raises(ValueError, match=message):
        _native.latent_grads(**{**arguments, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": floats(4)}, "values: expected shape"),
        ({"values": floats(5, 1)}, "values: expected 1 dimensions"),
        ({"out": floats(2, 4)}, "out: expected shape"),
        ({"indices": ints(5) + 5}, "indices: expected -1 to 4, got 5"),
        ({"row_offsets": np.array([0, 2, 2, 4])}, "row_offsets: expected .* from 0 to 5"),
        ({"row_offsets": np.array([1, 2, 2, 5])}, "row_offsets: expected .* from 0 to 5"),
        ({"row_offsets": np.array([0, 3, 2, 5])}, "row_offsets: expected .* from 0 to 5"),
        ({"row_offsets": np.array([0, 9, -4, 5])}, "row_offsets: expected .* from 0 to 5"),
        ({"row_offsets": np.array([], np.int64)}, "row_offsets: expected .* from 0 to 5"),
    ],
)
def test_compressed_rows_are_checked(change: dict, message: str) -> None:
    arguments = {
        "values": floats(5), "indices": ints(5), "row_offsets": np.array([0, 2, 2, 5]),
        "weight": floats(5, 4), "bias": floats(4), "threads": 1, "out": floats(3, 4),
    }  # fmt: skip
    _native.sparse_decode(**arguments)
    with pytest.raises(ValueError, match=message):
        _native.sparse_decode(**{**arguments, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": floats(4, 4)}, "weight: expected shape"),
        ({"weight": floats(5, 3)}, "weight: expected shape"),
        ({"weight": None}, "weight, panels: expected one of them"),
        ({"panels": floats(1, 4, 32)}, "weight, panels: expected one of them"),
        ({"weight": None, "panels": floats(2, 4, 32)}, "panels: expected shape"),
        ({"bias": floats(4)}, "bias: expected shape"),
        ({"threshold": floats(4)}, "bias: expected shape|weight: expected shape"),
        ({"threads": 0}, "threads: expected 1"),
    ],
)
def test_linear_above_checks_every_argument(change: dict, message: str) -> None:
    arguments = {
        "x": floats(3, 4), "weight": floats(5, 4), "panels": None, "bias": floats(5),
        "threshold": floats(5), "threads": 1,
    }  # fmt: skip
    _native.linear_above(**arguments)
    with pytest.raises(ValueError, match=message):
        _native.linear_above(**{**arguments, **change})


def test_an_instruction_set_can_be_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINSAE_CPU_ISA", "")
    best = _native.isa()
    for name in ("portable", best):
        monkeypatch.setenv("TWINSAE_CPU_ISA", name)
        assert _native.isa() == name
    monkeypatch.setenv("TWINSAE_CPU_ISA", "mmx")
    arm = platform.machine() in ("aarch64", "arm64")
    best_first = "neon_dotprod, neon" if arm else "amx_int8, avx512_vnni, avx2_int16, avx512, avx2"
    # clang on x86-64 makes the last one alone.
    message = f"TWINSAE_CPU_ISA: expected ({best_first}, or )?portable, got mmx"
    with pytest.raises(ValueError, match=message):
        linear_topk(torch.ones(2, 3), torch.ones(4, 3), None, 1)


def test_the_gil_is_released_and_calls_may_overlap() -> None:
    x, weight = torch.rand(200, 64), torch.rand(5000, 64)
    alone = linear_topk(x, weight, None, 9).indices
    results = []
    workers = [
        threading.Thread(target=lambda: results.append(linear_topk(x, weight, None, 9).indices))
        for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 4
    assert all(torch.equal(alone, indices) for indices in results)


@pytest.mark.skipif(not _native.codes_planes(1), reason="no codes on this machine")
def test_many_scores_above_thresholds_are_scored_in_float32() -> None:
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(n, 600, generator=generator) for n in (40, 3000))
    few, many = (linear_above(x, weight, None, limit) for limit in (80.0, 0.0))
    assert int(few.stats.survivors) >= len(few.indices) > 0
    assert int(many.stats.survivors) == 0
    above = x.double() @ weight.double().T > 0
    assert abs(len(many.indices) - int(above.sum())) <= 2  # some may be within rounding of 0
