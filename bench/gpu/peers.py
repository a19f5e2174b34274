"""Other people's ops, where they are installed, called by the names that they document.

sparsify: https://github.com/EleutherAI/sparsify. flex-sae has a loss of the decoder alone
(https://huggingface.co/t-tech/flex-sae): torch encodes for it. Its licence is not free of
conditions; nothing of either is read or copied here.
"""

import os
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .problem import Problem

SPARSIFY = "sparsify"
FLEX = ("flex_sae", "flexsae")
FLEX_LOSS = "triton_topk_sae_loss"
WITH_FLEX = "cuBLAS + torch.topk +"
"""Begins a variant whose loss has a scale that is not documented."""

Runs = dict[str, Callable[[], Sequence[Tensor]]]
"""Name -> call, which returns what `variants.Variant` says."""


def encoders(problem: Problem) -> Runs:
    """Return the ways from a batch to its active latents."""
    if not find_spec(SPARSIFY):
        return {}
    coder = _sparse_coder(problem)
    return {SPARSIFY: lambda: coder.encode(problem.x)[:2]}


def decoders(problem: Problem) -> Runs:
    """Return the ways from active latents to the reconstruction."""
    if not find_spec(SPARSIFY):
        return {}
    coder = _sparse_coder(problem)
    return {SPARSIFY: lambda: [coder.decode(problem.values, problem.indices)]}


def steps(problem: Problem, size: Tensor) -> Runs:
    """Return the ways from a batch to its squared error over `size`, and gradients."""
    found: Runs = {}
    if find_spec(SPARSIFY):
        coder = _sparse_coder(problem)
        own = coder.W_dec, coder.encoder.weight, coder.encoder.bias, coder.b_dec
        found[SPARSIFY] = lambda: _backward(lambda: coder(problem.x, total_variance=size).fvu, own)
    found |= {f"{WITH_FLEX} {name}": _flex_step(name, problem) for name in filter(find_spec, FLEX)}
    return found


def _sparse_coder(problem: Problem) -> Any:
    """Return sparsify's module around our tensors; nothing is copied."""
    if problem.x.device.type == "cpu":  # before the import: its kernels need a GPU
        os.environ.setdefault("SPARSIFY_DISABLE_TRITON", "1")
    library = import_module(SPARSIFY)
    config = library.SparseCoderConfig(num_latents=len(problem.W_enc), k=problem.k)
    with torch.device(problem.x.device):
        coder = library.SparseCoder(
            problem.x.shape[1], config, device=problem.x.device, dtype=problem.x.dtype
        )
    coder.encoder.weight.data, coder.encoder.bias.data = problem.W_enc, problem.b_enc
    coder.W_dec.data = problem.W_dec
    coder.b_dec.data = problem.b_dec
    return coder


def _flex_step(name: str, problem: Problem) -> Callable[[], Sequence[Tensor]]:
    loss_of = getattr(import_module(name), FLEX_LOSS)
    W_dec, W_enc, b_enc, b_dec = (
        t.detach().requires_grad_()
        for t in (problem.W_dec, problem.W_enc, problem.b_enc, problem.b_dec)
    )

    def loss() -> Tensor:
        scores = functional.linear(problem.x, W_enc, b_enc).topk(problem.k)
        result: Tensor = loss_of(scores.indices, W_dec, scores.values.relu(), b_dec, problem.x)
        return result

    return lambda: _backward(loss, (W_dec, W_enc, b_enc, b_dec))


def _backward(loss_of: Callable[[], Tensor], parameters: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return a loss and the first two parameters' gradients; none is left to be added to."""
    with torch.enable_grad():
        loss = loss_of()
        torch.autograd.backward(loss)
    gradients = [parameter.grad for parameter in parameters]
    for parameter in parameters:
        parameter.grad = None
    return [loss.detach(), *(gradient for gradient in gradients[:2] if gradient is not None)]
