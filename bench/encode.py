"""TopK encoding: inputs to (values, indices)."""

import torch

from ..kernels.topk import linear_topk, pack
from .inputs import Inputs
from .measurement import OURS, PRODUCT, Measurement, measure, refuse_unless_close, score_rounding


@torch.no_grad()
def bench_encode(inputs: Inputs, rounds: int) -> Measurement:
    """Time `linear_topk`, its weight packed in each call or beforehand, and torch's own ops.

    Raises:
        RuntimeError: our result is wrong.
    """
    x, sae, k = inputs.x, inputs.sae, inputs.sae.config.k
    weight, packed = sae.encoder.weight.detach(), pack(sae.encoder.weight.detach())  # (L, D)
    bias = sae.encoder.bias - weight @ sae.b_dec  # (L,)
    x_array, weight_array = x.numpy(), weight.numpy()

    scores = torch.relu(x @ weight.T + bias)  # (N, L)
    expected = scores.topk(k).values
    allowed = score_rounding(x, weight, bias)
    for name, matrix in (("packed in the call", weight), ("packed before", packed)):
        ours = linear_topk(x, matrix, bias, k)
        refuse_unless_close(f"encode, {name}: the values", ours.values, expected, allowed)
        named = scores.gather(1, ours.indices.clamp_min(0)).where(ours.indices >= 0, 0)
        refuse_unless_close(f"encode, {name}: what is named", ours.values, named, allowed)
    stats = ours.stats
    del scores, expected, named

    ways = {
        OURS: lambda: linear_topk(x, weight, bias, k),
        f"{OURS}, packed before": lambda: linear_topk(x, packed, bias, k),
        "torch": lambda: torch.relu(x @ weight.T + bias).topk(k),
        PRODUCT: lambda: x @ weight.T,
        "product by numpy": lambda: x_array @ weight_array.T,
    }
    facts = {
        "survivors re-scored per row": f"{stats.survivors.item() / len(x):.1f}",
        "rows redone": str(stats.rows_redone.item()),
    }
    return measure(inputs.sizes, ways, 2 * x.numel() * len(weight), rounds, facts)
