"""TopK encoding: inputs to (values, indices)."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..kernels.topk import linear_topk, pack
from .inputs import Inputs
from .measurement import (
    OURS,
    PRODUCT,
    Measurement,
    measure,
    refuse_unless_close,
    scan_fact,
    score_rounding,
)
from .peers import peer_encoders
from .roofline import codes_rate, roofline_fact

PACKED, TORCH = f"{OURS}, packed before", "torch"
SPARE_BYTES = 64 * 2**20  # what an encoding may take beside two int8 copies of the weight

Encode = Callable[[], tuple[Any, ...]]
"""() -> the active latents' values and indices (N, k), and anything else."""


@torch.no_grad()
def bench_encode(inputs: Inputs, rounds: int) -> Measurement:
    """Time `linear_topk`, its weight packed in each call or beforehand, torch's own ops, and peers.

    Raises:
        RuntimeError: our result, or a peer's, is wrong.
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
    for peer, encode in peer_encoders(sae).items():
        encoders[peer] = partial(encode, x)
    _check(x, weight, bias, k, encoders)

    products = {PRODUCT: lambda: x @ weight.T, "product by numpy": lambda: x_array @ weight_array.T}
    operations = 2 * x.numel() * len(weight)
    scan, rate = scan_fact(linear_topk(x, weight, bias, k).stats, len(x)), codes_rate()
    found = measure(inputs.sizes, encoders | products, operations, rounds)
    product = min(found.seconds[way] for way in products)
    facts = {}
    for way in (OURS, PACKED):
        seconds = found.seconds[way]
        facts[way] = [
            f"{found.seconds[TORCH] / seconds:.2f}x torch",
            f"{product / seconds:.2f}x the faster product",
            *roofline_fact(operations, x.shape[1], seconds, rate),
            *scan,
        ]
    allowed = (2 * weight.numel() + SPARE_BYTES) / 2**20
    facts[OURS].append(f"memory meant to stay below {allowed:,.0f} MiB")
    return replace(found, facts=facts)


def _check(x: Tensor, weight: Tensor, bias: Tensor, k: int, encoders: Mapping[str, Encode]) -> None:
    scores = torch.relu(x @ weight.T + bias)  # (N, L)
    expected = scores.topk(k).values
    allowed = score_rounding(x, weight, bias)
    for name, encode in encoders.items():
        values, indices = encode()[:2]
        named = scores.gather(1, indices.clamp_min(0)).where(indices >= 0, 0)
        refuse_unless_close(f"encode, {name}: what is named", values, named, allowed)
        values = values.sort(descending=True).values  # peers give them in any order
        refuse_unless_close(f"encode, {name}: the values", values, expected, allowed)
