"""The backends of the contract suites, their inputs, and oracles that share no code with us."""

import platform
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from twinsae.kernels.backends import interpreting

ISAS = (
    ("neon_dotprod", "neon", "portable")
    if platform.machine() in ("aarch64", "arm64")
    else ("amx_int8", "avx512_vnni", "avx2_int16", "avx2", "portable")
)
NATIVE = ["native", *(f"native:{isa}" for isa in ISAS)]
REHEARSAL = pytest.StashKey[Any]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cpu_sizes: sizes above those of the CPU's chunks")
    config.addinivalue_line("markers", "gpu_plans: plans that a GPU has and the interpreter lacks")
    if config.getoption("--device") == "rehearsal":
        from twinsae.kernels.rehearsal import rehearsing

        stack = ExitStack()
        config.stash[REHEARSAL] = stack.enter_context(rehearsing())
        config.add_cleanup(stack.close)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    config = terminalreporter.config
    found = config.stash.get(REHEARSAL, None)
    if found is None:
        return
    launches, kernels = found.launches.total(), len(found.specs)
    new = found.compiled.total()
    terminalreporter.write_line(f"{launches} launches of {kernels} kernels, {new} compiled now")
    if config.getoption("--specs"):
        from twinsae.kernels.specs import write_specs

        write_specs(Path(config.getoption("--specs")), found.specs)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """On a GPU, and in its rehearsal, only contracts are tested: the other files are for a CPU."""
    other = collection_path.suffix == ".py" and not collection_path.stem.endswith("_contract")
    return True if other and config.getoption("--device") != "cpu" else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames and not _names_backends(metafunc.definition):
        device = metafunc.config.getoption("--device")
        metafunc.parametrize("backend", _backends(device), indirect=True)


def _names_backends(definition: pytest.Item) -> bool:
    return any(
        mark.args and "backend" in mark.args[0] for mark in definition.iter_markers("parametrize")
    )


def _backends(device: str) -> list[str]:
    if device == "cuda":
        return ["reference", "triton"]
    # Where Triton's kernels run in its interpreter, a process tests them and nothing else.
    return ["triton"] if device == "rehearsal" or interpreting() else ["reference", *NATIVE]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # Arguments are checked before a device or an instruction set is chosen. Threads mean nothing to
    # a GPU. Sizes that are large for a CPU take the interpreter minutes; its tiles are small, so
    # that smaller sizes have many of them.
    device = config.getoption("--device")
    slow = device == "rehearsal" or interpreting()
    items[:] = [
        item
        for item in items
        if not (item.name.startswith("test_wrong_") and re.search(r"\[native:", item.name))
        if not (item.name.startswith("test_wrong_") and device != "cpu")
        if not ("threads" in getattr(item, "fixturenames", ()) and device != "cpu")
        if not (slow and item.get_closest_marker("cpu_sizes"))
        if not (device == "cpu" and item.get_closest_marker("gpu_plans"))
    ]


@pytest.fixture
def device(request: pytest.FixtureRequest) -> torch.device:
    """Return where a contract's tensors are."""
    return torch.device("cuda" if request.config.getoption("--device") == "cuda" else "cpu")


@pytest.fixture
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a backend's name; the native one comes also with each instruction set forced.

    Triton keeps so few keys of so small groups that many rows are not proved and are done again.
    """
    name, _, variant = request.param.partition(":")
    if name == "triton":
        from twinsae.kernels.topk.triton import plan
        from twinsae.kernels.topk.triton.scheme import Scheme

        monkeypatch.setattr(plan, "choose_scheme", lambda *_: Scheme(group=16, kept=3))
    elif variant:
        _prepare_native(variant, monkeypatch)
    return name


def _prepare_native(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from twinsae.kernels import _native

    monkeypatch.setenv("TWINSAE_CPU_ISA", variant)
    try:
        _native.isa()
    except ValueError as refusal:
        pytest.skip(str(refusal))


@pytest.fixture(autouse=True)
def poisoned_memory(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let torch.empty give NaN and the largest integers, so that a test sees unwritten numbers."""
    # On a GPU, torch would refuse products of its own, which oracles make.
    on_gpu = request.config.getoption("--device") == "cuda"
    torch.use_deterministic_algorithms(True, warn_only=on_gpu)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def make(device: torch.device) -> SimpleNamespace:
    """Make a contract's tensors on its device; torch's own functions would make them on the CPU.

    `integers` have float32 dot products that are exact in any order. `indices` have duplicates and
    -1. `given` takes a numpy array. The others are torch's.
    """
    generator = np.random.default_rng(0)

    def integers(*shape: int, dtype: torch.dtype = torch.float32, most: int = 3) -> torch.Tensor:
        return given(generator.integers(-most, most + 1, shape)).to(dtype)

    def reals(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return given(generator.standard_normal(shape)).to(dtype)

    def indices(rows: int, k: int, latents: int) -> torch.Tensor:
        return given(np.random.default_rng(rows + k).integers(-1, latents, (rows, k)))

    def given(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(device)

    torchs = {
        name: partial(getattr(torch, name), device=device)
        for name in ("ones", "zeros", "full", "tensor", "arange")
    }
    return SimpleNamespace(
        device=device, integers=integers, reals=reals, indices=indices, given=given, **torchs
    )


def scores_of(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        scores = x.cpu().double().numpy() @ weight.cpu().double().numpy().T
        return scores if bias is None else scores + bias.cpu().double().numpy()


def topk_of(
    scores: np.ndarray, k: int, floor: np.ndarray | float, mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the k best of each row by a full sort: NaN first, then larger, then lower index."""
    values = np.zeros((len(scores), k))
    indices = np.full((len(scores), k), -1)
    floors = np.broadcast_to(floor, len(scores))
    for row, limit, out, names in zip(scores, floors, values, indices, strict=True):
        eligible = np.isnan(row) | (row > limit)
        if mask is not None:
            eligible &= mask
        where = np.flatnonzero(eligible)
        key = np.nan_to_num(row[where], nan=np.inf, posinf=np.inf, neginf=-np.inf)
        order = where[np.lexsort((where, -key, ~np.isnan(row[where])))][:k]
        out[: len(order)], names[: len(order)] = row[order], order
    return values, indices


@pytest.fixture
def oracle() -> SimpleNamespace:
    return SimpleNamespace(scores=scores_of, topk=topk_of)
