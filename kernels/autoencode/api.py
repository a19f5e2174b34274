"""The public TopK autoencoder. It checks the arguments, chooses the backend, and calls the op."""

from typing import NamedTuple

from torch import Tensor

from .. import checks
from ..backends import Backend, resolve_backend
from ..topk.packed import PackedWeight, unpack
from ..topk.results import ScanStats
from . import ops
from .interface import AutoencodeInputs


class Autoencoded(NamedTuple):
    """The result of `topk_autoencode` for x (N, D)."""

    recon: Tensor
    """(N, D) in x's dtype: b_dec + the sum over j of values[n, j] * W_dec[indices[n, j]]."""
    values: Tensor
    """(N, k) in x's dtype: the active latents' values, descending; 0 in missing places."""
    indices: Tensor
    """(N, k) int64: the active latents; -1 in missing places."""
    squares: Tensor
    """(N,) float32 (float64 for float64): |recon[n] - x[n]|^2, before recon is rounded."""
    deviations: Tensor
    """(N,), squares' dtype: |x[n] - m|^2, where m is the mean of x's rows."""
    stats: ScanStats
    """How the scan got its result, as for `linear_topk`."""

    @property
    def fvu(self) -> Tensor:
        """(): the fraction of variance unexplained, sum of squares / sum of deviations."""
        return self.squares.sum() / self.deviations.sum()


def topk_autoencode(
    x: Tensor,
    W_enc: Tensor | PackedWeight,
    b_enc: Tensor | None,
    W_dec: Tensor,
    b_dec: Tensor | None,
    k: int,
    *,
    backend: Backend = "auto",
) -> Autoencoded:
    """Encode x with the k largest of relu(x @ W_enc.T + b_enc), decode them, and sum the errors.

    This is a whole TopK SAE (Gao et al., arXiv 2406.04093, section 2.3). The results have the same
    bits as from `linear_topk`, from `sparse_decode` with the returned values, and from the squares
    of `decode_error`. On a GPU the program that finishes a row's selection also decodes the row.

    The encoder takes x as it is. For an encoder that reads x - b_dec, pass b_enc - W_enc @ b_dec in
    place of b_enc.

    Gradients flow from recon, values, squares and deviations to x, the weights and the biases;
    missing places give none.

    Args:
        x: (N, D) float32, bfloat16, float16 or float64 (float64: reference only).
        W_enc: (L, D), x's dtype, or packed.
        b_enc: (L,), x's dtype, or None.
        W_dec: (L, D), x's dtype.
        b_dec: (D,), x's dtype, or None.
        k: 1 to L.
        backend: "auto" goes by x's device and dtype; "native" needs CPU tensors.

    Returns:
        Autoencoded: the reconstruction, the active latents, and each row's error.

    Raises:
        ValueError: a shape, a device, k or backend is wrong.
        TypeError: a dtype is wrong.

    """
    encoder, packed = unpack("W_enc", W_enc)
    checks.check_floats("x", x, 2)
    checks.check_floats("W_enc", encoder, 2)
    latents, dim = encoder.shape[0], x.shape[1]
    for name, tensor, shape in (
        ("W_enc", encoder, (latents, dim)),
        ("b_enc", b_enc, (latents,)),
        ("W_dec", W_dec, (latents, dim)),
        ("b_dec", b_dec, (dim,)),
    ):
        if tensor is not None:
            checks.check_shape(name, tensor, shape)
            checks.check_like(name, tensor, "x", x)
    checks.check_count("k", k, latents, "the number of latents")
    chosen = resolve_backend("topk_autoencode", backend, x)
    inputs = AutoencodeInputs(x, encoder, b_enc, packed, W_dec, b_dec, k)
    recon, values, indices, squares, deviations, *stats = ops.topk_autoencode(*inputs, chosen)
    return Autoencoded(recon, values, indices, squares, deviations, ScanStats(*stats))
