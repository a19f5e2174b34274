"""SAEs whose latents are active above a threshold: relu, gated and jumprelu.

Where few scores matter, `linear_above` lists them. Where more than a tenth do, as at the start of
most runs, plain products of a block of rows at a time are faster, with the same gradients.
"""

import torch
from torch import Tensor

from ....kernels.topk import linear_above
from ...config import SAEConfig
from ...model import SAE
from ...train_config import TrainConfig
from ..gradients import Gradients
from ..places import Block, Listed, Places
from .affine import encoder_bias, encoder_input, skipped
from .interface import Batch, Chosen, Losses

DENSE_SHARE = 0.1
"""Of the scores that matter, above which a step is dense. Measured on two AVX2 cores."""
BLOCK_BYTES = 2**24
"""Of one matrix (rows, L) of float32 in a dense step, where about four exist at a time."""


class Thresholded:
    """The loss of all SAEs with thresholds; a subclass has the mathematics of one place."""

    stacked_k = 0

    def __init__(self, _sae_config: SAEConfig, config: TrainConfig) -> None:
        self.config = config
        # The share of the scores that mattered at the last step decides how the next is done.
        self.state = {"share": 1.0, "dense_steps": 0.0}

    def initialise(self, sae: SAE) -> None:
        """Nothing but the usual parameters."""

    def after_step(self, sae: SAE) -> None:
        """Nothing follows."""

    def scan_threshold(self, sae: SAE) -> float | Tensor:
        """Return above which scores, one number or (L,), a place matters."""
        return 0.0

    def add_places(
        self, sae: SAE, batch: Batch, seen: Tensor, places: Places, scores: Tensor,
        gradients: Gradients,
    ) -> Losses:  # fmt: skip
        """Add the loss's gradients.

        Args:
            sae: with the weights of before the step.
            batch: the rows; their target lacks the skip connection's part.
            seen: (N, d_in), the encoder's input of these rows, less b_in.
            places: all that matter, or more.
            scores: of places.
            gradients: takes the gradients.
        """
        raise NotImplementedError

    def backward(
        self, sae: SAE, batch: Batch, stacked: Chosen | None, gradients: Gradients
    ) -> Losses:
        """See `Architecture`."""
        seen = encoder_input(sae, batch.x)
        batch = batch._replace(target=skipped(sae, batch))
        if self.state["share"] > DENSE_SHARE:
            self.state["dense_steps"] += 1
            losses, mattered = self._dense(sae, batch, seen, gradients)
        else:
            losses, mattered = self._sparse(sae, batch, seen, gradients)
        self.state["share"] = mattered / (len(batch.x) * sae.config.num_latents)
        return losses

    def _sparse(
        self, sae: SAE, batch: Batch, seen: Tensor, gradients: Gradients
    ) -> tuple[Losses, int]:
        weight = sae.encoder.weight
        bias = encoder_bias(sae, weight, sae.encoder.bias)
        found = linear_above(batch.x, weight, bias, self.scan_threshold(sae))
        places = Listed(found.indices, found.row_offsets, len(weight))
        losses = self.add_places(sae, batch, seen, places, found.values, gradients)
        return losses, len(found.indices)

    def _dense(
        self, sae: SAE, batch: Batch, seen: Tensor, gradients: Gradients
    ) -> tuple[Losses, int]:
        rows = max(BLOCK_BYTES // (4 * sae.config.num_latents), 1)
        threshold = self.scan_threshold(sae)
        total, mattered = None, 0
        for start in range(0, len(batch.x), rows):
            part = slice(start, start + rows)
            scores = torch.addmm(sae.encoder.bias, seen[part], sae.encoder.weight.T)
            mattered += int((scores > threshold).sum())
            block = batch._replace(x=batch.x[part], target=batch.target[part])
            places = Block(sae.config.num_latents)
            losses = self.add_places(sae, block, seen[part], places, scores, gradients)
            total = losses if total is None else _sum(total, losses)
        assert total is not None
        return total, mattered


def _sum(a: Losses, b: Losses) -> Losses:
    parts = {name: loss + b.parts[name] for name, loss in a.parts.items()}
    return Losses(a.fired + b.fired, a.fvu + b.fvu, parts)


def add_l1(
    sae: SAE, batch: Batch, places: Places, values: Tensor, gradients: Gradients
) -> tuple[Tensor, Tensor]:
    """Add the L1 penalty of ``values``, of places, to the decoder's gradient.

    Returns:
        Its gradient for a value, to combine with places, and the penalty, a scalar.
    """
    factor, norms = batch.sparsity / batch.variance, decoder_norms(sae)
    sums = places.by_latent(values)  # (L,)
    if norms is None:
        return factor, factor * sums.sum()
    gradients.add_decoder(factor * sums / norms)
    return places.per_latent(factor * norms), factor * (sums * norms).sum()


def decoder_norms(sae: SAE) -> Tensor | None:
    """Return the lengths (L,) of the decoder's rows, by which penalties weigh; None: all are 1."""
    return None if sae.config.normalize_decoder else torch.linalg.vector_norm(sae.W_dec, dim=1)
