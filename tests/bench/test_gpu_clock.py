"""The clocks, with a stand-in for CUDA."""

from types import SimpleNamespace

import pytest
import torch
from twinsae.bench import clock
from twinsae.bench.clock import CpuClock
from twinsae.bench.gpu import cuda_clock
from twinsae.bench.gpu.cuda_clock import CudaClock, find_gpu

MIB = 2**20


def test_ways_take_turns_after_a_warm_up() -> None:
    calls: list[str] = []
    ways = {way: lambda way=way: calls.append(way) for way in "ab"}
    taken = CpuClock().samples(ways, 4)
    assert calls == ["a", "b"] * 5
    assert {way: len(seconds) for way, seconds in taken.items()} == {"a": 4, "b": 4}
    assert all(0 <= second < 1 for seconds in taken.values() for second in seconds)


def test_enough_ends_it_after_three_rounds() -> None:
    assert len(CpuClock().samples({"a": list}, 9, lambda: True)["a"]) == clock.LEAST_ROUNDS
    assert CpuClock().samples({}, 3) == {}


def test_the_peak_of_a_call_holds_its_results() -> None:
    def call() -> torch.Tensor:
        return torch.ones(64 * MIB, dtype=torch.uint8)

    peak = CpuClock().peak(call)
    assert 60 * MIB < peak.total < 72 * MIB
    assert peak.result == 64 * MIB
    assert CpuClock().free_bytes() > 64 * MIB
    assert CpuClock().answers()


class Cuda:
    """A stand-in for torch.cuda whose time is the attribute `seconds`."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.told: list[str] = []
        self.allocated, self.most = 100, 0
        self.broken = False

    def Event(self, enable_timing: bool) -> SimpleNamespace:  # noqa: N802
        assert enable_timing
        event = SimpleNamespace(at=None)

        def record() -> None:
            self.told.append("event")
            event.at = self.seconds

        def elapsed_time(other: SimpleNamespace) -> float:
            assert self.told[-1] == "synchronize"
            return 1e3 * (other.at - event.at)

        event.record, event.elapsed_time = record, elapsed_time
        return event

    def synchronize(self) -> None:
        if self.broken:
            raise torch.AcceleratorError("an illegal memory access was encountered")
        self.told.append("synchronize")

    def get_device_properties(self, device: torch.device) -> SimpleNamespace:
        assert device.type == "cuda"
        return SimpleNamespace(
            name="H100",
            major=9,
            minor=0,
            multi_processor_count=132,
            total_memory=80,
            L2_cache_size=50,
        )

    def memory_allocated(self) -> int:
        return self.allocated

    def reset_peak_memory_stats(self) -> None:
        self.most = self.allocated

    def max_memory_allocated(self) -> int:
        return self.most

    def mem_get_info(self) -> tuple[int, int]:
        assert self.told[-1] == "empty_cache"
        return 7, 80

    def empty_cache(self) -> None:
        self.told.append("empty_cache")


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    fake = Cuda()
    monkeypatch.setattr(torch, "cuda", fake)
    scratch = SimpleNamespace(zero_=lambda: fake.told.append("flush"))
    monkeypatch.setattr(CudaClock, "_scratch", scratch)
    return fake


def test_cuda_is_timed_by_events_after_a_flush(cuda: Cuda) -> None:
    def way() -> None:
        cuda.told.append("call")
        cuda.seconds += 2.0

    taken = CudaClock().samples({"a": way, "b": way}, 3)
    assert taken == {"a": [2.0] * 3, "b": [2.0] * 3}
    one = ["flush", "event", "call", "event"]
    assert cuda.told == ["call", "call", *(3 * [*one, *one, "synchronize"])]


def test_cudas_peak_is_above_what_is_there(cuda: Cuda) -> None:
    def way() -> None:
        cuda.most = cuda.allocated + 40

    assert CudaClock().peak(way) == (40, 0)
    assert cuda.told == ["synchronize", "synchronize"]
    assert CudaClock().free_bytes() == 7


def test_a_gpu_that_is_lost_does_not_answer(cuda: Cuda) -> None:
    assert CudaClock().answers()
    cuda.broken = True
    assert not CudaClock().answers()


def test_what_is_flushed_is_larger_than_the_cache(cuda: Cuda, monkeypatch) -> None:
    properties = cuda.get_device_properties(torch.device("cuda"))
    assert cuda_clock._l2_bytes(properties) == 50
    assert cuda_clock._l2_bytes(SimpleNamespace()) == cuda_clock._l2_bytes(
        SimpleNamespace(L2_cache_size=0)
    )
    monkeypatch.undo()
    monkeypatch.setattr(torch, "cuda", cuda)
    made = CudaClock()
    made.device = torch.device("cpu")
    monkeypatch.setattr(cuda, "get_device_properties", lambda _: properties)
    assert made._scratch.nbytes == cuda_clock.FLUSHED * 50


@pytest.mark.usefixtures("cuda")
def test_the_gpus_name_is_told() -> None:
    told = CudaClock().describe()
    assert told["device"] == "H100"
    assert told["compute capability"] == "9.0"
    assert told["L2_bytes"] == 50


def test_no_gpu_is_a_users_error(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"bench gpu needs an NVIDIA GPU: torch .* without CUDA"):
        find_gpu()
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    with pytest.raises(ValueError, match="finds no GPU"):
        find_gpu()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert isinstance(find_gpu(), CudaClock)
