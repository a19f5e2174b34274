"""The ways of doing each job of an autoencoder: our kernels, torch's own, and peers.

All of a job take the same tensors and return the same things (`Variant`). Torch's and peers'
round to the dtype on the way (scores, and gradients, which ours keep in float32).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ...kernels.autoencode import Autoencoded, topk_autoencode
from ...kernels.backends import Backend
from ...kernels.decode import decode_error, gather_dot, sparse_decode
from ...kernels.grads import latent_grads
from ...kernels.topk import TopK, linear_topk
from ..measurement import OURS, PRODUCT
from . import peers
from .problem import Problem
from .routes import by_route, route_names

TORCH_ENCODE = "cuBLAS + torch.topk"
CHUNKED_ENCODE = "chunked cuBLAS + torch.topk"
BAG = "embedding_bag"
CHUNK_ROWS, CHUNK_LATENTS = 2048, 8192  # a buffer of 32 MiB in a half dtype: within the L2 cache

Tensors = Sequence[Tensor]


@dataclass(frozen=True)
class Variant:
    """One way of doing a job.

    The job says what `run` returns. encode: values, indices (N, k). decode: (N, D). autoencode:
    (N, D), values, indices. grads: dW_dec, dW_enc (L, D). step: the squared error over
    `squared_length`, a scalar, then dW_dec, dW_enc.
    """

    name: str
    run: Callable[[], Any]
    kernels: tuple[str, ...] = ()
    """Those of ours that it is made of."""


@dataclass(frozen=True)
class Means:
    """What the variants are made with."""

    backend: Backend
    """Of our kernels."""
    compiler: str | None
    """torch.compile's backend; None: without it."""


def encode_variants(problem: Problem, means: Means) -> list[Variant]:
    """Return the ways from a batch to its active latents."""
    x, weight, bias, k = problem.x, problem.W_enc, problem.b_enc, problem.k
    product = x.new_empty(len(x), len(weight))

    def ours() -> TopK:
        return linear_topk(x, weight, bias, k, backend=means.backend)

    def by(route: str) -> TopK:
        with by_route(route, problem):
            return ours()

    routes = [
        Variant(f"{OURS}, {route}", partial(by, route), ("linear_topk",))
        for route in route_names(means.backend)
    ]
    return [
        Variant(OURS, ours, ("linear_topk",)),
        *routes,
        Variant(PRODUCT, lambda: [torch.mm(x, weight.T, out=product)]),
        Variant(TORCH_ENCODE, lambda: torch_encode(x, weight, bias, k)),
        Variant(CHUNKED_ENCODE, lambda: chunked_encode(x, weight, bias, k)),
        *_compiled(TORCH_ENCODE, torch_encode, (x, weight, bias, k), means),
        *_of_peers(peers.encoders, problem),
    ]


def decode_variants(problem: Problem, means: Means) -> list[Variant]:
    """Return the ways from active latents to the reconstruction."""
    values, indices, weight, bias = problem.values, problem.indices, problem.W_dec, problem.b_dec
    inputs = values, indices, weight, bias

    def ours() -> Tensors:
        return [sparse_decode(values, indices, weight, bias, backend=means.backend)]

    return [
        Variant(OURS, ours, ("sparse_decode",)),
        Variant(BAG, lambda: [bag_decode(*inputs)]),
        *_compiled(BAG, lambda *given: [bag_decode(*given)], inputs, means),
        *_compiled("gather and sum", lambda *given: [gather_decode(*given)], inputs, means),
        *_of_peers(peers.decoders, problem),
    ]


def autoencode_variants(problem: Problem, means: Means) -> list[Variant]:
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
        Variant(OURS, ours, ("topk_autoencode",)),
        Variant(f"{OURS}, two calls", apart, ("linear_topk", "sparse_decode")),
        Variant(PRODUCT, lambda: [torch.mm(x, problem.W_enc.T, out=product)]),
        Variant(f"{TORCH_ENCODE} + {BAG}", lambda: torch_autoencode(*inputs)),
        *_compiled(f"{TORCH_ENCODE} + {BAG}", torch_autoencode, inputs, means),
    ]


def grads_variants(problem: Problem, means: Means) -> list[Variant]:
    """Return the ways from active latents and gradients to those of both matrices."""
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
        Variant(OURS, ours, ("latent_grads",)),
        Variant(f"{BAG}'s backward", bag_backward(problem)),
        Variant("scatter + cuBLAS", lambda: dense_grads(*inputs)),
        *_compiled("scatter + cuBLAS", dense_grads, inputs, means),
    ]


def step_variants(problem: Problem, means: Means) -> list[Variant]:
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

    parameters = tuple(
        t.detach().requires_grad_() for t in (problem.W_dec, problem.W_enc, problem.b_enc)
    )
    inputs = x, *parameters, problem.b_dec, problem.k, size
    return [
        Variant(OURS, ours, ("linear_topk", "decode_error", "latent_grads")),
        Variant(f"{OURS}, forward fused", fused, ("topk_autoencode", "gather_dot", "latent_grads")),
        Variant(PRODUCT, lambda: [torch.mm(x, problem.W_enc.T, out=product)]),
        Variant(f"{TORCH_ENCODE} + {BAG}, autograd", lambda: torch_step(torch_loss, *inputs)),
        *_compiled_step(inputs, means),
        *_of_peers(peers.steps, problem, size),
    ]


VARIANTS: dict[str, Callable[[Problem, Means], list[Variant]]] = {
    "encode": encode_variants,
    "decode": decode_variants,
    "autoencode": autoencode_variants,
    "grads": grads_variants,
    "step": step_variants,
}


def torch_encode(x: Tensor, weight: Tensor, bias: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Encode with the whole product in memory; the relu comes last, where it costs least."""
    values, indices = functional.linear(x, weight, bias).topk(k)
    return values.relu(), indices


def chunked_encode(x: Tensor, weight: Tensor, bias: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Encode with a part of the product at a time in one buffer, and the best of the best."""
    buffer = x.new_empty(min(len(x), CHUNK_ROWS) * min(len(weight), CHUNK_LATENTS))
    values, indices = [], []
    for rows in torch.split(x, CHUNK_ROWS):
        found = []
        for start in range(0, len(weight), CHUNK_LATENTS):
            part = slice(start, min(start + CHUNK_LATENTS, len(weight)))
            scores = buffer[: len(rows) * (part.stop - start)].view(len(rows), -1)
            torch.addmm(bias[part], rows, weight[part].T, out=scores)
            best = scores.topk(min(k, scores.shape[1]))
            found.append((best.values, best.indices + start))
        every, names = (torch.cat(parts, 1) for parts in zip(*found, strict=True))
        best = every.topk(k)
        values.append(best.values.relu())
        indices.append(names.gather(1, best.indices))
    return torch.cat(values), torch.cat(indices)


def squared_length(x: Tensor) -> Tensor:
    """Return the mean squared length of the rows, which keeps gradients in a half dtype's range."""
    return x.float().square().sum() / len(x)


def bag_decode(values: Tensor, indices: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Decode by torch's embedding_bag."""
    return functional.embedding_bag(indices, weight, per_sample_weights=values, mode="sum") + bias


def torch_autoencode(
    x: Tensor, W_enc: Tensor, b_enc: Tensor, W_dec: Tensor, b_dec: Tensor, k: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Encode and decode by torch's ops."""
    values, indices = torch_encode(x, W_enc, b_enc, k)
    return bag_decode(values, indices, W_dec, b_dec), values, indices


def gather_decode(values: Tensor, indices: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Decode as one writes it for a compiler, which need not make the (N, k, D) tensor."""
    return (values[..., None] * weight[indices]).sum(1) + bias


def dense_grads(
    values: Tensor, d_values: Tensor, indices: Tensor, x: Tensor, g: Tensor, latents: int
) -> tuple[Tensor, Tensor]:
    """Sum gradients by dense products of (N, L) matrices."""
    codes = values.new_zeros(len(x), latents).scatter(1, indices, values)
    d_codes = values.new_zeros(len(x), latents).scatter(1, indices, d_values)
    return codes.T @ g, d_codes.T @ x


def bag_backward(problem: Problem) -> Callable[[], Tensors]:
    """Return a call of embedding_bag's backward for both matrices."""
    weights = [w.detach().requires_grad_() for w in (problem.W_dec, problem.W_enc)]
    with torch.enable_grad():
        outputs = [
            functional.embedding_bag(problem.indices, w, per_sample_weights=v, mode="sum")
            for w, v in zip(weights, (problem.values, problem.d_values), strict=True)
        ]
    ends = [problem.g, problem.x]
    return lambda: torch.autograd.grad(outputs, weights, ends, retain_graph=True)


def torch_loss(
    x: Tensor, W_dec: Tensor, W_enc: Tensor, b_enc: Tensor, b_dec: Tensor, k: int, size: Tensor
) -> Tensor:
    """Return the squared error of a reconstruction over `size`, by torch's ops."""
    values, indices = torch_encode(x, W_enc, b_enc, k)
    return (bag_decode(values, indices, W_dec, b_dec) - x).float().square().sum() / size


def torch_step(loss_of: Callable[..., Tensor], *inputs: Any) -> Tensors:
    """Return a loss and the gradients of the parameters that it takes first after x."""
    with torch.enable_grad():
        loss = loss_of(*inputs)
        gradients = torch.autograd.grad(loss, inputs[1:4])
    return [loss.detach(), *gradients[:2]]


def _of_peers(find: Callable[..., peers.Runs], *inputs: Any) -> list[Variant]:
    try:
        runs = find(*inputs)
    except Exception as error:  # said where it would be timed: ours go on
        return [Variant("peers", partial(_fail, error))]
    return [Variant(name, run) for name, run in runs.items()]


def _fail(error: Exception) -> Tensors:
    raise error


def _compiled(
    name: str, function: Callable[..., Tensors], inputs: tuple[Any, ...], means: Means
) -> list[Variant]:
    if means.compiler is None:
        return []
    made = torch.compile(function, backend=means.compiler, dynamic=False)
    return [Variant(f"torch.compile: {name}", lambda: made(*inputs))]


def _compiled_step(inputs: tuple[Any, ...], means: Means) -> list[Variant]:
    if means.compiler is None:
        return []
    loss_of = torch.compile(torch_loss, backend=means.compiler, dynamic=False)
    name = f"torch.compile: {TORCH_ENCODE} + {BAG}, autograd"
    return [Variant(name, lambda: torch_step(loss_of, *inputs))]
