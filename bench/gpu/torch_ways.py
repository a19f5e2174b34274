"""Does the jobs of an autoencoder by the ops of torch, beside which the kernels are timed.

These ops round scores and gradients to the dtype; our kernels keep both in float32.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ..problem import Problem

CHUNK_ROWS, CHUNK_LATENTS = 2048, 8192  # 32 MiB in a half dtype, which fits into the L2 cache

Tensors = Sequence[Tensor]


def torch_encode(x: Tensor, weight: Tensor, bias: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Encode with the whole product in memory; the relu comes last, on the fewest numbers."""
    values, indices = functional.linear(x, weight, bias).topk(k)
    return values.relu(), indices


def chunked_encode(x: Tensor, weight: Tensor, bias: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Encode with one part of the product at a time in one buffer, then merge the best of each."""
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
    """Return the mean squared length of the rows; it keeps gradients in a half dtype's range."""
    return x.float().square().sum() / len(x)


def bag_decode(values: Tensor, indices: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Decode by embedding_bag."""
    return functional.embedding_bag(indices, weight, per_sample_weights=values, mode="sum") + bias


def torch_autoencode(
    x: Tensor, W_enc: Tensor, b_enc: Tensor, W_dec: Tensor, b_dec: Tensor, k: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Encode and decode by the ops of torch."""
    values, indices = torch_encode(x, W_enc, b_enc, k)
    return bag_decode(values, indices, W_dec, b_dec), values, indices


def gather_decode(values: Tensor, indices: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Decode as one writes it for a compiler, which can avoid the (N, k, D) tensor."""
    return (values[..., None] * weight[indices]).sum(1) + bias


def dense_grads(
    values: Tensor, d_values: Tensor, indices: Tensor, x: Tensor, g: Tensor, latents: int
) -> tuple[Tensor, Tensor]:
    """Sum gradients by dense products of (N, L) matrices."""
    codes = values.new_zeros(len(x), latents).scatter(1, indices, values)
    d_codes = values.new_zeros(len(x), latents).scatter(1, indices, d_values)
    return codes.T @ g, d_codes.T @ x


def bag_backward(problem: Problem) -> Callable[[], Tensors]:
    """Return a call of the backward pass of embedding_bag for both matrices."""
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
    """Return the squared error of a reconstruction divided by ``size``, by the ops of torch."""
    values, indices = torch_encode(x, W_enc, b_enc, k)
    return (bag_decode(values, indices, W_dec, b_dec) - x).float().square().sum() / size


def torch_step(loss_of: Callable[..., Tensor], *inputs: Any) -> Tensors:
    """Return a loss, and its gradients by the first two parameters after x."""
    with torch.enable_grad():
        loss = loss_of(*inputs)
        gradients = torch.autograd.grad(loss, inputs[1:4])
    return [loss.detach(), *gradients[:2]]
