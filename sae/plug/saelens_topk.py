"""The training step of SAELens' classes that choose the largest scores."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from .functional import Active, decode, encode, encode_batch
from .saelens_base import Fast, sparse_codes, step_output


class FastTopK(Fast):
    """TopK. See `Fast`."""

    def training_forward_pass(self, step_input: Any) -> Any:
        """Return the losses of a batch; hooks on the codes take SAELens' own way.

        So does an auxiliary loss for each of matryoshka's levels.
        """
        if self._codes_are_watched() or getattr(self.cfg, "use_matryoshka_aux_loss", False):
            return super().training_forward_pass(step_input)  # type: ignore[misc]
        x = self.process_sae_in(step_input.sae_in)
        norms, weight, bias = self._scaled_encoder()
        top = self._choose(x, weight, bias)
        values = _unscaled(top, norms)
        sae_out = self._finished(decode(values, top.indices, self.W_dec, self.b_dec))
        target = step_input.sae_in
        losses = {"mse_loss": self._mse(sae_out, target)}
        losses["auxiliary_reconstruction_loss"] = self._auxiliary(
            x, weight, bias, norms, step_input.dead_neuron_mask, (target - sae_out).detach()
        )
        for width, inner in self._inner(top, values):
            losses[f"inner_mse_loss_{width}"] = self._mse(inner, target)
        return step_output(
            sae_in=target,
            sae_out=sae_out,
            feature_acts=_codes(top, self.cfg.d_sae),
            losses=losses,
            metrics=self._metrics(),
        )

    def _choose(self, x: Tensor, weight: Tensor, bias: Tensor) -> Active:
        return encode(x, weight, bias, self.cfg.k)

    def _metrics(self) -> dict[str, Tensor]:
        return {}

    def _scaled_encoder(self) -> tuple[Tensor | None, Tensor, Tensor]:
        """Return the decoder's norms if they decide what is active, weight (L, D) and bias."""
        weight, bias = self.W_enc.T, self.b_enc
        if not self.cfg.rescale_acts_by_decoder_norm:
            return None, weight, bias
        # Scores are multiplied by the norms and divided by them again: no gradient is left.
        norms = self.W_dec.detach().norm(dim=-1)
        return norms, weight * norms[:, None], bias * norms

    def _inner(self, top: Active, values: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Yield matryoshka's levels, save the last, and what each reconstructs alone."""
        out, first = self.b_dec, 0
        for width in getattr(self.cfg, "matryoshka_widths", ())[:-1]:
            inside = (top.indices >= first) & (top.indices < width)
            out = out + decode(values.where(inside, 0), top.indices, self.W_dec)
            yield width, self.run_time_activation_norm_fn_out(out)
            first = width

    def _auxiliary(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        norms: Tensor | None,
        dead: Tensor | None,
        residual: Tensor,
    ) -> Tensor:
        """Return the loss by which dead latents learn what the active ones leave (N, D)."""
        count = 0 if dead is None else int(dead.sum())
        if count == 0:
            return residual.new_zeros(())
        if self.cfg.normalize_activations in ("constant_norm_rescale", "layer_norm"):
            raise ValueError(
                "the auxiliary loss does not fit normalize_activations = "
                f"{self.cfg.normalize_activations!r}: its target is not normalised"
            )
        usual = residual.shape[-1] // 2
        # Without a floor: the largest of the dead, be they negative, as SAELens has it.
        top = encode(x, weight, bias, min(usual, count), mask=dead, floor=-torch.inf)
        found = decode(_unscaled(top, norms), top.indices, self.W_dec)
        error: Tensor = self.reshape_fn_out(found, self.d_head) - residual
        scale: float = self.cfg.aux_loss_coefficient * min(count / usual, 1.0)
        return scale * error.square().sum(dim=-1).mean()


class FastBatchTopK(FastTopK):
    """BatchTopK, plain or nested. See `Fast`."""

    topk_threshold: Tensor
    update_topk_threshold: Any

    def _choose(self, x: Tensor, weight: Tensor, bias: Tensor) -> Active:
        top = encode_batch(x, weight, bias, int(self.cfg.k * x.shape[:-1].numel()))
        self.update_topk_threshold(top.values)
        return top

    def _metrics(self) -> dict[str, Tensor]:
        return {"topk_threshold": self.topk_threshold}


def _unscaled(top: Active, norms: Tensor | None) -> Tensor:
    if norms is None:
        return top.values
    smallest = torch.finfo(norms.dtype).tiny
    return top.values / norms.clamp(min=smallest)[top.indices]


def _codes(top: Active, num_latents: int) -> Tensor:
    tokens = torch.arange(len(top.values), device=top.values.device)
    tokens = tokens[:, None].expand_as(top.indices).reshape(-1)
    places = tokens, top.indices.reshape(-1), top.values.reshape(-1)
    return sparse_codes(*places, (len(top.values), num_latents))
