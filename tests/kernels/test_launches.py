"""What the Triton backend launches on a GPU, and the memory that it takes, shown without one.

Launches of Triton kernels are recorded and not made. Tensors are small CPU tensors, or tensors
without memory (torch's device "meta") of the sizes of real calls.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary
from twinsae.kernels.backends import interpreting

if interpreting():
    pytest.skip("the interpreter launches nothing", allow_module_level=True)

from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import CUDABackend
from triton.runtime.jit import JITFunction, create_function_from_signature
from twinsae.kernels import launch
from twinsae.kernels.aot_builds import builds, functions
from twinsae.kernels.aot_types import Build
from twinsae.kernels.autoencode import triton as autoencode
from twinsae.kernels.autoencode.interface import AutoencodeInputs
from twinsae.kernels.decode import triton as decode
from twinsae.kernels.decode.interface import SparseDecodeInputs
from twinsae.kernels.topk import triton as topk
from twinsae.kernels.topk.interface import LinearTopKInputs, MutualTopKInputs
from twinsae.kernels.topk.triton import blocks, dense, linear, mutual, plan, tiles
from twinsae.kernels.topk.triton.bound import rough
from twinsae.kernels.topk.triton.rescore import Scores

MIB = 1 << 20
MOST_VARIANTS = 20  # of a kernel, that are looked at: that takes longer than counting
# These launch nothing on a GPU.
FREE = {
    "empty", "new_empty", "empty_like", "empty_strided", "view", "_unsafe_view", "slice", "select",
    "unbind", "squeeze", "unsqueeze", "t", "transpose", "expand", "as_strided", "detach", "alias",
}  # fmt: skip
SPECIALISED = CUDABackend(GPUTarget("cuda", 90, 32))


def variant(kernel: JITFunction, *given: object, **constants: object) -> dict[str, tuple]:
    """Return the types and the facts that the JIT compiles a kernel for, by argument."""
    bind = create_function_from_signature(kernel.signature, kernel.params, SPECIALISED)
    _, facts, _ = bind(*given, **constants)
    return dict(zip(kernel.arg_names, facts, strict=True))


class Launches:
    """Launches of Triton kernels: how often each, and in which variants."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.variants: dict[str, set[str]] = {}
        self.facts: list[tuple[str, dict[str, tuple]]] = []

    def record(self, kernel: JITFunction, *given: object, grid: object, warmup: bool, **named):
        assert grid
        assert not warmup
        name = kernel.fn.__name__
        self.counts[name] += 1
        options = {key: named.pop(key) for key in ("num_warps", "num_stages") if key in named}
        if self.counts[name] <= MOST_VARIANTS:
            facts = variant(kernel, *given, **named)
            self.facts.append((name, facts))
            self.variants.setdefault(name, set()).add(f"{facts} {options}")


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> Launches:
    found = Launches()
    monkeypatch.setattr(JITFunction, "run", lambda *given, **named: found.record(*given, **named))
    monkeypatch.setattr(tiles, "capability", lambda _: 90)
    return found


@pytest.fixture(autouse=True)
def poisoned_proofs() -> Iterator[None]:
    """Let torch.empty give True, so that rows count as proved."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


class TorchLaunches(TorchDispatchMode):
    """Counts torch's operations that launch something or wait for the GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        space, name = func._schema.name.split("::")
        if space == "aten" and name not in FREE:
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))


def encode(
    rows: int, latents: int, dim: int, k: int, dtype: torch.dtype, device: str = "cpu",
    stacks: int = 1,
) -> LinearTopKInputs:  # fmt: skip
    def full(*shape: int) -> torch.Tensor:
        return torch.ones(shape, dtype=dtype, device=device)

    weight = full(stacks * latents, dim)
    packed = tuple(rough(weight)) if dtype == torch.float32 else ()
    floor = torch.zeros(rows, device=device)
    return LinearTopKInputs(
        full(rows, dim), weight, full(stacks * latents), packed, k, floor, None, stacks
    )


@pytest.mark.parametrize(
    ("dtype", "kernels"),
    [(torch.bfloat16, {"scan_groups": 1, "choose_best": 1, "rank_chosen": 1}),
     (torch.float32, {"round_rows": 1, "scan_groups": 1, "choose_best": 1, "order_chosen": 1,
                      "rescore": 2, "rank_chosen": 1})],
)  # fmt: skip
def test_an_encode_takes_few_launches_and_waits_once(launches: Launches, dtype, kernels) -> None:
    given = encode(64, 32_768, 8, 32, dtype)
    with TorchLaunches() as ours:
        topk.linear_topk(given)
    assert launches.counts == kernels
    # Two counts, and the wait for one of them.
    assert ours.counts == {"zeros": 2, "_local_scalar_dense": 1}


def test_an_autoencoder_takes_few_launches(launches: Launches) -> None:
    x, weight, bias, *_ = encode(64, 32_768, 8, 32, torch.bfloat16)
    with TorchLaunches() as ours:
        autoencode.topk_autoencode(AutoencodeInputs(x, weight, bias, [], weight, None, 32))
    assert launches.counts == {"scan_groups": 1, "choose_best": 1, "finish_rows": 1}
    assert ours.counts == {"zeros": 3, "mean": 1, "_local_scalar_dense": 1}


def test_a_decode_takes_few_launches(launches: Launches) -> None:
    values, weight = (torch.ones(n, 8, dtype=torch.bfloat16) for n in (9, 50))
    indices = torch.zeros(9, 8, dtype=torch.int64)
    with TorchLaunches() as ours:
        decode.sparse_decode(SparseDecodeInputs(values, indices, weight, None))
    assert launches.counts == {"decode_rows": 1}
    assert ours.counts == {"aminmax": 1, "stack": 1}  # and on a GPU a copy to the CPU


def counted(call: Callable[[int], object], launches: Launches, name: str) -> int:
    """Return how many variants of a kernel calls with these numbers of rows compile."""
    for count in (1, 16, 17, 64):
        call(count)
    return len(launches.variants[name])


def test_changing_numbers_of_rows_compile_nothing_new(launches: Launches) -> None:
    scores = Scores(torch.ones(64, 8), torch.ones(300, 8))
    assert counted(lambda n: list(dense.dense_topk(scores, 0, 4, torch.arange(n))), launches,
                   "score_all") == 1  # fmt: skip
    for name in ("choose_best", "rank_chosen"):
        assert len(launches.variants[name]) == 1
    launches.variants.clear()
    for dtype in (torch.bfloat16, torch.float32):
        counted(lambda n, dtype=dtype: topk.linear_topk(encode(n, 32_768, 8, 4, dtype)), launches,
                "scan_groups")  # fmt: skip
    assert {name: len(found) for name, found in launches.variants.items()} == {
        # One for each dtype; the second call of `rescore` has another constant.
        "scan_groups": 2, "choose_best": 2, "rank_chosen": 2, "round_rows": 1, "order_chosen": 1,
        "rescore": 2,
    }  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.usefixtures("nothing_redone")
def test_ahead_of_time_the_kernels_of_real_calls_are_compiled(
    launches: Launches, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(launch, "capturing", lambda _: True)  # indices are not read
    given = encode(8192, 131_072, 4096, 64, dtype, "meta")
    x, weight, bias, packed, k, floor, *_ = given
    topk.linear_topk(given)
    floors = x.new_zeros(8192).float(), x.new_zeros(131_072).float()
    topk.mutual_topk(MutualTopKInputs(x, weight, packed, 16, *floors, True))
    list(dense.dense_topk(Scores(x, weight, bias, None, floor), 0, k, torch.arange(9)))
    if dtype == torch.bfloat16:
        values = x.new_empty(8192, k)
        indices = torch.empty_like(values, dtype=torch.int64)
        decode.sparse_decode(SparseDecodeInputs(values, indices, weight, bias[:4096]))
        autoencode.topk_autoencode(AutoencodeInputs(x, weight, bias, [], weight, bias[:4096], k))
    compiled: dict[str, list[dict[str, tuple]]] = {}
    for build in builds(every=True):
        compiled.setdefault(build.kernel, []).append(facts_of(build))
    for name, facts in launches.facts:
        # Which other numbers are multiples of 16 depends on the call, and matters little. Some
        # constants are sizes of the call.
        known = {
            argument: (kind, None if kind == "i32" and argument != "dim" else fact)
            for argument, (kind, fact) in facts.items()
            if kind != "constexpr"
        }
        assert known in compiled[name], name
    names = {"scan_groups", "choose_best", "rank_chosen", "scan_both", "score_all"}
    assert set(launches.counts) >= names


def facts_of(build: Build) -> dict[str, tuple]:
    """Return what a build knows of its arguments, as the JIT says it."""
    kernel = functions()[build.kernel]
    found = {}
    for param in kernel.params:
        aligned = param.name not in build.odd and not param.do_not_specialize
        if param.name in build.signature:
            kind = build.signature[param.name]
            said = kind[0] == "*" or param.name == "dim"
            found[param.name] = kind, "D" if aligned and said else None
    return found


@pytest.mark.parametrize("name", ["list_pairs", "confirm_pairs", "scan_both", "finish_rows"])
def test_no_changing_count_is_a_fact_that_a_kernel_is_compiled_for(name: str) -> None:
    kernel = functions()[name]
    fixed = {param.name for param in kernel.params if not param.do_not_specialize}
    assert not fixed & {"row_count", "count", "capacity", "chunks", "first", "offset"}


class Held(TorchDispatchMode):
    """Keeps the most bytes that tensors made in this context held at once, without the inputs."""

    def __init__(self, inputs: tuple[object, ...]) -> None:
        super().__init__()
        self.inputs = {leaf.untyped_storage()._cdata for leaf in tensors(inputs)}
        self.live, self.bytes = WeakIdKeyDictionary(), 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.live.update((tensor, None) for tensor in tensors(out))
        sizes = {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in self.live}
        self.bytes = max(self.bytes, sum(sizes[at] for at in sizes.keys() - self.inputs))
        return out


def tensors(tree: object) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def held(op: Callable, inputs: tuple[object, ...]) -> int:
    """Return the most bytes that an op holds beyond inputs and results."""
    with Held(inputs) as most:
        results = op(inputs)
    return most.bytes - sum(result.untyped_storage().nbytes() for result in tensors(results))


@pytest.fixture
def nothing_redone(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (linear, mutual, autoencode):
        monkeypatch.setattr(module, "int", lambda _: 0, raising=False)


SIZES = [
    (8192, 131_072, 4096, 64, 1), (65_536, 131_072, 768, 64, 1), (1 << 19, 131_072, 768, 32, 1),
    (1 << 16, 1 << 20, 2304, 64, 1), (8192, 1 << 20, 2304, 256, 1), (65_536, 16_384, 768, 32, 8),
    (8192, 131_072, 768, 32, 8), (1000, 100_000, 767, 200, 2), (65_536, 600, 30, 16, 1),
    (8192, 131_072, 768, 300, 1),
]  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize(("rows", "latents", "dim", "k", "stacks"), SIZES)
@pytest.mark.usefixtures("launches", "nothing_redone")
def test_an_encode_takes_64_mib_at_any_size(
    rows: int, latents: int, dim: int, k: int, stacks: int, dtype: torch.dtype
) -> None:
    given = encode(rows, latents, dim, k, dtype, "meta", stacks)
    assert held(topk.linear_topk, given) <= 64 * MIB


@pytest.mark.usefixtures("launches", "nothing_redone")
def test_an_autoencoder_takes_64_mib_at_any_size() -> None:
    x, weight, bias, *_ = encode(1 << 16, 131_072, 768, 64, torch.bfloat16, "meta")
    given = AutoencodeInputs(x, weight, bias, [], weight, None, 64)
    assert held(autoencode.topk_autoencode, given) <= 64 * MIB


@pytest.mark.usefixtures("launches", "nothing_redone")
@pytest.mark.parametrize("rows", [8192, 131_072, 1 << 18])
def test_a_mutual_scan_takes_memory_by_its_columns_only(rows: int) -> None:
    a, b = (torch.ones(n, 768, device="meta") for n in (rows, 131_072))
    floors = torch.zeros(rows, device="meta"), torch.zeros(131_072, device="meta")
    given = MutualTopKInputs(a, b, tuple(rough(b)), 32, *floors, True)
    # Two sides' keys take 512 MiB, and the proposals of the columns 128 MiB.
    assert held(topk.mutual_topk, given) <= 800 * MIB


@pytest.mark.parametrize("stacks", [1, 3, 16])
@pytest.mark.parametrize("latents", [1, 5000, 131_072, 1 << 20])
def test_blocks_fill_the_card(monkeypatch: pytest.MonkeyPatch, stacks: int, latents: int) -> None:
    monkeypatch.setattr(tiles, "capability", lambda _: 90)
    for k in (8, 64):
        x = torch.empty(1 << 16, 768, dtype=torch.bfloat16, device="meta")
        weight = torch.empty(stacks * latents, 768, dtype=torch.bfloat16, device="meta")
        chosen = plan.plan_for("linear_topk", x, latents, min(k, latents))
        if chosen is None:
            continue
        size = blocks.cut(Scores(x, weight, stacks=stacks), chosen, k)
        assert size.rows % chosen.tile.rows == 0
        assert size.latents == latents or size.latents % chosen.tile.cols == 0
        tiles_of_block = size.rows // chosen.tile.rows * -(-size.latents // chosen.tile.cols)
        # 132 multiprocessors have one tile each: the last wave is one of 16.
        assert tiles_of_block * size.stacks >= min(15 * 132, stacks * latents // 256)


def test_the_first_call_of_a_kind_repeats_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense, "_called", set())

    def scores(dim: int, is_cuda: bool = True) -> Scores:
        x = SimpleNamespace(is_cuda=is_cuda, device="cuda:0", dtype=torch.float32, shape=(3, dim))
        return Scores(x, SimpleNamespace(shape=(9, dim)))

    calls = [(scores(4), 2), (scores(4), 2), (scores(5), 2), (scores(4), 3), (scores(6, False), 2)]
    assert [dense.first_call(*call) for call in calls] == [True, False, True, True, False]
    proved = torch.tensor([True, True])
    assert dense.rows_again(proved)[0].tolist() == []
    assert dense.rows_again(proved, 1)[0].tolist() == [0]
    assert dense.rows_again(~proved, 1)[0].tolist() == [0, 1]


def test_a_check_is_launched_before_the_kernels_and_awaited_after_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class OnGpu(torch.Tensor):
        is_cuda = True

    happened = []
    event = SimpleNamespace(
        record=lambda: happened.append("record"), synchronize=lambda: happened.append("wait")
    )
    monkeypatch.setattr(torch.cuda, "Event", lambda: event)
    monkeypatch.setattr(launch, "capturing", lambda _: False)
    monkeypatch.setattr(launch, "on_device", lambda _: nullcontext())
    finish = launch.begin_check("indices", torch.tensor([3, -1, 7]).as_subclass(OnGpu), 7, None)
    happened.append("kernels")
    with pytest.raises(ValueError, match="indices: expected -1 to 6, got 7"):
        finish()
    assert happened == ["record", "kernels", "wait"]
    launch.begin_check("indices", torch.tensor([3, -1, 6]).as_subclass(OnGpu), 7, None)()
