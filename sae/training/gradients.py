"""The gradients of one SAE's loss, summed term by term from its active latents.

With s = (x - b_in) W_enc^T + b_enc the scores (b_in is b_dec, or 0 for a transcoder), v the active
latents' values and g the loss's gradient for the reconstruction, a term whose gradient for the
scores is ds adds (the choice of latents being constant)

    dW_dec[l] = sum v_nl g_n     dW_enc[l] = sum ds_nl (x_n - b_in)     db_enc[l] = sum ds_nl
    db_dec    = sum g_n - W_enc^T db_enc

the sums running over the tokens n on which latent l is active. The last term of db_dec is there
because the encoder sees x - b_in.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from ...kernels.decode import gather_dot, sparse_decode
from ...kernels.grads import LatentGrads, latent_grads
from ..model import SAE
from .places import Listed, Places

LATENTS_OF_SUM = 256  # that one thread adds up in weighted_sum


class Listing(NamedTuple):
    """A term whose places are listed."""

    places: Listed
    values: Tensor
    d_scores: Tensor
    x: Tensor
    g: Tensor
    first: int
    """Of its latents."""


class Gradients:
    """The terms so far. An architecture adds them; the optimiser takes the result.

    Args:
        sae: whose parameters they are of, in the precision of the sums.
    """

    def __init__(self, sae: SAE) -> None:
        self.sae = sae
        self.listings: list[Listing] = []
        self.dense: LatentGrads | None = None
        """The sum of the terms that are blocks."""
        self.decoder = torch.zeros_like(sae.encoder.bias)
        """(L,), factors of the decoder's rows in their own gradient."""
        self.everywhere: list[tuple[Tensor, Tensor]] = []
        """Terms with one ds for each latent, (L,), on all tokens of an x (N, d_in)."""
        self._b_dec = torch.zeros_like(sae.b_dec)
        self._vectors: dict[str, Tensor] = {}

    def add(
        self, places: Places, values: Tensor, d_scores: Tensor, x: Tensor, g: Tensor,
        *, first: int = 0,
    ) -> None:  # fmt: skip
        """Add a term's gradients of the latents.

        Args:
            places: where the two that follow have their numbers.
            values: v, of places, not 0 where a latent is active.
            d_scores: ds, of places.
            x: (N, d_in), less b_in: what the encoder sees.
            g: (N, d_out).
            first: the latent that is number 0 in ``places``.
        """
        if isinstance(places, Listed):
            self.listings.append(Listing(places, values, d_scores, x, g, first))
            return
        if self.dense is None:
            self.dense = empty_gradients(self.sae)
            _clear(self.dense)
        kind = self.dense.db_enc.dtype
        self.dense.dW_dec.addmm_(values.T.to(kind), g.to(kind))
        self.dense.dW_enc.addmm_(d_scores.T.to(kind), x.to(kind))
        self.dense.db_enc.add_(d_scores.sum(dim=0, dtype=kind))

    def add_reconstruction(self, g: Tensor) -> None:
        """Add the term that b_dec has as the reconstruction's bias, for ``g`` (N, d_out)."""
        self._b_dec += g.sum(dim=0, dtype=self._b_dec.dtype)

    def add_decoder(self, factors: Tensor) -> None:
        """Add ``factors`` (L,) times the decoder's rows to their gradient."""
        self.decoder += factors

    def add_everywhere(self, d_scores: Tensor, x: Tensor) -> None:
        """Add a term whose ds of a latent, ``d_scores`` (L,), is the same on every token of ``x``.

        ``x`` is (N, d_in), less b_in.
        """
        self.everywhere.append((d_scores.to(self._b_dec.dtype), x))

    def add_vector(self, name: str, gradient: Tensor) -> None:
        """Add to the gradient of another parameter, or of the encoder's bias in place of db_enc."""
        gradient = gradient.to(self._b_dec.dtype)
        found = self._vectors.get(name)
        self._vectors[name] = gradient if found is None else found + gradient

    def written(self, memory: LatentGrads | None = None) -> dict[str, Tensor]:
        """Return all gradients by the parameters' names.

        Args:
            memory: as `empty_gradients` of an SAE of this shape, to write them to; by default new
                memory, which costs the system more time than the sums take.
        """
        latents = self._latents(memory)
        latents.dW_dec.addcmul_(self.decoder.unsqueeze(1), self.sae.W_dec)
        for d_scores, x in self.everywhere:
            latents.dW_enc.addr_(d_scores, x.sum(dim=0, dtype=d_scores.dtype))
            latents.db_enc.add_(d_scores, alpha=len(x))
        seen = None
        if not self.sae.config.transcode:
            seen = weighted_sum(latents.db_enc, self.sae.encoder.weight)
        return {
            "encoder.weight": latents.dW_enc,
            "W_dec": latents.dW_dec,
            **self.vectors(latents.db_enc, seen),
        }

    def vectors(self, db_enc: Tensor, seen: Tensor | None) -> dict[str, Tensor]:
        """Return the gradients of the biases and of all that is not a row of the latents.

        Args:
            db_enc: (L,).
            seen: W_enc^T db_enc (d_in,), which b_dec has because the encoder sees x - b_dec; None
                where it does not.
        """
        b_dec = self._b_dec if seen is None else self._b_dec - seen
        return {"encoder.bias": db_enc, "b_dec": b_dec, **self._vectors}

    def _latents(self, memory: LatentGrads | None) -> LatentGrads:
        memory, written = memory or empty_gradients(self.sae), False
        if self.dense is not None:
            memory, written = self.dense, True
        elif not self.listings:
            _clear(memory)
        for places, values, d_scores, x, g, first in self.listings:
            part = memory
            if places.num_latents < len(memory.db_enc):
                if not written:
                    _clear(memory)
                written = True
                own = slice(first, first + places.num_latents)
                part = LatentGrads(*(tensor[own] for tensor in memory))
            latent_grads(
                values, d_scores, places.indices, x, g, places.num_latents,
                row_offsets=places.row_offsets, out=part, accumulate=written, count=False,
            )  # fmt: skip
            written = True
        return memory


def _clear(memory: LatentGrads) -> None:
    for tensor in memory:
        tensor.zero_()


def empty_gradients(sae: SAE) -> LatentGrads:
    """Return memory for `Gradients.written`; SAEs of one shape may use it one after another."""
    weight, bias = sae.encoder.weight.detach(), sae.encoder.bias.detach()
    fired = torch.empty_like(bias, dtype=torch.int64)
    return LatentGrads(
        torch.empty_like(sae.W_dec.detach()),
        torch.empty_like(weight),
        torch.empty_like(bias),
        fired,
    )


def dot_rows(weight: Tensor, vector: Tensor) -> Tensor:
    """Return weight @ vector for ``weight`` (L, D), ``vector`` (D,): (L,).

    Unlike a BLAS library's, the result's bits do not depend on where in memory ``weight`` lies,
    which differs between a seed trained alone and one trained in a stack.
    """
    only = torch.zeros((weight.shape[0], 1), dtype=torch.int64, device=weight.device)  # (L, 1)
    return gather_dot(weight, only, vector.unsqueeze(0)).squeeze(1)


def weighted_sum(factors: Tensor, weight: Tensor) -> Tensor:
    """Return factors @ weight for ``factors`` (L,), ``weight`` (L, D) finite: (D,).

    See `dot_rows`.
    """
    padding = (0, -len(weight) % LATENTS_OF_SUM)
    every = torch.arange(len(weight), device=weight.device)
    every = every.where(factors != 0, -1)  # many a row need not be read
    rows = pad(every, padding, value=-1).view(-1, LATENTS_OF_SUM)
    return sparse_decode(pad(factors, padding).view(rows.shape), rows, weight).sum(dim=0)


def remove_parallel(gradient: Tensor, rows: Tensor) -> None:
    """Remove from each row of ``gradient`` (L, D) its part along the unit row of ``rows`` (L, D).

    That part would only change the row's norm, which is reset to 1 after the step.
    """
    every = torch.arange(len(rows), device=rows.device).unsqueeze(1)  # (L, 1)
    gradient.addcmul_(gather_dot(gradient, every, rows), rows, value=-1)
