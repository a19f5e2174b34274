"""The autoencoder in torch, for any float dtype and device: the specification of every backend."""

from ..decode.interface import DecodeErrorInputs, SparseDecodeInputs
from ..decode.reference import decode_error, sparse_decode
from ..exactness import exact_products, sum_dtype
from ..topk.interface import LinearTopKInputs
from ..topk.reference import linear_topk
from .interface import AutoencodeInputs, Parts


def topk_autoencode(inputs: AutoencodeInputs) -> Parts:
    """See api.topk_autoencode."""
    x, W_dec, b_dec = inputs.x, inputs.W_dec, inputs.b_dec
    dtype = sum_dtype(x.dtype)
    floor = x.new_zeros(x.shape[0], dtype=dtype)
    values, indices, survivors, redone = linear_topk(
        LinearTopKInputs(x, inputs.W_enc, inputs.b_enc, (), inputs.k, floor, mask=None, groups=1)
    )
    values, indices = values.squeeze(1), indices.squeeze(1)
    recon = sparse_decode(SparseDecodeInputs(values, indices, W_dec, b_dec))
    error = DecodeErrorInputs(values, indices, W_dec, b_dec, x, scale=floor.new_ones(()))
    squares, *_ = decode_error(error)
    with exact_products(x.device):
        wide = x.to(dtype).contiguous()
        deviations = (wide - wide.mean(0)).square().sum(1)
    return recon, values, indices, squares, deviations, survivors, redone
