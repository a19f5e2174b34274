"""The calls that `twinsae bench gpu` makes on a GPU compile, in a rehearsal with its real latents.

Launches do not run, and nobody reads the numbers, so they are zeros. Fewer tokens give the same
kernels.
"""

import pytest
import torch
from twinsae.bench.clock import CpuClock
from twinsae.bench.gpu import compile as stage
from twinsae.bench.gpu.setting import PAIRS, SHAPES, Setting
from twinsae.bench.problem import Problem, Shape

pytestmark = [pytest.mark.gpu_plans, pytest.mark.first_contact]
TOKENS = 64


def zeros(setting: Setting, shape: Shape, dtype: torch.dtype | None = None) -> Problem:
    def tensor(*sizes: int) -> torch.Tensor:
        return torch.zeros(sizes, dtype=dtype or setting.dtype, device="cpu")

    n, d, latents, k = shape
    weight, indices = tensor(latents, d), torch.zeros(n, k, dtype=torch.int64, device="cpu")
    return Problem(
        k, tensor(n, d), weight, tensor(latents), weight, tensor(d), tensor(n, d), tensor(n, k),
        indices, tensor(n, k),
    )  # fmt: skip


@torch.no_grad()
def test_every_call_of_bench_gpu_compiles(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if request.config.getoption("--device") != "rehearsal":
        pytest.skip("only a rehearsal compiles without running")
    from twinsae.kernels.rehearsal import rehearsing

    torch.use_deterministic_algorithms(False)  # memory that is not written need not be poisoned
    side = torch.zeros(PAIRS, device="cpu")
    monkeypatch.setattr(Setting, "problem", zeros)
    monkeypatch.setattr(stage, "sides_of", lambda _: (side, side))
    shapes = [shape._replace(num_tokens=TOKENS) for shape in SHAPES]
    setting = Setting(CpuClock(), "triton", shapes=shapes)
    with rehearsing(interpret=False) as found:
        for _, call in stage.jobs(setting):
            call()
    assert {"scan_groups", "decode_rows", "sum_segments"} <= set(found.launches)
