"""Gradients by latent in torch, for any float dtype and device: every backend's specification."""

import torch
from torch import Tensor

from ..checks import check_ascending, check_range
from ..exactness import exact_products
from .interface import LatentGradsInputs

CHUNK_ELEMENTS = 1 << 20  # the most numbers of the scaled rows that are summed at once


def latent_grads(inputs: LatentGradsInputs) -> None:
    """See api.latent_grads.

    An example of the index: for indices [[2, 0], [0, -1]] the places 0 to 3 hold the latents 2, 0,
    0 and none. Sorted by latent, and without the last, they are latents [0, 0, 2] at places
    [1, 2, 0], in the rows [0, 1, 0].
    """
    indices, values, d_values = inputs.indices, inputs.values, inputs.d_values
    dW_dec, dW_enc, db_enc, fired = inputs.dW_dec, inputs.dW_enc, inputs.db_enc, inputs.fired
    check_range("indices", indices, inputs.num_latents)
    if inputs.row_offsets is not None:
        check_ascending(inputs.row_offsets, indices.shape[0])
    if not inputs.accumulate:
        for out in (dW_dec, dW_enc, db_enc, fired):
            if out is not None:
                out.zero_()
    by_latent = indices.flatten().sort(stable=True)
    named = by_latent.values >= 0
    latents, places = by_latent.values[named], by_latent.indices[named]
    if inputs.row_offsets is None:
        rows = places // max(1, indices.shape[1])
    else:
        rows = torch.searchsorted(inputs.row_offsets, places, right=True) - 1
    with exact_products(indices.device):
        if dW_dec is not None:
            assert values is not None
            assert inputs.g is not None
            _add_scaled_rows(dW_dec, latents, rows, _at(values, places), inputs.g)
        if dW_enc is not None:
            assert d_values is not None
            assert inputs.x is not None
            _add_scaled_rows(dW_enc, latents, rows, _at(d_values, places), inputs.x)
        if db_enc is not None:
            assert d_values is not None
            sums = db_enc[:, None]
            one = sums.new_ones((1, 1))
            _add_scaled_rows(sums, latents, torch.zeros_like(rows), _at(d_values, places), one)
    if fired is not None:
        first = torch.ones_like(latents, dtype=torch.bool)
        first[1:] = (latents[1:] != latents[:-1]) | (rows[1:] != rows[:-1])
        fired += torch.bincount(latents[first], minlength=inputs.num_latents)


def _at(scales: Tensor, places: Tensor) -> Tensor:
    return scales.flatten()[places]


def _add_scaled_rows(
    out: Tensor, latents: Tensor, rows: Tensor, scales: Tensor, source: Tensor
) -> None:
    """Add to out[l] the sum of scales[i] * source[rows[i]] over all i where latents[i] == l.

    latents: ascending.
    """
    step = max(1, CHUNK_ELEMENTS // max(1, source.shape[1]))
    for start in range(0, latents.shape[0], step):
        part = slice(start, start + step)
        scaled = scales[part, None].to(out.dtype) * source[rows[part]].to(out.dtype)
        own, counts = torch.unique_consecutive(latents[part], return_counts=True)
        out[own] += torch.segment_reduce(scaled, "sum", lengths=counts, axis=0)
