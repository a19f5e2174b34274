"""SAELens with our kernels: its classes for training SAEs that choose their latents are replaced.

They are those registered as "topk", "batchtopk" and "matryoshka_batchtopk".
"""

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from .adam import fused_adam
from .functional import Active, decode, encode, encode_batch
from .patch import Patch, Swap, check_version

_KINDS = {"topk": "TopK", "batchtopk": "BatchTopK", "matryoshka_batchtopk": "MatryoshkaBatchTopK"}


def _prepare() -> list[Swap]:
    ours = {name: training_class(name) for name in _KINDS}
    library = import_module("sae_lens")
    registry = import_module("sae_lens.registry").SAE_TRAINING_CLASS_REGISTRY
    trainer = import_module("sae_lens.training.sae_trainer")
    configs = {name: getattr(library, f"{kind}TrainingSAEConfig") for name, kind in _KINDS.items()}
    return [
        *(Swap(registry, name, (ours[name], configs[name])) for name in _KINDS),
        Swap(vars(trainer), "Adam", fused_adam),
    ]


@cache
def training_class(architecture: str = "topk") -> Any:
    """Return the subclass of SAELens' training class whose training step is ours.

    Args:
        architecture: "topk", "batchtopk" or "matryoshka_batchtopk".

    Raises:
        ImportError: sae_lens is not installed.
        RuntimeError: it is of a version that is not known.
    """
    check_version("sae-lens", "6")
    library = import_module("sae_lens")
    output = import_module("sae_lens.saes.sae").TrainStepOutput
    theirs = getattr(library, f"{_KINDS[architecture]}TrainingSAE")
    of_batch = architecture != "topk"

    class FastTrainingSAE(theirs):  # type: ignore[misc, valid-type]
        """SAELens' class, with a training step that holds no (N, L) matrix.

        Its configuration, its checkpoints and its inference are SAELens' own. The encoder's weight
        lies transposed in memory, which changes nothing else.
        """

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.W_enc.data = latent_major(self.W_enc.data)

        def training_forward_pass(self, step_input: Any) -> Any:
            """Return the losses of a batch; hooks on the codes take SAELens' own way.

            So does an auxiliary loss for each of matryoshka's levels.
            """
            if self._codes_are_watched() or getattr(self.cfg, "use_matryoshka_aux_loss", False):
                return super().training_forward_pass(step_input)
            x = self.process_sae_in(step_input.sae_in)
            norms, weight, bias = self._scaled_encoder()
            if of_batch:
                top = encode_batch(x, weight, bias, int(self.cfg.k * x.shape[:-1].numel()))
                self.update_topk_threshold(top.values)
            else:
                top = encode(x, weight, bias, self.cfg.k)
            sae_out = self._reconstruct(top, norms)
            target = step_input.sae_in
            losses = {"mse_loss": self.mse_loss_fn(sae_out, target).sum(dim=-1).mean()}
            dead = step_input.dead_neuron_mask
            losses["auxiliary_reconstruction_loss"] = self._auxiliary(
                x, weight, bias, norms, dead, (target - sae_out).detach()
            )
            for width, inner in self._inner(top, norms):
                inner_loss = self.mse_loss_fn(inner, target).sum(dim=-1).mean()
                losses[f"inner_mse_loss_{width}"] = inner_loss
            return output(
                sae_in=target,
                sae_out=sae_out,
                feature_acts=_sparse(top, self.cfg.d_sae),
                hidden_pre=x.new_empty(0),
                loss=sum(losses.values()),
                losses=losses,
                metrics={"topk_threshold": self.topk_threshold} if of_batch else {},
            )

        def _scaled_encoder(self) -> tuple[Tensor | None, Tensor, Tensor]:
            """Return the decoder's norms if they decide what is active, weight (L, D) and bias."""
            weight, bias = self.W_enc.T, self.b_enc
            if not self.cfg.rescale_acts_by_decoder_norm:
                return None, weight, bias
            # Scores are multiplied by the norms and divided by them again: no gradient is left.
            norms = self.W_dec.detach().norm(dim=-1)
            return norms, weight * norms[:, None], bias * norms

        def _inner(self, top: Active, norms: Tensor | None) -> Iterator[tuple[int, Tensor]]:
            """Yield matryoshka's levels, save the last, and what each reconstructs alone."""
            values, out, first = _unscaled(top, norms), self.b_dec, 0
            for width in getattr(self.cfg, "matryoshka_widths", ())[:-1]:
                inside = (top.indices >= first) & (top.indices < width)
                out = out + decode(values.where(inside, 0), top.indices, self.W_dec)
                yield width, self.run_time_activation_norm_fn_out(out)
                first = width

        def _reconstruct(self, top: Active, norms: Tensor | None) -> Tensor:
            out = decode(_unscaled(top, norms), top.indices, self.W_dec, self.b_dec)
            out = self.run_time_activation_norm_fn_out(self.hook_sae_recons(out))
            shaped: Tensor = self.reshape_fn_out(out, self.d_head)
            return shaped

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

        def _codes_are_watched(self) -> bool:
            hooks = (self.hook_sae_acts_pre, self.hook_sae_acts_post)
            return any(hook._forward_hooks or hook._backward_hooks for hook in hooks)

        def process_state_dict_for_saving(self, state_dict: dict[str, Any]) -> None:
            """Write the encoder's weight as SAELens does."""
            super().process_state_dict_for_saving(state_dict)
            state_dict["W_enc"] = state_dict["W_enc"].contiguous()

        def process_state_dict_for_loading(self, state_dict: dict[str, Any]) -> None:
            """Lay out the encoder's weight as the kernels want it."""
            super().process_state_dict_for_loading(state_dict)
            state_dict["W_enc"] = latent_major(state_dict["W_enc"])

    FastTrainingSAE.__name__ = theirs.__name__
    return FastTrainingSAE


def latent_major(weight: Tensor) -> Tensor:
    """Return a (D, L) matrix with the same numbers, those of a latent side by side in memory."""
    return weight.T.contiguous().T


def _unscaled(top: Active, norms: Tensor | None) -> Tensor:
    if norms is None:
        return top.values
    smallest = torch.finfo(norms.dtype).tiny
    return top.values / norms.clamp(min=smallest)[top.indices]


def _sparse(top: Active, num_latents: int) -> Tensor:
    """Return the codes (N, L) as a sparse tensor, without their history."""
    values, indices = top.values.detach(), top.indices
    rows = torch.arange(len(values), device=values.device)[:, None].expand_as(indices)
    places = torch.stack([rows.reshape(-1), indices.reshape(-1)])
    size = (len(values), num_latents)
    return torch.sparse_coo_tensor(places, values.reshape(-1), size, check_invariants=False)


saelens = Patch(_prepare)
"""``with plug.saelens(): ...``, or ``plug.saelens.enable()`` and ``plug.saelens.disable()``.

SAEs that are made meanwhile by SAELens' runners, or `training_class`'s, train by our kernels, and
trainers that are made meanwhile use the fused form of torch's Adam.
"""
