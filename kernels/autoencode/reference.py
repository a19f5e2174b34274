"""The autoencoder in torch: the specification of every backend. Any float dtype, any device."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..decode.reference import decode_error, sparse_decode
from ..exactness import exact_products
from ..topk.reference import linear_topk

Parts = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def topk_autoencode(
    x: Tensor,
    W_enc: Tensor,
    b_enc: Tensor | None,
    _packed: Sequence[Tensor],
    W_dec: Tensor,
    b_dec: Tensor | None,
    k: int,
) -> Parts:
    """See api.topk_autoencode."""
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    floor = x.new_zeros(x.shape[0], dtype=dtype)
    values, indices, survivors, redone = linear_topk(x, W_enc, b_enc, (), k, floor, None, 1)
    values, indices = values.squeeze(1), indices.squeeze(1)
    recon = sparse_decode(values, indices, W_dec, b_dec)
    squares, *_ = decode_error(values, indices, W_dec, b_dec, x, floor.new_ones(()))
    with exact_products(x.device):
        wide = x.to(dtype).contiguous()
        deviations = (wide - wide.mean(0)).square().sum(1)
    return recon, values, indices, squares, deviations, survivors, redone
