"""The parts for one's own trainer in all that trainers do with them."""

import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from twinsae.sae.plug import SparseDecoder, TopKEncoder, decode, encode_batch

D, L, K, N = 12, 60, 4, 32


class Loss(nn.Module):
    """TopK's or BatchTopK's squared error, a mean over tokens."""

    def __init__(self, of_batch: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder, self.decoder = TopKEncoder(D, L, K), SparseDecoder(L, D)
        self.of_batch = of_batch

    def forward(self, x: Tensor) -> Tensor:
        if self.of_batch:
            weight, bias = self.encoder.weight, self.encoder.bias
            top = encode_batch(x, weight, bias, K * x.shape[:-1].numel())
            found = decode(*top, self.decoder.weight, self.decoder.bias)
        else:
            found = self.decoder(*self.encoder(x))
        return (found - x).square().sum(dim=-1).mean()


@pytest.fixture(params=[False, True], ids=["topk", "batch_topk"])
def model(request: pytest.FixtureRequest) -> Loss:
    return Loss(request.param)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(N, D, generator=torch.Generator().manual_seed(1))


def gradients(model: nn.Module) -> list[Tensor]:
    return [p.grad.float() for p in model.parameters() if p.grad is not None]


def check(found: nn.Module, expected: nn.Module, rtol: float) -> None:
    for mine, theirs in zip(gradients(found), gradients(expected), strict=True):
        assert theirs.norm() > 0
        assert (mine - theirs).norm() <= rtol * theirs.norm()


def test_autocast_gives_float32_gradients_near_those_without(model: Loss, x: Tensor) -> None:
    plain = deepcopy(model)
    plain(x).backward()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model(x)
    loss.backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters())
    check(model, plain, 0.2)


def test_bfloat16_parameters(model: Loss, x: Tensor) -> None:
    plain = deepcopy(model)
    plain(x).backward()
    model.to(torch.bfloat16)
    model(x.bfloat16()).backward()
    assert all(p.grad is not None and p.grad.dtype == torch.bfloat16 for p in model.parameters())
    check(model, plain, 0.2)


@pytest.mark.slow
def test_compiled_code_has_the_same_loss_and_gradients(model: Loss, x: Tensor) -> None:
    plain = deepcopy(model)
    expected = plain(x)
    expected.backward()
    found = torch.compile(model, backend="aot_eager")(x)
    found.backward()
    torch.testing.assert_close(found, expected)
    check(model, plain, 1e-5)


def test_gradients_of_micro_batches_add_up(x: Tensor) -> None:
    model = Loss(of_batch=False)
    whole = deepcopy(model)
    whole(x).backward()
    for part in x.chunk(4):
        (model(part) / 4).backward()
    check(model, whole, 1e-5)


SCRIPT = """
import importlib.util, sys
import torch
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

rank, store, test_file = int(sys.argv[1]), sys.argv[2], sys.argv[3]
spec = importlib.util.spec_from_file_location("own_trainer", test_file)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
model = module.Loss(of_batch=False)
parallel = DistributedDataParallel(model)
x = torch.randn(module.N, module.D, generator=torch.Generator().manual_seed(1))
optimizer = torch.optim.Adam(parallel.parameters(), lr=0.01)
for _ in range(5):
    parallel(x.chunk(2)[rank]).backward()
    optimizer.step()
    optimizer.zero_grad()
torch.save([p.detach() for p in model.parameters()], f"{store}.{rank}")
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_train_what_one_does(x: Tensor, tmp_path: Path) -> None:
    arguments = [str(tmp_path / "store"), __file__]
    ranks = [
        subprocess.Popen([sys.executable, "-P", "-c", SCRIPT, str(rank), *arguments])
        for rank in range(2)
    ]
    model = Loss(of_batch=False)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(5):
        model(x).backward()
        optimizer.step()
        optimizer.zero_grad()
    try:
        assert [rank.wait(timeout=600) for rank in ranks] == [0, 0]
    finally:
        for rank in ranks:
            rank.kill()
    first, second = (torch.load(tmp_path / f"store.{rank}") for rank in range(2))
    for one, other, expected in zip(first, second, model.parameters(), strict=True):
        assert torch.equal(one, other)
        torch.testing.assert_close(one, expected.detach(), rtol=1e-3, atol=1e-5)
