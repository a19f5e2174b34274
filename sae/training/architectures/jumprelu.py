"""JumpReLU: a learned threshold for each latent, by straight-through gradients.

Rajamanoharan et al., arXiv 2407.14435, section 3 and appendix; the smooth penalty and the loss
before the activation are those of Anthropic's update of January 2025
(https://transformer-circuits.pub/2025/january-update), the latter for dead latents alone, as
SAELens has it; the penalty with a target is that of Gemma Scope 2.

With s the scores, t a latent's threshold, v = s [s > t] and K = [|s - t| < width / 2] / width,

    dt = - sum_n K (t c + sigma),    ds = [s > t] c   (and K (t c + sigma), with `ste_to_input`)

where c is the gradient for v of the error and of a penalty of v, and sigma that of the penalty for
the number of a token's active latents.
"""

import torch
from torch import Tensor

from ...model import SAE
from ..gradients import Gradients, dot_rows
from ..places import Places
from .affine import add_output
from .interface import Batch, Losses
from .thresholded import Thresholded, decoder_norms

TANH_SCALE = 4.0


class JumpReLU(Thresholded):
    """Places matter above the window around their latent's threshold, and in it."""

    def initialise(self, sae: SAE) -> None:
        """Set all thresholds to ``init_threshold``."""
        assert sae.threshold is not None
        sae.threshold.data.fill_(self.config.init_threshold)

    def after_step(self, sae: SAE) -> None:
        """Keep the thresholds at 0 or above."""
        assert sae.threshold is not None
        sae.threshold.data.clamp_(min=0)

    def scan_threshold(self, sae: SAE) -> Tensor:
        """Return the lower ends (L,) of the windows."""
        assert sae.threshold is not None
        return sae.threshold.detach() - self.config.bandwidth / 2

    def add_places(
        self, sae: SAE, batch: Batch, seen: Tensor, places: Places, scores: Tensor,
        gradients: Gradients,
    ) -> Losses:  # fmt: skip
        """See `Thresholded`."""
        assert sae.threshold is not None
        threshold = places.per_latent(sae.threshold)
        active = scores > threshold
        values = scores * active
        found = places.error(values, sae.W_dec, sae.b_dec, batch.target, 2 / batch.variance)
        d_values, of_count, parts = self._penalty(sae, batch, places, values, active, gradients)
        d_values = found.d_values + d_values
        width = self.config.bandwidth
        in_window = (scores - threshold).abs() < width / 2
        d_steps = in_window * (threshold * d_values + of_count) / width
        d_scores = active * d_values
        if self.config.ste_to_input:
            d_scores = d_scores + d_steps
        gradients.add(places, values, d_scores, seen, found.g)
        gradients.add_vector("threshold", -places.by_latent(d_steps))
        add_output(sae, batch.x, found.g, gradients)
        if self.config.pre_act:
            parts["pre_act_loss"] = self._pre_act(sae, batch, seen, places, scores, gradients)
        fvu = found.squares.sum() / batch.variance
        return Losses(places.firings(active), fvu, parts)

    def _penalty(
        self, sae: SAE, batch: Batch, places: Places, values: Tensor, active: Tensor,
        gradients: Gradients,
    ) -> tuple[Tensor | float, Tensor | float, dict[str, Tensor]]:  # fmt: skip
        """Return the penalty's gradients for values and for a token's count, and its value."""
        factor = batch.sparsity / batch.variance
        target = self.config.target_l0
        if self.config.penalty == "tanh":
            norms = decoder_norms(sae)
            weights = 1.0 if norms is None else places.per_latent(norms)
            smooth = torch.tanh(TANH_SCALE * weights * values)
            slope = TANH_SCALE * factor * (1 - smooth.square())
            if norms is not None:
                gradients.add_decoder(places.by_latent(slope * values) / norms)
            return slope * weights, 0.0, {"tanh_loss": factor * places.by_latent(smooth).sum()}
        l0 = places.by_token(active.to(values.dtype))  # (N,)
        if not target:
            return 0.0, factor, {"l0_loss": factor * l0.sum()}
        of_count = places.per_token(4 * factor / target * (l0 - target))
        return 0.0, of_count, {"l0_loss": 2 * factor / target * (l0 - target).square().sum()}

    def _pre_act(
        self, sae: SAE, batch: Batch, seen: Tensor, places: Places, scores: Tensor,
        gradients: Gradients,
    ) -> Tensor:  # fmt: skip
        """Add the loss pre_act relu(threshold - s), times the decoder's norm, of dead latents.

        It is a sum over the places below their threshold, most of which are not listed: a sum over
        all tokens, which needs no scores, less that over the places at or above the threshold.
        """
        assert sae.threshold is not None
        norms, factor = decoder_norms(sae), self.config.pre_act / batch.variance
        weights = factor * batch.dead * (1.0 if norms is None else norms)  # (L,)
        above = (scores >= places.per_latent(sae.threshold)).to(scores.dtype)
        count = len(seen) - places.by_latent(above)
        everything = dot_rows(sae.encoder.weight, seen.sum(dim=0)) + len(seen) * sae.encoder.bias
        below = everything - places.by_latent(above * scores)  # sum of scores below the threshold
        shortfall = sae.threshold * count - below  # (L,)
        gradients.add(
            places, torch.zeros_like(scores), above * places.per_latent(weights), seen,
            torch.zeros_like(batch.target),
        )  # fmt: skip
        gradients.add_everywhere(-weights, seen)
        gradients.add_vector("threshold", weights * count)
        if norms is not None:
            gradients.add_decoder(factor * batch.dead * shortfall / norms)
        return (weights * shortfall).sum()
