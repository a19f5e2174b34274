"""The choice of a backend: what `auto` takes, and that nothing falls back silently.

No MPS device, no AMD GPU and no old GPU is here: what torch says of these is made up.
"""

import importlib.util
import warnings
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import get_args

import pytest
import torch
from twinsae.kernels import backends, extension
from twinsae.kernels.autoencode import ops as autoencode
from twinsae.kernels.backends import Backend, resolve_backend
from twinsae.kernels.decode import ops as decode
from twinsae.kernels.grads import ops as grads
from twinsae.kernels.topk import linear_topk
from twinsae.kernels.topk import ops as topk


@pytest.fixture(autouse=True)
def nothing_told_yet() -> Iterator[None]:
    yield
    for remembered in (backends._warn_once, backends._gpu_absence):
        remembered.cache_clear()


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
        ("linear_topk", "meta", torch.float32, "reference"),
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


def test_without_the_extension_torch_serves_and_says_so_once(monkeypatch) -> None:
    monkeypatch.setattr(extension, "MISSING", "No module named '_native'")
    x, weight = torch.tensor([[1.0, 2.0, 4.0]]), torch.eye(3)
    with pytest.warns(UserWarning, match=r"the C\+\+ extension is missing .No .* wheel") as told:
        found = [linear_topk(x, weight, None, k).indices.tolist() for k in (2, 1)]
    assert found == [[[2, 1]], [[2]]]
    assert [warning.filename for warning in told] == [__file__]
    with pytest.raises(ValueError, match=r"'native' cannot serve linear_topk: the C\+\+ ext"):
        linear_topk(x, weight, None, 2, backend="native")


@pytest.mark.filterwarnings("error")
def test_where_torch_is_chosen_anyway_nothing_is_said(monkeypatch) -> None:
    monkeypatch.setattr(extension, "MISSING", "No module named '_native'")
    assert resolve_backend("linear_topk", "reference", stand_in("cpu")) == "reference"
    assert resolve_backend("linear_topk", "auto", stand_in("cpu", torch.float64)) == "reference"


def test_without_the_extension_a_call_still_compiles_as_one_graph(monkeypatch) -> None:
    monkeypatch.setattr(extension, "MISSING", "No module named '_native'")

    def best(x: torch.Tensor) -> torch.Tensor:
        return linear_topk(x, torch.eye(3), None, 1).indices

    compiled = torch.compile(best, fullgraph=True, backend="eager")
    assert compiled(torch.tensor([[1.0, 3.0, 2.0]])).tolist() == [[1]]


def test_an_mps_tensor_is_served_by_torch_with_one_line() -> None:
    tensor = stand_in("mps")
    with pytest.warns(UserWarning, match="there are no kernels for mps tensors") as told:
        chosen = [resolve_backend("linear_topk", "auto", tensor) for _ in range(2)]
    assert chosen == ["reference"] * 2
    assert len(told) == 1
    with pytest.raises(ValueError, match="expected cpu tensors, got mps"):
        resolve_backend("linear_topk", "native", tensor)


def test_the_interpreter_without_triton_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr(backends, "find_spec", lambda _: None)
    with pytest.raises(
        ValueError,
        match=r"^backend: 'triton' cannot serve linear_topk: the package triton is not installed: "
        r"pip install triton$",
    ):
        resolve_backend("linear_topk", "triton", torch.ones(1, 1))


GPUS = [
    ({}, (7, 5), "expected a GPU of compute capability 8.0 or more, got 7.5"),
    ({"hip": "6.4"}, (9, 4), "expected an NVIDIA GPU, got an AMD one"),
    ({"triton": None}, (9, 0), "the package triton is not installed: pip install triton"),
]


@pytest.mark.parametrize(("lacks", "capability", "reason"), GPUS)
def test_a_gpu_that_triton_cannot_serve_is_served_by_torch(
    monkeypatch, lacks, capability, reason
) -> None:
    described_gpu(monkeypatch, lacks, capability)
    tensor = stand_in("cuda:0")
    with pytest.warns(UserWarning, match=reason) as told:
        assert resolve_backend("linear_topk", "auto", tensor) == "reference"
    assert len(told) == 1
    with pytest.raises(ValueError, match=f"'triton' cannot serve linear_topk: {reason}"):
        resolve_backend("linear_topk", "triton", tensor)


def test_a_gpu_that_triton_can_serve_is_served_by_it(monkeypatch) -> None:
    described_gpu(monkeypatch, {}, (8, 0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert resolve_backend("linear_topk", "auto", stand_in("cuda:0")) == "triton"


def described_gpu(monkeypatch, lacks: dict[str, object], capability: tuple[int, int]) -> None:
    found = None if "triton" in lacks else importlib.util.find_spec("json")
    monkeypatch.setattr(backends, "find_spec", lambda _: found)
    monkeypatch.setattr(torch.version, "hip", lacks.get("hip"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)


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
