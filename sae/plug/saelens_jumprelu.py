"""The training step of SAELens' JumpReLU class.

Its losses: the squared error; a penalty for each token's number of active latents, or a smooth one;
for dead latents, the distance from their scores up to their thresholds.
"""

from typing import Any

import torch
from torch import Tensor

from ...kernels.exactness import sum_dtype
from .above import Above, encode_above, jump
from .saelens_base import Fast, is_watched, sparse_codes, step_output


class FastJumpReLU(Fast):
    """JumpReLU. See `Fast`."""

    threshold: Tensor
    """(L,) float32."""
    bandwidth: float

    def training_forward_pass(self, step_input: Any) -> Any:
        """Return the losses of a batch.

        Hooks on the input or the codes take SAELens' own way. So does a batch with many active
        latents, as it takes less time there.
        """
        above = None
        if not (self._codes_are_watched() or is_watched(self.hook_sae_input)):
            self.threshold.data.clamp_(min=0)
            x = self.process_sae_in(step_input.sae_in).flatten(0, -2)
            weight, bandwidth = self.W_enc.T, self.bandwidth
            above = encode_above(x, weight, self.b_enc, self.threshold, bandwidth)
        if above is None:
            return super().training_forward_pass(step_input)  # type: ignore[misc]
        to_scores = self.cfg.jumprelu_ste_to_input
        values, steps = jump(above.scores, above.thresholds, bandwidth, to_scores)
        target = step_input.sae_in
        decoded = above.decode(values, self.W_dec, self.b_dec)
        sae_out = self._finished(decoded.view(target.shape))
        norms = self.W_dec.norm(dim=1)
        penalty = self._penalty(above, values, steps, norms)
        losses = {
            "mse_loss": self._mse(sae_out, target),
            "l0_loss": (step_input.coefficients["l0"] * penalty).mean(),
        }
        if self.cfg.pre_act_loss_coefficient is not None:
            shortfall = self._shortfall(x, above, norms, step_input.dead_neuron_mask)
            losses["pre_act_loss"] = self.cfg.pre_act_loss_coefficient * shortfall
        size = len(x), self.cfg.d_sae
        codes = sparse_codes(above.tokens, above.indices, values, size)
        return step_output(sae_in=target, sae_out=sae_out, feature_acts=codes, losses=losses)

    def _penalty(self, above: Above, values: Tensor, steps: Tensor, norms: Tensor) -> Tensor:
        """Return the penalty of each token, (N,)."""
        mode = self.cfg.jumprelu_sparsity_loss_mode
        if mode not in ("step", "quadratic", "tanh"):
            raise ValueError(f"jumprelu_sparsity_loss_mode: {mode!r} is not known")
        if mode == "tanh":
            weights = norms.index_select(0, above.indices)
            steps = torch.tanh(self.cfg.jumprelu_tanh_scale * values * weights)
        sums = torch.zeros(len(above.row_offsets) - 1, dtype=steps.dtype, device=steps.device)
        sums = sums.index_add(0, above.tokens, steps)
        if mode != "quadratic":
            return sums
        wanted: float = self.cfg.target_l0
        return 2 / wanted * (sums - wanted).square()

    def _shortfall(self, x: Tensor, above: Above, norms: Tensor, dead: Tensor | None) -> Tensor:
        """Return the sum of norm * relu(threshold - score) over dead latents, a mean over tokens.

        Most of these places are not listed. The sum is one over all places, for which no score is
        needed, less that over the places at or above the threshold.
        """
        if dead is None or not dead.any():
            return x.new_zeros(())
        kind = sum_dtype(x.dtype)
        weights = norms.to(kind) * dead  # (L,)
        with torch.autocast(x.device.type, enabled=False):
            scores = self.W_enc.T.to(kind) @ x.sum(dim=0, dtype=kind) + len(x) * self.b_enc
        everywhere = len(x) * self.threshold - scores  # (L,)
        excess = (above.scores - above.thresholds).to(kind)  # (P,)
        excess = excess.where(excess >= 0, 0)
        listed = weights.index_select(0, above.indices) * excess
        total: Tensor = (weights * everywhere).sum() + listed.sum()
        return total / len(x)
