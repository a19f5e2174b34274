"""Adam for the rows of the latents on a CPU, without writing their gradients to memory.

It takes the terms of `Gradients` as they are: see `twinsae.kernels.update`.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from ...kernels.update import AdamStep, LatentTotals, Moments, Term, latent_adam, latent_squares
from ..model import SAE
from ..train_config import TrainConfig
from .gradients import Gradients, Listing, weighted_sum

MATRICES = ("encoder.weight", "W_dec")


class LatentAdam:
    """Adam's state of the encoder's and the decoder's rows of one SAE."""

    def __init__(self, sae: SAE, config: TrainConfig) -> None:
        self._sae = sae
        self._config = config
        kind = torch.bfloat16 if config.moments == "bfloat16" else sae.W_dec.dtype
        self.moments = {
            name: Moments(*(torch.zeros_like(rows, dtype=kind) for _ in range(2)))
            for name, rows in self._matrices()
        }

    def vectors(self, gradients: Gradients) -> dict[str, Tensor]:
        """Return the gradients of all that is not a row; rows are not moved."""
        sums = _sums(gradients)
        seen = None
        if not self._sae.config.transcode:
            seen = weighted_sum(sums, self._sae.encoder.weight)
        return gradients.vectors(sums, seen)

    def squares(self, gradients: Gradients) -> Tensor:
        """Return the sum of the squares of all rows' gradients, a scalar."""
        encoder, decoder = _encoder_terms(gradients), _decoder_terms(gradients)
        unit = self._sae.config.normalize_decoder
        return latent_squares(self._sae.encoder.weight, encoder) + latent_squares(
            self._sae.W_dec, decoder, decay=gradients.decoder, unit_rows=unit
        )

    def step(self, gradients: Gradients, step: AdamStep) -> dict[str, Tensor]:
        """Move the rows; return what `vectors` does, made on the way where that costs nothing."""
        found = None if gradients.dense is None else self.vectors(gradients)
        totals: LatentTotals = latent_adam(
            self._sae.encoder.weight,
            self.moments["encoder.weight"],
            _encoder_terms(gradients),
            step,
        )
        latent_adam(
            self._sae.W_dec,
            self.moments["W_dec"],
            _decoder_terms(gradients),
            step._replace(seed=step.seed + 1),
            decay=gradients.decoder,
            unit_rows=self._sae.config.normalize_decoder,
        )
        if found is None:
            seen = None if self._sae.config.transcode else totals.weighted
            found = gradients.vectors(totals.sums, seen)
        return found

    def _matrices(self) -> Iterator[tuple[str, Tensor]]:
        for name, parameter in self._sae.named_parameters():
            if name in MATRICES:
                yield name, parameter.detach()


def _encoder_terms(gradients: Gradients) -> list[Term]:
    terms = [_term(each, each.d_scores, each.x) for each in gradients.listings]
    for d_scores, x in gradients.everywhere:
        # Once for all tokens: their number times their mean.
        terms.append(_every_row(len(x) * d_scores.unsqueeze(0), x.mean(dim=0, keepdim=True)))
    if gradients.dense is not None:
        terms.append(_written(gradients.dense.dW_enc))
    return terms


def _decoder_terms(gradients: Gradients) -> list[Term]:
    terms = [_term(each, each.values, each.g) for each in gradients.listings]
    if gradients.dense is not None:
        terms.append(_written(gradients.dense.dW_dec))
    return terms


def _sums(gradients: Gradients) -> Tensor:
    """Return db_enc (L,)."""
    sums = torch.zeros_like(gradients.decoder)
    for each in gradients.listings:
        own = sums[each.first : each.first + each.places.num_latents]
        own += each.places.by_latent(each.d_scores)
    for d_scores, x in gradients.everywhere:
        sums.add_(d_scores, alpha=len(x))
    return sums if gradients.dense is None else sums + gradients.dense.db_enc


def _term(listing: Listing, scales: Tensor, rows: Tensor) -> Term:
    indices = listing.places.indices
    if listing.first:
        indices = torch.where(indices < 0, indices, indices + listing.first)
    return Term(scales, indices, rows, listing.places.row_offsets)


def _every_row(factors: Tensor, row: Tensor) -> Term:
    """Return the term that adds ``factors`` (1, L) times one ``row`` (1, D) to each latent."""
    return Term(factors, torch.arange(factors.shape[1]).unsqueeze(0), row)


def _written(rows: Tensor) -> Term:
    """Return the term that adds each of ``rows`` (L, D) to its latent."""
    return Term(rows.new_ones(len(rows), 1), torch.arange(len(rows)).unsqueeze(1), rows)
