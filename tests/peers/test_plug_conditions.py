"""Plugged-in losses under autocast, in bfloat16, compiled, in micro-batches, in two processes.

Each is compared with the other trainer's own loss under the same condition.
"""

import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nnsight
import pytest
import sae_lens
import torch
from datasets import Dataset
from dictionary_learning.trainers import batch_top_k, jumprelu, top_k
from sae_lens.saes.sae import TrainStepInput
from safetensors.torch import load_file
from sparsify import SparseCoder, SparseCoderConfig, TrainConfig, Trainer
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend
from transformers import GPT2Config, GPT2LMHeadModel
from twinsae.sae import plug
from twinsae.sae.plug import dictionary_learning, saelens_patch

pytestmark = pytest.mark.peers
D, L, K, N = 12, 131, 5, 64
THRESHOLD, WIDTH = 1.7, 0.3  # 6 % of the scores are above the lower end of their window


class Loss(nn.Module):
    """A loss of a peer as a module; call it within its ``switch``."""

    def __init__(self, weights: nn.Module, loss: Callable[[Tensor], Tensor], switch: Any) -> None:
        super().__init__()
        self.weights, self.loss, self.switch = weights, loss, switch

    def forward(self, x: Tensor) -> Tensor:
        return self.loss(x)

    def gradients(self) -> dict[str, Tensor]:
        """Of the parameters that have one, in float32."""
        named = self.weights.named_parameters()
        return {name: p.grad.float() for name, p in named if p.grad is not None}


def sparsify(plugged: bool) -> Loss:
    coder = SparseCoder(D, SparseCoderConfig(num_latents=L, k=K))
    return Loss(coder, lambda x: coder(x).fvu, plug.sparsify if plugged else nullcontext)


def saelens(architecture: str, plugged: bool) -> Loss:
    kind = {"topk": "TopK", "batchtopk": "BatchTopK", "jumprelu": "JumpReLU"}[architecture]
    settings = {"jumprelu_bandwidth": WIDTH} if kind == "JumpReLU" else {"k": K}
    config = getattr(sae_lens, f"{kind}TrainingSAEConfig")(d_in=D, d_sae=L, **settings)
    theirs = getattr(sae_lens, f"{kind}TrainingSAE")
    sae = (saelens_patch.training_class(architecture) if plugged else theirs)(config)

    def loss(x: Tensor) -> Tensor:
        step = TrainStepInput(
            sae_in=x, coefficients={"l0": 0.1}, dead_neuron_mask=None, n_training_steps=0,
            is_logging_step=False,
        )  # fmt: skip
        return sae.training_forward_pass(step_input=step).loss

    return Loss(sae, loss, nullcontext)


def trainer_of(kind: type, **settings: Any) -> Any:
    base = {"steps": 100, "activation_dim": D, "dict_size": L, "layer": 0, "lm_name": "m"}
    more = {"bandwidth": WIDTH, "sparsity_warmup_steps": 5, "target_l0": 9.0}
    more = more if issubclass(kind, jumprelu.JumpReluTrainer) else {"k": K}
    return kind(**base, **more, warmup_steps=5, device="cpu", **settings)


def dictionary(stock: type, ours: type, plugged: bool) -> Loss:
    trainer = trainer_of(ours if plugged else stock)
    return Loss(trainer.ae, lambda x: trainer.loss(x, step=20), nullcontext)


CASES: dict[str, Callable[[bool], Loss]] = {
    "sparsify": sparsify,
    "saelens topk": lambda plugged: saelens("topk", plugged),
    "saelens batch": lambda plugged: saelens("batchtopk", plugged),
    "saelens jumprelu": lambda plugged: saelens("jumprelu", plugged),
    "dictionary_learning topk": lambda plugged: dictionary(
        top_k.TopKTrainer, dictionary_learning.FastTopKTrainer, plugged
    ),
    "dictionary_learning batch": lambda plugged: dictionary(
        batch_top_k.BatchTopKTrainer, dictionary_learning.FastBatchTopKTrainer, plugged
    ),
    "dictionary_learning jumprelu": lambda plugged: dictionary(
        jumprelu.JumpReluTrainer, dictionary_learning.FastJumpReluTrainer, plugged
    ),
}


def make(case: str, plugged: bool) -> Loss:
    """The weights are the same whether it is plugged or not."""
    module = CASES[case](plugged)
    generator = torch.Generator().manual_seed(2)
    rows = nn.functional.normalize(torch.randn(L, D, generator=generator))
    for name, p in module.weights.named_parameters():
        if name == "threshold":
            p.data.fill_(THRESHOLD)
        elif p.dim() == 2:
            p.data.copy_(rows if p.shape == rows.shape else rows.T)
        else:
            p.data.copy_(torch.randn(p.shape, generator=generator) / 10)
    return module


def data() -> Tensor:
    return torch.randn(N, D, generator=torch.Generator().manual_seed(1))


@pytest.fixture(params=CASES)
def pair(request: pytest.FixtureRequest) -> SimpleNamespace:
    """The peer's own loss, and ours in its place."""
    return SimpleNamespace(
        case=request.param, stock=make(request.param, False), ours=make(request.param, True)
    )


def run(module: Loss, x: Tensor, call: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    with module.switch():
        loss = (module if call is None else call)(x)
        loss.backward()
    return loss.detach().float()


def check(ours: Loss, stock: Loss, rtol: float) -> None:
    """Compare all gradients by the norm of their difference."""
    found, expected = ours.gradients(), stock.gradients()
    assert found.keys() == expected.keys() >= {"b_dec"}
    for name, theirs in expected.items():
        assert theirs.norm() > 0, name
        assert (found[name] - theirs).norm() <= rtol * theirs.norm(), name


def test_our_kernels_run_where_they_are_plugged_in(pair, monkeypatch):
    calls = []
    for place in ("above.linear_above", "functional.linear_topk"):
        module, name = place.split(".")
        module = sys.modules[f"twinsae.sae.plug.{module}"]
        scan = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, s=scan, **o: (calls.append(1), s(*a, **o))[1])
    expected = run(pair.stock, data())
    assert not calls
    torch.testing.assert_close(run(pair.ours, data()), expected)
    assert calls
    check(pair.ours, pair.stock, 1e-5)


def test_autocast(pair):
    """Near ties are decided by rounding, which differs: a few tokens have other latents."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = [run(module, data()) for module in (pair.stock, pair.ours)]
    torch.testing.assert_close(losses[1], losses[0], rtol=0.02, atol=0)
    assert all(p.grad.dtype == torch.float32 for p in pair.ours.weights.parameters())
    check(pair.ours, pair.stock, 0.2)


def test_bfloat16_weights(pair):
    pair.ours.weights.to(torch.bfloat16)
    half = data().bfloat16()
    if pair.case == "dictionary_learning jumprelu":  # it knows float32 only
        with pytest.raises(RuntimeError, match="same dtype"):
            run(make(pair.case, False).bfloat16(), half)
        expected = run(pair.stock, data())
    else:
        pair.stock.weights.to(torch.bfloat16)
        expected = run(pair.stock, half)
    torch.testing.assert_close(run(pair.ours, half), expected, rtol=0.03, atol=0)
    assert pair.ours.weights.b_dec.dtype == torch.bfloat16
    check(pair.ours, pair.stock, 0.2)


@pytest.fixture
def compiler():
    """nnsight, which dictionary_learning imports, replaces parts of torch that compiling needs."""
    patches = nnsight.DEFAULT_PATCHER.patches
    for patch in patches:
        patch.restore()
    torch._dynamo.reset()
    yield
    for patch in patches:
        patch.patch()


# BatchTopK takes long to compile; tests/sae/test_own_trainer.py compiles its parts.
@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("pair", [case for case in CASES if "batch" not in case], indirect=True)
def test_torch_compile(pair, request):
    if "jumprelu" in request.node.name and torch.__version__ < "2.10":
        pytest.skip("torch 2.9 cannot trace a number of places that depends on the data")
    graphs = CompileCounterWithBackend("aot_eager")
    expected = run(pair.stock, data())
    found = run(pair.ours, data(), torch.compile(pair.ours, backend=graphs))
    compiled = [str(node.target) for graph in graphs.graphs for node in graph.graph.nodes]
    assert "twinsae.sparse_decode" in compiled
    torch.testing.assert_close(found, expected)
    check(pair.ours, pair.stock, 1e-5)


def test_gradients_of_micro_batches_add_up(pair):
    for module in (pair.stock, pair.ours):
        for part in data().chunk(4):
            run(module, part, lambda x, module=module: module(x) / 4)
    check(pair.ours, pair.stock, 1e-5)


SCRIPT = """
import importlib.util, sys
import torch
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

rank, store, test_file = int(sys.argv[1]), sys.argv[2], sys.argv[3]
spec = importlib.util.spec_from_file_location("conditions", test_file)
test = importlib.util.module_from_spec(spec)
spec.loader.exec_module(test)
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
trained = {}
for case in test.CASES:
    for plugged in (False, True):
        module = test.make(case, plugged)
        parallel = DistributedDataParallel(module)
        adam = torch.optim.Adam(parallel.parameters(), lr=0.01)
        for _ in range(3):
            test.run(module, test.data().chunk(2)[rank], parallel)
            adam.step()
            adam.zero_grad()
        trained[case, plugged] = {n: p.detach() for n, p in module.weights.named_parameters()}
torch.save(trained, f"{store}.{rank}")
dist.destroy_process_group()
"""


def test_two_processes(tmp_path: Path):
    arguments = [str(tmp_path / "store"), __file__]
    ranks = [
        subprocess.Popen([sys.executable, "-P", "-c", SCRIPT, str(rank), *arguments])
        for rank in range(2)
    ]
    try:
        assert [rank.wait(timeout=600) for rank in ranks] == [0, 0]
    finally:
        for rank in ranks:
            rank.kill()
    first, second = (torch.load(tmp_path / f"store.{rank}") for rank in range(2))
    for case in CASES:
        before = dict(make(case, True).weights.named_parameters())
        for name, theirs in first[case, False].items():
            ours = first[case, True][name]
            assert torch.equal(ours, second[case, True][name])  # DDP keeps the processes together
            moved = (theirs - before[name]).norm()
            assert moved > 0
            assert (ours - theirs).norm() <= 0.01 * moved, (case, name)


def test_saelens_trainer_with_autocast_and_bfloat16_weights(train_saelens):
    cases = [("float32", True)]
    if torch.__version__ >= "2.10":  # with 2.9, SAELens' own bfloat16 SAE has no gradients
        cases.append(("bfloat16", False))
    for dtype, autocast in cases:
        curves = []
        for plugged in (False, True):
            torch.manual_seed(0)
            config = sae_lens.TopKTrainingSAEConfig(d_in=D, d_sae=L, k=K, dtype=dtype)
            kind = saelens_patch.training_class("topk") if plugged else sae_lens.TopKTrainingSAE
            curves.append(train_saelens(kind(config), 20, autocast=autocast)[0])
        assert curves[0][-1] < 0.9 * curves[0][0]
        assert curves[1] == pytest.approx(curves[0], rel=0.01)


def test_sparsifys_trainer_with_micro_batches(tmp_path):
    """Its own accumulation over batches and over parts of one."""
    tokens = torch.randint(50, (8, 16), generator=torch.Generator().manual_seed(0))
    dataset = Dataset.from_dict({"input_ids": tokens.tolist()}).with_format("torch")
    gpt2 = GPT2Config(vocab_size=50, n_positions=16, n_embd=32, n_layer=1, n_head=2)
    weights = {}
    for steps in (1, 2):
        for switch in (nullcontext, plug.sparsify):
            torch.manual_seed(0)
            config = TrainConfig(
                SparseCoderConfig(num_latents=L, k=K), batch_size=2, hookpoints=["h.0"],
                log_to_wandb=False, grad_acc_steps=steps, micro_acc_steps=steps,
                save_dir=str(tmp_path), run_name="run", lr_warmup_steps=0,
            )  # fmt: skip
            with switch():
                Trainer(config, dataset, GPT2LMHeadModel(gpt2)).fit()
            weights[steps, switch] = load_file(tmp_path / "run/h.0/sae.safetensors")
    assert not torch.equal(
        weights[1, nullcontext]["encoder.weight"], weights[2, nullcontext]["encoder.weight"]
    )
    for steps in (1, 2):
        for name, theirs in weights[steps, nullcontext].items():
            ours = weights[steps, plug.sparsify][name]
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5, msg=name)
