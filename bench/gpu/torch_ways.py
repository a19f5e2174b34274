"""Does the jobs of an autoencoder by the ops of torch, beside which the kernels are timed.

These ops round scores and gradients to the dtype; our kernels keep both in float32.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ..problem import Problem

CHUNK_ROWS, CHUNK_LATENTS = 2048, 8192  # 32 MiB in a half dtype, which fits into the L2 cache

Tensors = Sequence[Tensor]


def encode(x: Tensor, weight: Tensor, bias: Tensor, k: int) -> tuple[Tensor, Tensor]:
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


def dense_above(
    x: Tensor, weight: Tensor, bias: Tensor, threshold: float
) -> tuple[Tensor, Tensor, Tensor]:
    """List the scores above a threshold, with the whole product in memory."""
    scores = functional.linear(x, weight, bias)
    above = scores > threshold
    offsets = functional.pad(above.sum(1).cumsum(0), (1, 0))
    return offsets, above.nonzero()[:, 1], scores[above]


def squared_length(x: Tensor) -> Tensor:
    """Return the mean squared length of the rows; it keeps gradients in a half dtype's range."""
    return x.float().square().sum() / len(x)


def bag_decode(values: Tensor, indices: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Decode by embedding_bag."""
    return functional.embedding_bag(indices, weight, per_sample_weights=values, mode="sum") + bias


def gather_decode(values: Tensor, indices: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Decode as one writes it for a compiler, which can avoid the (N, k, D) tensor."""
    return (values[..., None] * weight[indices]).sum(1) + bias


def dense_grads(p: Problem) -> Tensors:
    """Sum gradients by dense products of (N, L) matrices."""
    empty = p.x.new_zeros(len(p.x), len(p.W_dec))
    sides = (p.values, p.g), (p.d_values, p.x)
    return [empty.scatter(1, p.indices, values).T @ side for values, side in sides]


def bag_backward(p: Problem) -> Callable[[], Tensors]:
    """Return a call of the backward pass of embedding_bag for both matrices."""
    weights = [w.detach().requires_grad_() for w in (p.W_dec, p.W_enc)]
    with torch.enable_grad():
        outputs = [
            functional.embedding_bag(p.indices, w, per_sample_weights=v, mode="sum")
            for w, v in zip(weights, (p.values, p.d_values), strict=True)
        ]
    return lambda: torch.autograd.grad(outputs, weights, [p.g, p.x], retain_graph=True)


def autograd_step(p: Problem) -> Callable[[], Tensors]:
    """Return a call of a training step: the error over `squared_length`, dW_dec and dW_enc.

    It decodes by a dense product, because embedding_bag has no gradient of bfloat16 values on CUDA.
    """
    leaves = W_dec, W_enc, b_enc = [
        t.detach().requires_grad_() for t in (p.W_dec, p.W_enc, p.b_enc)
    ]  # fmt: skip

    def step() -> Tensors:
        size = squared_length(p.x)
        with torch.enable_grad():
            values, indices = encode(p.x, W_enc, b_enc, p.k)
            codes = values.new_zeros(len(p.x), len(W_dec)).scatter(1, indices, values)
            loss = (codes @ W_dec + p.b_dec - p.x).float().square().sum() / size
            gradients = torch.autograd.grad(loss, leaves)
        return [loss.detach(), *gradients[:2]]

    return step
