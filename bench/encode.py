"""Times TopK encoding: from inputs to the values and indices of the active latents."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..kernels.topk import linear_topk, pack
from .inputs import Inputs
from .measurement import OURS, PRODUCT, Measurement, Task, measure, scan_note
from .peers import installed_peers
from .refuse import refuse, score_rounding
from .roofline import codes_rate, roofline_note

PACKED, TORCH, NUMPY = f"{OURS}, packed before", "torch", "product by numpy"
SPARE_BYTES = 64 * 2**20  # an encoding may take this much and two int8 copies of the weight

Encode = Callable[[], tuple[Any, ...]]
"""Returns the values and the indices (N, k) of the active latents, and perhaps more."""


@torch.no_grad()
def bench_encode(inputs: Inputs, rounds: int) -> list[Measurement]:
    """Time `linear_topk`, its weight packed in each call or beforehand, torch's own ops, and peers.

    Raises:
        WrongResultError: our result, or that of a peer, is wrong.
    """
    x, sae, k = inputs.x, inputs.sae, inputs.sae.config.k
    weight, packed = sae.encoder.weight.detach(), pack(sae.encoder.weight.detach())  # (L, D)
    bias = sae.encoder.bias - weight @ sae.b_dec  # (L,)
    x_array, weight_array = x.numpy(), weight.numpy()
    encoders: dict[str, Encode] = {
        OURS: lambda: linear_topk(x, weight, bias, k),
        PACKED: lambda: linear_topk(x, packed, bias, k),
        TORCH: lambda: torch.relu(x @ weight.T + bias).topk(k),
    }
    for peer in installed_peers(inputs.weights):
        if peer.encode is not None:
            encoders[peer.name] = partial(peer.encode, x)
    _check(x, weight, bias, k, encoders)

    products = {PRODUCT: lambda: x @ weight.T, NUMPY: lambda: x_array @ weight_array.T}
    task = Task("encode", inputs.shape.sizes, inputs.source, 2 * x.numel() * len(weight))
    scan = scan_note(linear_topk(x, weight, bias, k).stats, len(x))
    return _with_notes(measure(task, encoders | products, rounds), scan)


def _with_notes(measured: Sequence[Measurement], scan: str) -> list[Measurement]:
    """Note for each of our ways how it compares with the others and with the processor."""
    seconds = {one.way: one.seconds for one in measured}
    task, rate = measured[0].task, codes_rate()
    product = min(seconds[PRODUCT], seconds[NUMPY])
    weight_bytes = task.sizes["L"] * task.sizes["D"]
    noted = []
    for one in measured:
        if one.way in (OURS, PACKED):
            share = roofline_note(task.operations, task.sizes["D"], one.seconds, rate)
            notes = [
                f"{seconds[TORCH] / one.seconds:.2f}x torch",
                f"{product / one.seconds:.2f}x the faster product",
                *([share] if share else []),
                scan,
            ]
            if one.way == OURS:
                allowed = (2 * weight_bytes + SPARE_BYTES) / 2**20
                notes.append(f"memory should stay below {allowed:,.0f} MiB")
            one = replace(one, notes=notes)
        noted.append(one)
    return noted


def _check(x: Tensor, weight: Tensor, bias: Tensor, k: int, encoders: Mapping[str, Encode]) -> None:
    scores = torch.relu(x @ weight.T + bias)  # (N, L)
    expected = scores.topk(k).values
    allowed = score_rounding(x, weight, bias)
    for name, encode in encoders.items():
        values, indices = encode()[:2]
        named = scores.gather(1, indices.clamp_min(0)).where(indices >= 0, 0)
        refuse(f"encode, {name}: the scores of the latents named", values, named, allowed)
        values = values.sort(descending=True).values  # peers give them in any order
        refuse(f"encode, {name}: the values", values, expected, allowed)
