"""What two SAEs make of the same tokens: sparse coefficients, and the error of the first."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from ...common.progress import Progress, silent
from ...sae import SAE
from .replacement import Floats, Ints, Sparse


class Observed(NamedTuple):
    """SAEs A and B on N tokens; `replacement` says what a coefficient is."""

    a: Sparse
    """(N, L_A) csc_array: A's coefficients."""
    b: Sparse
    """(N, L_B) csc_array: B's."""
    error: Floats
    """(N, D): A's reconstruction less the tokens."""
    error_b: Floats
    """(N, D): B's."""
    variance: float
    """Sum over the tokens of their squared distance from their mean."""

    @property
    def fvu(self) -> float:
        """Fraction of variance that A leaves unexplained, over all tokens at once."""
        return squares(self.error) / self.variance

    @property
    def fvu_b(self) -> float:
        """That of B."""
        return squares(self.error_b) / self.variance


def observe(
    a: SAE,
    b: SAE,
    batches: Iterable[Tensor],
    *,
    total: int = 0,
    progress: Progress | None = None,
) -> Observed:
    """Encode the same tokens with two SAEs, and hold the result in memory.

    Args:
        a: a plain SAE of width D: it reconstructs its input.
        b: another one.
        batches: activations (n, D), whose rows are the tokens.
        total: how many tokens there are, for ``progress``.
        progress: told of the phase "encode", in tokens.

    Raises:
        ValueError: there are no tokens; all are the same; or a reconstruction is NaN or infinite.
    """
    told = progress or silent
    tokens: list[Tensor] = []
    found: list[list[tuple[Sparse, Floats]]] = []
    done = 0
    told("encode", 0, total, "tokens")
    for x in batches:
        tokens.append(x.double())
        found.append([encode(sae, x) for sae in (a, b)])
        done += len(x)
        told("encode", done, total, "tokens")
    if not done:
        raise ValueError("there are no tokens to measure on")
    every = torch.cat(tokens).numpy()
    shifted = every - every[0]  # tokens that are all the same have a variance of exactly 0
    variance = squares(shifted - shifted.mean(axis=0))
    if variance <= 0:
        raise ValueError("the tokens are all the same: their variance is 0")
    (of_a, error), (of_b, error_b) = (_joined(parts) for parts in zip(*found, strict=True))
    return Observed(of_a, of_b, error, error_b, variance)


def encode(sae: SAE, x: Tensor) -> tuple[Sparse, Floats]:
    """Return an SAE's coefficients, (n, L) csr_array, and its error (n, D), on tokens x (n, D).

    Raises:
        ValueError: a reconstruction is NaN or infinite.
    """
    with torch.no_grad():
        out = sae(x.to(sae.b_dec.device))
        lengths = torch.linalg.vector_norm(sae.W_dec.double(), dim=1)
        scale = sae.output_scale(x.to(sae.b_dec.device))
    error: Floats = out.reconstruction.double().cpu().numpy() - x.double().numpy()
    if not np.isfinite(error).all():
        raise ValueError("a reconstruction is NaN or infinite")
    active = (out.indices >= 0) & (out.values != 0)
    row, place = active.nonzero(as_tuple=True)
    latent, value = out.indices[row, place], out.values[row, place].double()
    data = value * scale[row] * lengths[latent]
    entries = (row.cpu().numpy(), latent.cpu().numpy())
    shape = len(x), sae.config.num_latents
    return sparse.csr_array((data.cpu().numpy(), entries), shape=shape), error


def unit_rows(sae: SAE) -> Floats:
    """Return an SAE's decoder rows at length 1, (L, D); zero rows stay 0."""
    rows = sae.W_dec.detach().double().cpu().numpy()
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    units: Floats = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return units


def firings(coefficients: Sparse) -> Ints:
    """Return on how many tokens each latent fires, (L,)."""
    found: Ints = np.diff(coefficients.indptr).astype(np.int64)
    return found


def squares(rows: Floats) -> float:
    """Return the sum of all squares."""
    return float(np.vdot(rows, rows))


def _joined(parts: Iterable[tuple[Sparse, Floats]]) -> tuple[Sparse, Floats]:
    coefficients, errors = zip(*parts, strict=True)
    return sparse.csc_array(sparse.vstack(coefficients)), np.concatenate(errors)
