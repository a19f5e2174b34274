"""Times forward and backward of one training step, without the optimiser; then its phases."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from ..kernels.grads import LatentGrads
from ..sae import SAE, TrainConfig
from ..sae.loss import total_variance
from ..sae.training.architectures import Batch, Losses, architecture
from ..sae.training.gradients import Gradients, empty_gradients
from ..sae.training.stack import EncoderStack
from .inputs import Inputs
from .measurement import OURS, PRODUCT, Measurement, Task, measure
from .peers import GRADIENTS, Peer, installed_peers
from .phases import bench_phases
from .refuse import refuse, score_rounding

if TYPE_CHECKING:
    from .clock import Call

# The names that peers' gradients have, and the parameters' own.
_OURS = dict(zip(GRADIENTS, ("encoder.weight", "encoder.bias", "W_dec", "b_dec"), strict=True))
RELATIVE_ROUNDING = 1e-4  # of sums of up to N k products, in the Frobenius norm


def bench_step(inputs: Inputs, rounds: int) -> list[Measurement]:
    """Time our trainer's gradients beside a TopK SAE in plain torch with autograd, and peers.

    The phases of a whole step, with its update, follow: see `bench_phases`.

    Raises:
        WrongResultError: our gradients, or those of a peer, are wrong.
    """
    x, sae = inputs.x, inputs.sae
    variance = total_variance(x)
    stack = EncoderStack([sae])
    parameters = (sae.encoder.weight, sae.encoder.bias, sae.W_dec, sae.b_dec)

    memory = empty_gradients(sae)

    def ours(out: LatentGrads | None) -> object:
        return topk_gradients(sae, stack, x, variance, out)

    _check(sae, x, stack, variance)
    peers = installed_peers(inputs.weights)
    _check_peers(sae, x, stack, peers)
    weight = sae.encoder.weight.detach()
    ways: dict[str, Call] = {
        OURS: partial(ours, memory),  # the trainer keeps the memory of its gradients too
        f"{OURS}, gradients in new memory": partial(ours, None),
        "torch autograd": lambda: torch.autograd.grad(torch_fvu(sae, x, variance), parameters),
        PRODUCT: lambda: x @ weight.T,
    }
    for peer in peers:
        ways[peer.name] = partial(peer.step, x)
    task = Task("step", inputs.shape.sizes, inputs.source, 2 * x.numel() * len(weight))
    return measure(task, ways, rounds) + bench_phases(inputs, rounds)


@torch.no_grad()
def topk_gradients(
    sae: SAE, stack: EncoderStack, x: Tensor, variance: Tensor, memory: LatentGrads | None = None
) -> tuple[Losses, dict[str, Tensor]]:
    """Return what our trainer does of a TopK SAE, alone in its stack, and rows ``x`` (N, D)."""
    kind = architecture(sae.config, TrainConfig())
    (stacked,) = stack.encode(x, kind.stacked_k)
    dead = torch.zeros_like(sae.encoder.bias, dtype=torch.bool)
    gradients = Gradients(sae)
    losses = kind.backward(sae, Batch(x, x, variance, dead, 0.0), stacked, gradients)
    return losses, gradients.written(memory)


def torch_fvu(sae: SAE, x: Tensor, variance: Tensor, chosen: Tensor | None = None) -> Tensor:
    """Return the FVU of the rows ``x`` (N, D), a scalar with a gradient, by torch's own ops.

    ``chosen`` (N, k) int64, if given, are the active latents; else the k largest are.
    """
    scores = torch.relu(functional.linear(x - sae.b_dec, sae.encoder.weight, sae.encoder.bias))
    if chosen is None:
        values, indices = scores.topk(sae.config.k)
    else:
        values, indices = scores.gather(1, chosen), chosen
    decoded = functional.embedding_bag(indices, sae.W_dec, per_sample_weights=values, mode="sum")
    return (decoded + sae.b_dec - x).square().sum() / variance


def _check(sae: SAE, x: Tensor, stack: EncoderStack, variance: Tensor) -> None:
    ((places, values),) = stack.encode(x, sae.config.k)
    with torch.no_grad():
        bias = sae.encoder.bias - sae.encoder.weight @ sae.b_dec
        largest = torch.relu(x @ sae.encoder.weight.T + bias).topk(sae.config.k).values
        allowed = score_rounding(x, sae.encoder.weight, bias)
    refuse("step: the values of the encoder", values, largest, allowed)
    _, ours = topk_gradients(sae, stack, x, variance)
    parameters = (sae.encoder.weight, sae.encoder.bias, sae.W_dec, sae.b_dec)
    # Both sides use the same latents, because rounding may swap two that are nearly equal. In place
    # of a missing latent stands one whose value is 0 after the relu, so that no gradient passes it.
    loss = torch_fvu(sae, x, variance, _without_missing(sae, x, places.indices))
    for name, expected in zip(GRADIENTS, torch.autograd.grad(loss, parameters), strict=True):
        _refuse_unless_near(f"step: d{name}", ours[_OURS[name]], expected)


def _check_peers(sae: SAE, x: Tensor, stack: EncoderStack, peers: Sequence[Peer]) -> None:
    """Compare the peers with us on those rows where rounding cannot choose other latents."""
    clear = x[_unmistakable(sae, x)]
    if not peers or not len(clear):
        return
    variance = total_variance(clear)
    losses, ours = topk_gradients(sae, stack, clear, variance)
    for peer in peers:
        theirs = peer.step(clear)
        scale = float(variance) / len(clear) if peer.loss == "per token" else 1.0
        what = f"step, {peer.name}"
        _refuse_unless_near(f"{what}: the loss", theirs["loss"], losses.fvu * scale)
        for name in GRADIENTS:
            expected = ours[_OURS[name]] * scale
            _refuse_unless_near(f"{what}: d{name}", theirs[name], expected)


def _refuse_unless_near(what: str, found: Tensor, expected: Tensor) -> None:
    """Compare two tensors by the Frobenius norm of their difference."""
    allowed = RELATIVE_ROUNDING * float(expected.norm())
    refuse(f"{what}, in the Frobenius norm", (found - expected).norm(), torch.zeros(()), allowed)


@torch.no_grad()
def _unmistakable(sae: SAE, x: Tensor) -> Tensor:
    """Return (N,) bool: whether k scores of a row are larger than 0 and all others by a margin."""
    bias = sae.encoder.bias - sae.encoder.weight @ sae.b_dec
    scores = torch.relu(x @ sae.encoder.weight.T + bias)  # (N, L)
    k = sae.config.k
    best = functional.pad(scores.topk(min(k + 1, scores.shape[1])).values, (0, 1))
    return best[:, k - 1] - best[:, k] > score_rounding(x, sae.encoder.weight, bias)


@torch.no_grad()
def _without_missing(sae: SAE, x: Tensor, indices: Tensor) -> Tensor:
    if not (indices < 0).any():
        return indices
    scores = functional.linear(x - sae.b_dec, sae.encoder.weight, sae.encoder.bias)  # (N, L)
    return indices.where(indices >= 0, scores.argmin(dim=1, keepdim=True))
