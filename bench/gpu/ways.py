"""The ways of doing each job of an autoencoder: our kernels, the ops of torch, and peers.

All ways of a job take the same tensors and return the same results (`Way`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ...kernels.autoencode import Autoencoded, topk_autoencode
from ...kernels.backends import Backend
from ...kernels.decode import decode_error, gather_dot, sparse_decode
from ...kernels.grads import latent_grads
from ...kernels.topk import TopK, linear_topk
from ..measurement import OURS, PRODUCT
from ..peers import GPU_PEERS, Peer, installed_peers
from ..problem import Problem
from .torch_ways import (
    Tensors,
    bag_backward,
    bag_decode,
    chunked_encode,
    dense_grads,
    gather_decode,
    squared_length,
    torch_autoencode,
    torch_encode,
    torch_loss,
    torch_step,
)

TORCH_ENCODE = "cuBLAS + torch.topk"
CHUNKED_ENCODE = "chunked cuBLAS + torch.topk"
BAG = "embedding_bag"


@dataclass(frozen=True)
class Way:
    """One way of doing a job.

    `run` returns, for encode: values, indices (N, k). For decode: (N, D). For autoencode: (N, D),
    values, indices. For grads: dW_dec, dW_enc (L, D). For step: the squared error divided by
    `squared_length`, a scalar, then dW_dec, dW_enc.
    """

    name: str
    run: Callable[[], Any]
    kernels: tuple[str, ...] = ()
    """The kernels of ours that it calls."""
    of_unknown_scale: bool = False
    """Whether the scale of its loss is not documented."""


@dataclass(frozen=True)
class Means:
    """How the ways are made."""

    backend: Backend
    """The backend of our kernels."""
    compiler: str | None
    """The backend of torch.compile; None leaves torch.compile out."""


def encode_ways(problem: Problem, means: Means) -> list[Way]:
    """Return the ways from a batch to its active latents."""
    x, weight, bias, k = problem.x, problem.W_enc, problem.b_enc, problem.k
    product = x.new_empty(len(x), len(weight))

    def ours() -> TopK:
        return linear_topk(x, weight, bias, k, backend=means.backend)

    return [
        Way(OURS, ours, ("linear_topk",)),
        Way(PRODUCT, lambda: [torch.mm(x, weight.T, out=product)]),
        Way(TORCH_ENCODE, lambda: torch_encode(x, weight, bias, k)),
        Way(CHUNKED_ENCODE, lambda: chunked_encode(x, weight, bias, k)),
        *_compiled(TORCH_ENCODE, torch_encode, (x, weight, bias, k), means),
        *_peers(problem, _encoder),
    ]


def decode_ways(problem: Problem, means: Means) -> list[Way]:
    """Return the ways from active latents to the reconstruction."""
    values, indices, weight, bias = problem.values, problem.indices, problem.W_dec, problem.b_dec
    inputs = values, indices, weight, bias

    def ours() -> Tensors:
        return [sparse_decode(values, indices, weight, bias, backend=means.backend)]

    return [
        Way(OURS, ours, ("sparse_decode",)),
        Way(BAG, lambda: [bag_decode(*inputs)]),
        *_compiled(BAG, lambda *given: [bag_decode(*given)], inputs, means),
        *_compiled("gather and sum", lambda *given: [gather_decode(*given)], inputs, means),
        *_peers(problem, _decoder),
    ]


def autoencode_ways(problem: Problem, means: Means) -> list[Way]:
    """Return the ways from a batch to its reconstruction."""
    x, product = problem.x, problem.x.new_empty(len(problem.x), len(problem.W_enc))
    inputs = x, problem.W_enc, problem.b_enc, problem.W_dec, problem.b_dec, problem.k

    def ours() -> Autoencoded:
        return topk_autoencode(*inputs, backend=means.backend)

    def apart() -> Tensors:
        x, W_enc, b_enc, W_dec, b_dec, k = inputs
        values, indices, _ = linear_topk(x, W_enc, b_enc, k, backend=means.backend)
        decoded = sparse_decode(values, indices, W_dec, b_dec, backend=means.backend)
        return [decoded, values, indices]

    return [
        Way(OURS, ours, ("topk_autoencode",)),
        Way(f"{OURS}, two calls", apart, ("linear_topk", "sparse_decode")),
        Way(PRODUCT, lambda: [torch.mm(x, problem.W_enc.T, out=product)]),
        Way(f"{TORCH_ENCODE} + {BAG}", lambda: torch_autoencode(*inputs)),
        *_compiled(f"{TORCH_ENCODE} + {BAG}", torch_autoencode, inputs, means),
    ]


def grads_ways(problem: Problem, means: Means) -> list[Way]:
    """Return the ways from active latents and gradients to the gradients of both matrices."""
    values, d_values, indices, x, g = (
        problem.values, problem.d_values, problem.indices, problem.x, problem.g,
    )  # fmt: skip
    latents = len(problem.W_dec)

    def ours() -> Tensors:
        return latent_grads(
            values, d_values, indices, x, g, latents, backend=means.backend
        )  # fmt: skip

    inputs = values, d_values, indices, x, g, latents
    return [
        Way(OURS, ours, ("latent_grads",)),
        Way(f"{BAG}'s backward", bag_backward(problem)),
        Way("scatter + cuBLAS", lambda: dense_grads(*inputs)),
        *_compiled("scatter + cuBLAS", dense_grads, inputs, means),
    ]


def step_ways(problem: Problem, means: Means) -> list[Way]:
    """Return the ways from a batch to its squared error and the gradients of both matrices."""
    x, product = problem.x, problem.x.new_empty(len(problem.x), len(problem.W_enc))
    size = squared_length(x)

    def ours() -> Tensors:
        values, indices, _ = linear_topk(
            x, problem.W_enc, problem.b_enc, problem.k, backend=means.backend
        )
        squares, g, d_values = decode_error(
            values, indices, problem.W_dec, problem.b_dec, x, 2 / size, backend=means.backend
        )
        sums = latent_grads(
            values, d_values, indices, x, g, len(problem.W_dec), backend=means.backend
        )
        return [squares.sum() / size, sums.dW_dec, sums.dW_enc]

    def fused() -> Tensors:
        found = topk_autoencode(
            x, problem.W_enc, problem.b_enc, problem.W_dec, problem.b_dec, problem.k,
            backend=means.backend,
        )  # fmt: skip
        g = ((found.recon - x) * (2 / size)).to(x.dtype)
        d_values = gather_dot(g, found.indices, problem.W_dec, backend=means.backend)
        sums = latent_grads(
            found.values, d_values, found.indices, x, g, len(problem.W_dec), backend=means.backend
        )
        return [found.squares.sum() / size, sums.dW_dec, sums.dW_enc]

    weights = problem.W_dec, problem.W_enc, problem.b_enc
    parameters = tuple(t.detach().requires_grad_() for t in weights)
    inputs = x, *parameters, problem.b_dec, problem.k, size
    return [
        Way(OURS, ours, ("linear_topk", "decode_error", "latent_grads")),
        Way(f"{OURS}, forward fused", fused, ("topk_autoencode", "gather_dot", "latent_grads")),
        Way(PRODUCT, lambda: [torch.mm(x, problem.W_enc.T, out=product)]),
        Way(f"{TORCH_ENCODE} + {BAG}, autograd", lambda: torch_step(torch_loss, *inputs)),
        *_compiled_step(inputs, means),
        *_peers(problem, _step, size),
    ]


WAYS: dict[str, Callable[[Problem, Means], list[Way]]] = {
    "encode": encode_ways,
    "decode": decode_ways,
    "autoencode": autoencode_ways,
    "grads": grads_ways,
    "step": step_ways,
}


def _peers(
    problem: Problem,
    run_of: Callable[[Peer, Problem], Callable[[], Any] | None],
    total_variance: Tensor | None = None,
) -> list[Way]:
    """Return the ways of the peers that can do a job; ``run_of`` says how one does it."""
    try:
        peers = installed_peers(problem.weights, GPU_PEERS, total_variance)
    except Exception as error:  # it is raised again when the peers are timed, after ours
        return [Way("peers", partial(_fail, error))]
    runs = [(peer, run) for peer in peers if (run := run_of(peer, problem)) is not None]
    return [
        Way(peer.name, run, of_unknown_scale=peer.loss == "of unknown scale") for peer, run in runs
    ]


def _encoder(peer: Peer, problem: Problem) -> Callable[[], Any] | None:
    return peer.encode and partial(peer.encode, problem.x)


def _decoder(peer: Peer, problem: Problem) -> Callable[[], Any] | None:
    decode = peer.decode
    return decode and (lambda: [decode(problem.values, problem.indices)])


def _step(peer: Peer, problem: Problem) -> Callable[[], Any]:
    def run() -> Tensors:
        found = peer.step(problem.x)
        return [found["loss"], found["W_dec"], found["encoder_weight"]]

    return run


def _fail(error: Exception) -> Tensors:
    raise error


def _compiled(
    name: str, function: Callable[..., Tensors], inputs: tuple[Any, ...], means: Means
) -> list[Way]:
    if means.compiler is None:
        return []
    made = torch.compile(function, backend=means.compiler, dynamic=False)
    return [Way(f"torch.compile: {name}", lambda: made(*inputs))]


def _compiled_step(inputs: tuple[Any, ...], means: Means) -> list[Way]:
    if means.compiler is None:
        return []
    loss_of = torch.compile(torch_loss, backend=means.compiler, dynamic=False)
    name = f"torch.compile: {TORCH_ENCODE} + {BAG}, autograd"
    return [Way(name, lambda: torch_step(loss_of, *inputs))]
