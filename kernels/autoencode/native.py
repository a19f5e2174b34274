"""The autoencoder in C++, on a CPU, in float32: the scan, then one pass that decodes and compares.

Rows are not decoded inside the scan, which takes most of the time by far and only hands on k values
and indices a row. Each reconstructed row is compared with x's row while it is in the cache.
"""

import torch

from .. import extension as _native
from ..arrays import array, float_array
from ..exactness import exact_products
from ..topk.interface import LinearTopKInputs
from ..topk.native import linear_topk
from .interface import AutoencodeInputs, Parts


def topk_autoencode(inputs: AutoencodeInputs) -> Parts:
    """See api.topk_autoencode."""
    x, b_dec = inputs.x, inputs.b_dec
    floor = torch.zeros(x.shape[0])
    encoded = LinearTopKInputs(
        x, inputs.W_enc, inputs.b_enc, inputs.packed, inputs.k, floor, mask=None, groups=1
    )
    values, indices, survivors, redone = linear_topk(encoded)
    values, indices = values.squeeze(1), indices.squeeze(1)
    wide = x.detach().to(torch.float32).contiguous()
    with exact_products(x.device):
        centre = wide.mean(0)
    recon = torch.empty(x.shape)
    squares, deviations = torch.empty(x.shape[0]), torch.empty(x.shape[0])
    _native.decode_squares(
        float_array(values),
        array(indices),
        float_array(inputs.W_dec),
        None if b_dec is None else float_array(b_dec),
        wide.numpy(),
        centre.numpy(),
        torch.get_num_threads(),
        recon.numpy(),
        squares.numpy(),
        deviations.numpy(),
    )
    return recon.to(x.dtype), values, indices, squares, deviations, survivors, redone
