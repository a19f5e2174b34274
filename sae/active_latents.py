"""Which latents of an SAE are active on a token, for each activation that SAEs come with."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ..kernels.topk import CSR, TopK, linear_above, linear_topk
from .config import SAEConfig


def active_latents(
    rows: Tensor,
    weight: Tensor,
    bias: Tensor,
    config: SAEConfig,
    latents: Mapping[str, Tensor | None],
) -> TopK:
    """Return the active latents of each row, by descending value (of "groupmax": by group).

    Args:
        rows: (N, D), the encoder's input.
        weight: (L, D).
        bias: (L,).
        config: says which latents are active, and k.
        latents: what else there is of each latent, (L,): ``threshold`` of "jumprelu" and
            "batch_topk", which its score must exceed, besides 0; ``gate_bias`` (of the encoder's
            own input), ``r_mag`` and ``mag_bias`` of "gated"; ``norms`` of "normed_topk", the
            lengths of the decoder's rows.

    Returns:
        Values and indices (N, k); where the number of active latents is not fixed, k is the largest
        of any row. Missing places are value 0, index -1.
    """
    if config.activation == "topk":
        return linear_topk(rows, weight, bias, config.k)
    if config.activation == "raw_topk":
        return linear_topk(rows, weight, bias, config.k, floor=-math.inf)
    if config.activation == "normed_topk":
        norms = latents["norms"]
        assert norms is not None
        top = linear_topk(rows, weight * norms[:, None], bias * norms, config.k)
        return top._replace(values=top.values / norms[top.indices.clamp(min=0)].clamp(min=1e-30))
    if config.activation == "abs_topk":
        return _abs_topk(rows, weight, bias, config.k)
    if config.activation == "groupmax":
        return group_max(rows, weight, bias, config.k)
    if config.activation == "gated":
        return _gated(rows, weight, bias, latents)
    threshold = latents["threshold"]
    above = 0.0 if threshold is None else threshold.clamp(min=0)
    return _ranked(linear_above(rows, weight, bias, above))


def group_max(rows: Tensor, weight: Tensor, bias: Tensor, k: int) -> TopK:
    """Return the largest of each of k equal groups of latents, by group, as `active_latents`."""
    top = linear_topk(rows, weight, bias, 1, groups=k)
    shape = (len(rows), k)
    indices = top.indices.reshape(shape)
    first = torch.arange(k, device=rows.device) * (len(weight) // k)
    return top._replace(
        values=top.values.reshape(shape), indices=indices.where(indices < 0, indices + first)
    )


def _abs_topk(rows: Tensor, weight: Tensor, bias: Tensor, k: int) -> TopK:
    """Return the k largest scores by absolute value, with their signs: those of W and -W."""
    both = torch.cat([weight, -weight]), torch.cat([bias, -bias])
    top = linear_topk(rows, *both, k)
    negative = top.indices >= len(weight)
    values, indices = top.values, top.indices
    return top._replace(
        values=values.where(~negative, -values),
        indices=indices.where(~negative, indices - len(weight)),
    )


def _gated(
    rows: Tensor, weight: Tensor, bias: Tensor, latents: Mapping[str, Tensor | None]
) -> TopK:
    """Return the latents whose gate is open and whose magnitude is positive.

    With the score s of the gate, the magnitude is exp(r_mag) (s - gate_bias) + mag_bias; see
    section 3 of arXiv 2404.16014. It is positive where s > gate_bias - mag_bias / exp(r_mag).
    """
    gate_bias, r_mag, mag_bias = (latents[name] for name in ("gate_bias", "r_mag", "mag_bias"))
    assert gate_bias is not None
    assert r_mag is not None
    assert mag_bias is not None
    gain = r_mag.exp()
    shift = mag_bias - gain * gate_bias
    found = linear_above(rows, weight, bias, (-shift / gain).clamp(min=0).detach())
    values = gain[found.indices] * found.values + shift[found.indices]
    return _ranked(found._replace(values=torch.relu(values)))


def _ranked(found: CSR) -> TopK:
    rows = len(found.row_offsets) - 1
    counts = found.row_offsets.diff()
    width = int(counts.amax()) if rows else 0
    row = torch.arange(rows, device=counts.device).repeat_interleave(counts)
    place = torch.arange(len(row), device=counts.device) - found.row_offsets[row]
    values = found.values.new_zeros((rows, width)).index_put((row, place), found.values)
    indices = torch.full_like(values, -1, dtype=torch.int64).index_put((row, place), found.indices)
    ranked = values.sort(dim=1, descending=True, stable=True)  # missing places have the least value
    return TopK(ranked.values, indices.gather(1, ranked.indices), found.stats)
