"""The choice of a backend: what `auto` takes, and that nothing falls back silently."""

from types import ModuleType, SimpleNamespace
from typing import get_args

import pytest
import torch
from twinsae.kernels.autoencode import ops as autoencode
from twinsae.kernels.backends import Backend, resolve_backend
from twinsae.kernels.decode import ops as decode
from twinsae.kernels.grads import ops as grads
from twinsae.kernels.topk import linear_topk
from twinsae.kernels.topk import ops as topk


def stand_in(device: str, dtype: torch.dtype = torch.float32) -> SimpleNamespace:
    return SimpleNamespace(device=torch.device(device), dtype=dtype)


@pytest.mark.parametrize(
    ("op", "device", "dtype", "chosen"),
    [
        ("linear_topk", "cpu", torch.float32, "native"),
        ("linear_topk", "cpu", torch.bfloat16, "native"),
        ("linear_topk", "cpu", torch.float64, "reference"),
        ("linear_topk", "cuda", torch.float32, "triton"),
        ("linear_topk", "cuda", torch.float64, "reference"),
        ("mutual_topk", "cuda", torch.float32, "triton"),
        ("linear_topk", "mps", torch.float32, "reference"),
        ("mutual_topk", "cpu", torch.float16, "native"),
        ("pairs_above", "cpu", torch.float32, "native"),
        ("sparse_decode", "cpu", torch.float32, "native"),
        ("gather_dot", "cuda", torch.bfloat16, "triton"),
        ("decode_error", "cpu", torch.float16, "native"),
        ("decode_error", "cpu", torch.float64, "reference"),
        ("latent_grads", "cpu", torch.float32, "native"),
        ("latent_grads", "cpu", torch.float64, "reference"),
        ("topk_autoencode", "cpu", torch.bfloat16, "native"),
        ("topk_autoencode", "cuda", torch.float32, "triton"),
    ],
)
def test_auto_goes_by_device_and_dtype(op, device, dtype, chosen) -> None:
    assert resolve_backend(op, "auto", stand_in(device, dtype)) == chosen


@pytest.mark.parametrize(
    ("op", "backend", "device", "dtype", "reason"),
    [
        ("mutual_topk", "triton", "cuda", torch.float64, "float64 is served by the reference"),
        ("linear_topk", "triton", "cpu", torch.float32, "expected cuda tensors, got cpu"),
        ("linear_topk", "native", "cuda", torch.float32, "expected cpu tensors, got cuda"),
        ("linear_topk", "native", "cpu", torch.float64, "float64 is served by the reference"),
        ("sparse_decode", "fastest", "cpu", torch.float32, "expected one of auto, reference"),
    ],
)
def test_a_request_that_cannot_be_served_raises(op, backend, device, dtype, reason) -> None:
    with pytest.raises(ValueError, match=f"backend: .*{reason}"):
        resolve_backend(op, backend, stand_in(device, dtype))


@pytest.mark.parametrize("folder", [topk, decode, grads, autoencode])
def test_every_backend_has_the_module_of_its_name(folder: ModuleType) -> None:
    room = folder.__name__.removesuffix(".ops")
    for backend in get_args(Backend):
        if backend != "auto":
            assert folder.implementation(backend).__name__ == f"{room}.{backend}"
    with pytest.raises(AssertionError, match="fastest"):
        folder.implementation("fastest")


def test_the_interpreter_takes_cpu_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert resolve_backend("linear_topk", "triton", stand_in("cpu")) == "triton"
    assert resolve_backend("linear_topk", "auto", stand_in("cpu")) == "native"
    with pytest.raises(ValueError, match="expected cpu tensors, got cuda"):
        resolve_backend("linear_topk", "triton", stand_in("cuda"))


def test_the_public_function_refuses_too() -> None:
    x = torch.ones(2, 3)
    with pytest.raises(ValueError, match="backend: 'triton' cannot serve linear_topk"):
        linear_topk(x, x, None, 1, backend="triton")
