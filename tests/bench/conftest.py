"""Stand-ins for the peers, which CI does not install."""

import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from twinsae.bench import peers
from twinsae.bench.inputs import Inputs, random_inputs
from twinsae.bench.problem import Shape


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Use one thread: on toy sizes, more threads cost more time than they save."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class SparseCoder(nn.Module):
    """The interface of sparsify around plain torch."""

    def __init__(self, d_in: int, config: SimpleNamespace, device=None, dtype=None) -> None:
        super().__init__()
        self.k = config.k
        self.encoder = nn.Linear(d_in, config.num_latents, device=device, dtype=dtype)
        self.W_dec = nn.Parameter(torch.empty_like(self.encoder.weight))
        self.b_dec = nn.Parameter(torch.empty(d_in, device=device, dtype=dtype))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        scores = torch.relu(self.encoder(x - self.b_dec))
        values, indices = scores.topk(self.k)
        return values.flip(1), indices.flip(1), scores

    def decode(self, values: Tensor, indices: Tensor) -> Tensor:
        return torch.einsum("nk,nkd->nd", values, self.W_dec[indices]) + self.b_dec

    def forward(self, x: Tensor, total_variance: Tensor | None = None) -> SimpleNamespace:
        error = (self.decode(*self.encode(x)[:2]) - x).float()
        size = (x - x.mean(0)).square().sum() if total_variance is None else total_variance
        return SimpleNamespace(fvu=error.square().sum() / size)


def flex_loss(
    indices: Tensor, weight: Tensor, vals: Tensor, bias: Tensor, target: Tensor
) -> Tensor:
    decoded = torch.einsum("nk,nkd->nd", vals, weight[indices]) + bias
    return (decoded - target).float().square().sum(1).mean()


class AutoEncoderTopK(nn.Module):
    def __init__(self, d_in: int, latents: int, k: int) -> None:
        super().__init__()
        self.encoder = nn.Linear(d_in, latents)
        self.decoder = nn.Linear(latents, d_in, bias=False)
        self.b_dec = nn.Parameter(torch.empty(d_in))
        self.register_buffer("k", torch.tensor(k))

    def encode(self, x: Tensor, return_topk: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        assert return_topk
        scores = torch.relu(self.encoder(x - self.b_dec))
        values, indices = scores.topk(int(self.k))
        return torch.zeros_like(scores).scatter(1, indices, values), values, indices, scores


class TopKTrainer:
    def __init__(self, activation_dim: int, dict_size: int, k: int, **_: object) -> None:
        self.ae = AutoEncoderTopK(activation_dim, dict_size, k)

    def loss(self, x: Tensor, step: int) -> Tensor:
        assert step > 0
        decoded = self.ae.decoder(self.ae.encode(x, return_topk=True)[0])
        return (decoded + self.ae.b_dec - x).square().sum(dim=1).mean()


class TopKTrainingSAE(nn.Module):
    def __init__(self, config: SimpleNamespace) -> None:
        super().__init__()
        self.cfg = config
        self.W_enc = nn.Parameter(torch.empty(config.d_in, config.d_sae))
        self.b_enc = nn.Parameter(torch.empty(config.d_sae))
        self.W_dec = nn.Parameter(torch.empty(config.d_sae, config.d_in))
        self.b_dec = nn.Parameter(torch.empty(config.d_in))

    def training_forward_pass(self, step_input: SimpleNamespace) -> SimpleNamespace:
        x = step_input.sae_in
        scores = (x - self.b_dec) @ self.W_enc + self.b_enc
        if self.cfg.rescale_acts_by_decoder_norm:
            scores = scores * self.W_dec.norm(dim=1)
        top = scores.topk(self.cfg.k)
        codes = torch.zeros_like(scores).scatter(1, top.indices, top.values.relu())
        if self.cfg.rescale_acts_by_decoder_norm:
            codes = codes / self.W_dec.norm(dim=1)
        error = codes @ self.W_dec + self.b_dec - x
        return SimpleNamespace(loss=error.square().sum(dim=1).mean())


def module(name: str, **contents: object) -> ModuleType:
    made = ModuleType(name)
    vars(made).update(contents)
    return made


def pretend_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes = [
        module("sparsify", SparseCoder=SparseCoder, SparseCoderConfig=SimpleNamespace),
        module("dictionary_learning.trainers.top_k", TopKTrainer=TopKTrainer),
        module("sae_lens", TopKTrainingSAE=TopKTrainingSAE, TopKTrainingSAEConfig=SimpleNamespace),
        module("sae_lens.saes.sae", TrainStepInput=SimpleNamespace),
        module("flex_sae", **{peers.FLEX_LOSS: flex_loss}),
    ]
    for fake in fakes:
        monkeypatch.setitem(sys.modules, fake.__name__, fake)
    monkeypatch.setattr(peers, "find_spec", lambda name: name != "flexsae" or None)
    monkeypatch.setenv("SPARSIFY_DISABLE_TRITON", "restored after the test")
    monkeypatch.delenv("SPARSIFY_DISABLE_TRITON")


@pytest.fixture
def with_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `bench.peers` find all peers, whether or not they are installed."""
    pretend_peers(monkeypatch)


@pytest.fixture
def without_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "find_spec", lambda _: None)


@pytest.fixture
def inputs() -> Inputs:
    """A toy SAE whose biases are not zero, so that they matter in every gradient."""
    made = random_inputs(Shape(num_tokens=19, d_in=6, num_latents=70, k=5))
    generator = torch.Generator().manual_seed(1)
    for bias in (made.sae.encoder.bias, made.sae.b_dec):
        nn.init.uniform_(bias, -0.1, 0.1, generator=generator)
    return made
