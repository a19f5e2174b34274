"""The backends of the contract suites, their inputs, and oracles that share no code with us."""

import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from twinsae.kernels import _native
from twinsae.kernels.backends import interpreting

NATIVE = [
    "native",
    *(f"native:{isa}" for isa in ("amx_int8", "avx512_vnni", "avx2_int16", "avx2", "portable")),
]
# In Triton's interpreter, a process tests the Triton kernels and nothing else.
BACKENDS = ["triton"] if interpreting() else ["reference", *NATIVE]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cpu_sizes: sizes above those of the CPU's chunks")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Arguments are checked before an instruction set is chosen. Sizes that are large for a CPU take
    # the interpreter minutes; its tiles are small, so that smaller sizes have many of them.
    items[:] = [
        item
        for item in items
        if not (item.name.startswith("test_wrong_") and re.search(r"\[native:", item.name))
        if not (interpreting() and item.get_closest_marker("cpu_sizes"))
    ]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a backend's name; the native one comes also with each instruction set forced.

    Triton keeps so few keys of so small groups that many rows are not proved and are done again.
    """
    name, _, variant = request.param.partition(":")
    _prepare(name, variant, monkeypatch)
    return name


def _prepare(name: str, variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "triton":
        from twinsae.kernels.topk.triton import plan
        from twinsae.kernels.topk.triton.scheme import Scheme

        monkeypatch.setattr(plan, "choose_scheme", lambda *_: Scheme(group=16, kept=3))
    elif variant:
        monkeypatch.setenv("TWINSAE_CPU_ISA", variant)
        try:
            _native.isa()
        except ValueError as refusal:
            pytest.skip(str(refusal))


@pytest.fixture(autouse=True)
def poisoned_memory() -> Iterator[None]:
    """Let torch.empty give NaN and the largest integers, so that a test sees unwritten numbers."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def make() -> SimpleNamespace:
    """Make inputs: `integers`, whose float32 dot products are exact in any order, and `reals`."""
    generator = np.random.default_rng(0)

    def integers(*shape: int, dtype: torch.dtype = torch.float32, most: int = 3) -> torch.Tensor:
        return torch.from_numpy(generator.integers(-most, most + 1, shape)).to(dtype)

    def reals(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.from_numpy(generator.standard_normal(shape)).to(dtype)

    return SimpleNamespace(integers=integers, reals=reals)


def scores_of(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        scores = x.double().numpy() @ weight.double().numpy().T
        return scores if bias is None else scores + bias.double().numpy()


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
