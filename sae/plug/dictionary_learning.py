"""dictionary_learning's TopK trainer with our kernels; importing this imports that library.

    trainSAE(data, [{"trainer": FastTopKTrainer, "activation_dim": 576, ...}], steps=...)

in place of its own ``TopKTrainer``; arguments, files and losses are the same.
"""

from importlib import import_module
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .adam import FUSED
from .functional import Active, decode, encode
from .patch import check_version
from .saelens_patch import latent_major

check_version("dictionary-learning", "0.1")
_top_k: Any = import_module("dictionary_learning.trainers.top_k")


class _LossLog(NamedTuple):
    x: Tensor
    x_hat: Tensor
    f: Tensor
    losses: dict[str, float]


class FastTopKTrainer(_top_k.TopKTrainer):  # type: ignore[misc]
    """``TopKTrainer``, with a loss that holds no (N, L) matrix unless it is to be logged.

    A latent's weights lie side by side in memory, in encoder and decoder, and Adam takes its fused
    form; this changes nothing else.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ae.decoder.weight.data = latent_major(self.ae.decoder.weight.data)
        self.optimizer.param_groups[0]["fused"] = torch.device(self.device).type in FUSED
        # It is a transposed clone of the decoder's, and lies as that did.
        self.ae.encoder.weight.data = self.ae.encoder.weight.data.contiguous()

    def loss(self, x: Tensor, step: int, logging: bool = False) -> Any:
        """Return the loss of the batch ``x`` (N, D), as `TopKTrainer`'s."""
        ae = self.ae
        rows = x - ae.b_dec
        top = encode(rows, ae.encoder.weight, ae.encoder.bias, self.k)
        if step > self.threshold_start_step:
            self.update_threshold(top.values)
        x_hat = decode(top.values, top.indices, ae.decoder.weight.T, ae.b_dec)
        error = x - x_hat
        self.effective_l0 = self.k
        self._count(top, len(x))
        l2_loss = error.square().sum(dim=-1).mean()
        auxk_loss = (
            self._auxiliary(error.detach(), rows) if self.auxk_alpha > 0 else x.new_zeros(())
        )
        loss = l2_loss + self.auxk_alpha * auxk_loss
        if not logging:
            return loss
        codes = torch.zeros(len(x), ae.dict_size, dtype=x.dtype, device=x.device)
        codes.scatter_add_(1, top.indices, top.values.to(x.dtype))
        losses = {"l2_loss": l2_loss.item(), "auxk_loss": auxk_loss.item(), "loss": loss.item()}
        return _LossLog(x, x_hat, codes, losses)

    def _count(self, top: Active, tokens: int) -> None:
        self.num_tokens_since_fired += tokens
        self.num_tokens_since_fired[top.indices[top.values > 0]] = 0

    def _auxiliary(self, residual: Tensor, rows: Tensor) -> Tensor:
        """Return the dead latents' share of the residual (N, D) that they leave unexplained."""
        dead = self.num_tokens_since_fired >= self.dead_feature_threshold
        self.dead_features = int(dead.sum())
        if self.dead_features == 0:
            self.pre_norm_auxk_loss: Tensor | int = -1
            return residual.new_zeros(())
        ae, k = self.ae, min(self.top_k_aux, self.dead_features)
        top = encode(rows, ae.encoder.weight, ae.encoder.bias, k, mask=dead)
        found = decode(top.values, top.indices, ae.decoder.weight.T)
        loss = (residual.float() - found.float()).square().sum(dim=-1).mean()
        self.pre_norm_auxk_loss = loss
        centred = residual.float() - residual.mean(dim=0).float()
        return (loss / centred.square().sum(dim=-1).mean()).nan_to_num(0.0)
