"""What our subclasses of SAELens' training classes have in common.

They are mixed into its classes once these have been imported, and use what these have.
"""

from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from .layout import latent_major


class Fast:
    """SAELens' class, with a training step that holds no (N, L) matrix.

    Its configuration, its checkpoints and its inference are SAELens' own. The encoder's weight lies
    transposed in memory, which changes nothing else.
    """

    cfg: Any
    W_enc: Any
    b_enc: Tensor
    W_dec: Tensor
    b_dec: Tensor
    process_sae_in: Any
    run_time_activation_norm_fn_out: Any
    reshape_fn_out: Any
    d_head: Any
    mse_loss_fn: Any
    hook_sae_input: Any
    hook_sae_acts_pre: Any
    hook_sae_acts_post: Any
    hook_sae_recons: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.W_enc.data = latent_major(self.W_enc.data)

    def process_state_dict_for_saving(self, state_dict: dict[str, Any]) -> None:
        """Write the encoder's weight as SAELens does."""
        super().process_state_dict_for_saving(state_dict)  # type: ignore[misc]
        state_dict["W_enc"] = state_dict["W_enc"].contiguous()

    def process_state_dict_for_loading(self, state_dict: dict[str, Any]) -> None:
        """Lay out the encoder's weight as the kernels want it."""
        super().process_state_dict_for_loading(state_dict)  # type: ignore[misc]
        state_dict["W_enc"] = latent_major(state_dict["W_enc"])

    def _finished(self, out: Tensor) -> Tensor:
        """Return the reconstruction from what has been decoded."""
        out = self.run_time_activation_norm_fn_out(self.hook_sae_recons(out))
        shaped: Tensor = self.reshape_fn_out(out, self.d_head)
        return shaped

    def _mse(self, sae_out: Tensor, target: Tensor) -> Tensor:
        loss: Tensor = self.mse_loss_fn(sae_out, target).sum(dim=-1).mean()
        return loss

    def _codes_are_watched(self) -> bool:
        return any(map(is_watched, (self.hook_sae_acts_pre, self.hook_sae_acts_post)))


def is_watched(point: Any) -> bool:
    """Whether a point for hooks has any."""
    return bool(point._forward_hooks or point._backward_hooks)


def step_output(**fields: Any) -> Any:
    """Return what SAELens' training step returns, its loss being the sum of the losses."""
    output = import_module("sae_lens.saes.sae").TrainStepOutput
    target = fields["sae_in"]
    return output(loss=sum(fields["losses"].values()), hidden_pre=target.new_empty(0), **fields)


def sparse_codes(tokens: Tensor, indices: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the codes (N, L) of places (P,) as a sparse tensor, without their history."""
    places = torch.stack([tokens, indices])
    return torch.sparse_coo_tensor(places, values.detach(), size, check_invariants=False)
