"""These tests run where all peers are installed: `make test-peers`."""

import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from twinsae.sae import SAE, SAEConfig, TrainConfig
from twinsae.sae.loss import total_variance
from twinsae.sae.training.architectures import Batch, Losses, architecture
from twinsae.sae.training.gradients import Gradients
from twinsae.sae.training.stack import EncoderStack

PEERS = ("sparsify", "sae_lens", "dictionary_learning")
if not all(map(find_spec, PEERS)):
    collect_ignore_glob = ["test_*.py"]

# Before sparsify is imported: without a GPU its decoder works in no other way.
os.environ["SPARSIFY_DISABLE_TRITON"] = "1"
os.environ["WANDB_MODE"] = "disabled"


@pytest.fixture
def x() -> Tensor:
    """(64, 12): activations with a mean."""
    return 2 * torch.randn(64, 12, generator=torch.Generator().manual_seed(9)) + 1


def _dense(sae: SAE, x: Tensor) -> Tensor:
    top = sae.encode(x)
    latents = sae.config.num_latents
    places = top.indices.where(top.indices >= 0, latents)
    return torch.zeros(len(x), latents + 1).scatter(1, places, top.values)[:, :latents]


@pytest.fixture
def dense() -> Callable[[SAE, Tensor], Tensor]:
    """The codes (N, L) of our SAE."""
    return _dense


def _randomise(module: torch.nn.Module) -> None:
    """Give every parameter numbers that no symmetry hides, biases included."""
    generator = torch.Generator().manual_seed(5)
    for name, parameter in sorted(module.named_parameters()):
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.data = noise.abs() / 2 if name == "threshold" else noise / 2


@pytest.fixture
def randomise() -> Callable[[torch.nn.Module], None]:
    return _randomise


def _train_saelens(sae, steps, **settings):
    """Train on batches of 64 by SAELens' trainer: its losses, and the trainer."""
    from sae_lens.config import LoggingConfig, SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    config = SAETrainerConfig(
        total_training_samples=64 * 1000,
        train_batch_size_samples=64,
        lr=3e-3,
        lr_end=3e-3,
        lr_scheduler_name="constant",
        lr_warm_up_steps=0,
        lr_decay_steps=0,
        n_restart_cycles=1,
        adam_beta1=0.9,
        adam_beta2=0.999,
        dead_feature_window=5,
        feature_sampling_window=10**6,
        n_batches_for_norm_estimate=1,
        n_checkpoints=0,
        checkpoint_path=None,
        save_final_checkpoint=False,
        device="cpu",
        logger=LoggingConfig(log_to_wandb=False),
        **{"autocast": False} | settings,
    )
    trainer = SAETrainer(config, sae, iter([]))
    losses = []
    for step in range(steps):
        losses.append(trainer.step(_skewed(step)).loss.item())
        trainer.n_training_steps += 1
    return losses, trainer


def _skewed(step: int) -> Tensor:
    """(64, 12): a batch of positive activations."""
    return torch.randn(64, 12, generator=torch.Generator().manual_seed(step)).exp()


@pytest.fixture
def train_saelens() -> Callable[..., tuple[list[float], Any]]:
    """train_saelens(sae, steps, **settings of its trainer) -> losses, trainer."""
    return _train_saelens


@pytest.fixture
def batch() -> Callable[[int], Tensor]:
    """batch(step) -> (64, 12): positive activations."""
    return _skewed


# What the tests of the losses share: equal weights and batches in float64. sparsify's loss is
# divided by the batch's total variance V, as ours is; that of SAELens and dictionary_learning is a
# sum over dimensions and a mean over the N tokens: ours times V / N.
D, L, K, N = 12, 40, 5, 50
ROUNDING = {"rtol": 1e-9, "atol": 1e-12}
FLOAT32 = {"rtol": 1e-5, "atol": 1e-7}


class Problem(NamedTuple):
    sae: SAE
    config: TrainConfig
    batch: Batch

    @property
    def scale(self) -> float:
        """By which ours becomes a sum over dimensions, mean over tokens."""
        return float(self.batch.variance) / len(self.batch.x)


def _problem(activation, **settings):
    """Return an SAE with random weights and a batch; settings of both configurations."""
    generator = torch.Generator().manual_seed(3)
    names = ("prefixes", "normalize_decoder", "transcode", "skip_connection")
    shape = {name: settings.pop(name) for name in names if name in settings}
    if activation in ("relu", "gated", "jumprelu"):
        settings = {"sparsity": 0.4} | settings
    sae = SAE(SAEConfig(D, L, k=K, activation=activation, **shape), dtype=torch.float64)
    with torch.no_grad():
        for name, parameter in sae.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator).double()
            parameter.copy_(noise.float().abs() / 2 if name == "threshold" else noise / 2)
        if sae.config.normalize_decoder:
            sae.normalize_decoder()
    x = 2 * torch.randn(N, D, generator=generator).double() + 1
    target = torch.randn(N, D, generator=generator).double() if sae.config.transcode else x
    dead = torch.arange(L) % 3 == 0
    config = TrainConfig(**settings)
    return Problem(sae, config, Batch(x, target, total_variance(target), dead, config.sparsity))


def _ours(given: Problem) -> tuple[Losses, dict[str, Tensor]]:
    sae, batch = given.sae, given.batch
    kind = architecture(sae.config, given.config)
    if "share" in kind.state:
        kind.state["share"] = 0.0  # a sparse step
    stacked = None
    if kind.stacked_k:
        (stacked,) = EncoderStack([sae]).encode(batch.x, kind.stacked_k)
    with torch.no_grad():
        gradients = Gradients(sae)
        losses = kind.backward(sae, batch, stacked, gradients)
        return losses, gradients.written()


def _check_losses(given, loss, theirs, *, scale, but=(), close=ROUNDING):
    """Compare ours times ``scale`` with a peer's loss and parameters, which are named as ours.

    Those that it holds transposed are, and of those named in ``but`` only the shape is compared.
    """
    loss.backward()
    losses, gradients = _ours(given)
    total = losses.fvu + sum(losses.parts.values())
    torch.testing.assert_close(total * scale, loss.detach(), **close)
    for name, parameter in theirs.items():
        found, expected = gradients[name] * scale, parameter.grad
        expected = expected if expected.shape == found.shape else expected.T
        assert expected.abs().max() > 1e-6
        if name not in but:
            allowed = FLOAT32 if expected.dtype == torch.float32 else close
            torch.testing.assert_close(found, expected.double(), **allowed, msg=name)
    return gradients


def _copy_weights(sae, parameters):
    """Give a peer's parameters the numbers of ours, transposed where it has them so."""
    for name, parameter in parameters.items():
        mine = sae.get_parameter(name).detach()
        mine = mine if mine.shape == parameter.shape else mine.T
        parameter.data = mine.to(parameter.dtype).clone()


@pytest.fixture
def problem() -> Callable[..., Problem]:
    """problem(activation, **settings of both configurations) -> an SAE of D, L, K and a batch."""
    return _problem


@pytest.fixture
def ours() -> Callable[[Problem], tuple[Losses, dict[str, Tensor]]]:
    """Our trainer's losses and gradients."""
    return _ours


@pytest.fixture
def copy_weights() -> Callable[[SAE, dict[str, nn.Parameter]], None]:
    """Gives a peer's parameters, by our names, the numbers of ours."""
    return _copy_weights


@pytest.fixture
def check_losses() -> Callable[..., dict[str, Tensor]]:
    """See `_check_losses`."""
    return _check_losses
