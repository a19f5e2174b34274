"""dictionary_learning's trainers of SAEs that choose their latents, with our kernels.

    trainSAE(data, [{"trainer": FastTopKTrainer, "activation_dim": 576, ...}], steps=...)

in place of its own ``TopKTrainer``; arguments, files and losses are the same. Importing this
imports that library.
"""

from collections.abc import Iterator
from importlib import import_module
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .adam import FUSED
from .functional import Active, decode, encode, encode_batch
from .patch import check_version
from .saelens_patch import latent_major

check_version("dictionary-learning", "0.1")
_top_k: Any = import_module("dictionary_learning.trainers.top_k")
_batch_top_k: Any = import_module("dictionary_learning.trainers.batch_top_k")
_nested: Any = import_module("dictionary_learning.trainers.matryoshka_batch_top_k")


class _LossLog(NamedTuple):
    x: Tensor
    x_hat: Tensor
    f: Tensor
    losses: dict[str, float]


class _Weights(NamedTuple):
    """The parameters of one of its dictionaries, latent by latent."""

    encoder: Tensor
    """(L, D)."""
    encoder_bias: Tensor
    """(L,)."""
    decoder: Tensor
    """(L, D)."""
    b_dec: Tensor
    """(D,)."""


class _Fast:
    """A loss that holds no (N, L) matrix unless it is to be logged.

    A latent's weights lie side by side in memory, in encoder and decoder, and Adam takes its fused
    form; this changes nothing else.
    """

    ae: Any
    optimizer: Any
    device: Any
    k: int
    auxk_alpha: float
    top_k_aux: int
    dead_feature_threshold: int
    num_tokens_since_fired: Tensor
    threshold_start_step: int
    update_threshold: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.optimizer.param_groups[0]["fused"] = torch.device(self.device).type in FUSED
        self._lay_out()

    def loss(self, x: Tensor, step: int, logging: bool = False) -> Any:
        """Return the loss of the batch ``x`` (N, D), as dictionary_learning's own trainer."""
        weights = self._weights()
        rows = x - weights.b_dec
        top = self._encode(rows, weights)
        if step > self.threshold_start_step:
            self.update_threshold(top.values)
        x_hat, l2_loss, more = self._l2_loss(x, top, weights)
        self.effective_l0 = self.k
        self._count(top, len(x))
        auxk_loss = x.new_zeros(())
        if self.auxk_alpha > 0:
            auxk_loss = self._auxiliary((x - x_hat).detach(), rows, weights)
        loss = l2_loss + self.auxk_alpha * auxk_loss
        if not logging:
            return loss
        codes = torch.zeros(len(x), len(weights.encoder), dtype=x.dtype, device=x.device)
        codes.scatter_add_(1, top.indices, top.values.to(x.dtype))
        losses = {"l2_loss": l2_loss.item(), "auxk_loss": auxk_loss.item(), "loss": loss.item()}
        return _LossLog(x, x_hat, codes, losses | more)

    def _weights(self) -> _Weights:
        ae = self.ae
        return _Weights(ae.encoder.weight, ae.encoder.bias, ae.decoder.weight.T, ae.b_dec)

    def _lay_out(self) -> None:
        self.ae.decoder.weight.data = latent_major(self.ae.decoder.weight.data)
        # It is a transposed clone of the decoder's, and lies as that did.
        self.ae.encoder.weight.data = self.ae.encoder.weight.data.contiguous()

    def _encode(self, rows: Tensor, weights: _Weights) -> Active:
        number = self.k * len(rows)
        return encode_batch(rows, weights.encoder, weights.encoder_bias, number)

    def _l2_loss(
        self, x: Tensor, top: Active, weights: _Weights
    ) -> tuple[Tensor, Tensor, dict[str, float]]:
        """Return the reconstruction (N, D), its loss, and what else the log has of it."""
        x_hat = decode(top.values, top.indices, weights.decoder, weights.b_dec)
        return x_hat, _error(x, x_hat), {}

    def _count(self, top: Active, tokens: int) -> None:
        self.num_tokens_since_fired += tokens
        self.num_tokens_since_fired[top.indices[top.values > 0]] = 0

    def _auxiliary(self, residual: Tensor, rows: Tensor, weights: _Weights) -> Tensor:
        """Return the dead latents' share of the residual (N, D) that they leave unexplained."""
        dead = self.num_tokens_since_fired >= self.dead_feature_threshold
        self.dead_features = int(dead.sum())
        if self.dead_features == 0:
            self.pre_norm_auxk_loss: Tensor | int = -1
            return residual.new_zeros(())
        k = min(self.top_k_aux, self.dead_features)
        top = encode(rows, weights.encoder, weights.encoder_bias, k, mask=dead)
        found = decode(top.values, top.indices, weights.decoder)
        loss = _error(residual.float(), found.float())
        self.pre_norm_auxk_loss = loss
        centred = residual.float() - residual.mean(dim=0).float()
        return (loss / centred.square().sum(dim=-1).mean()).nan_to_num(0.0)


class FastTopKTrainer(_Fast, _top_k.TopKTrainer):  # type: ignore[misc]
    """``TopKTrainer``, with a loss that holds no (N, L) matrix unless it is to be logged.

    A latent's weights lie side by side in memory, in encoder and decoder, and Adam takes its fused
    form; this changes nothing else.
    """

    def _encode(self, rows: Tensor, weights: _Weights) -> Active:
        return encode(rows, weights.encoder, weights.encoder_bias, self.k)


class FastBatchTopKTrainer(_Fast, _batch_top_k.BatchTopKTrainer):  # type: ignore[misc]
    """``BatchTopKTrainer``, as `FastTopKTrainer` is ``TopKTrainer``."""


class FastMatryoshkaBatchTopKTrainer(_Fast, _nested.MatryoshkaBatchTopKTrainer):  # type: ignore[misc]
    """``MatryoshkaBatchTopKTrainer``, as `FastTopKTrainer` is ``TopKTrainer``."""

    group_weights: list[float]

    def _weights(self) -> _Weights:
        ae = self.ae
        return _Weights(ae.W_enc.T, ae.b_enc, ae.W_dec, ae.b_dec)

    def _lay_out(self) -> None:
        self.ae.W_enc.data = latent_major(self.ae.W_enc.data)
        self.ae.W_dec.data = self.ae.W_dec.data.contiguous()

    def _l2_loss(
        self, x: Tensor, top: Active, weights: _Weights
    ) -> tuple[Tensor, Tensor, dict[str, float]]:
        losses = []
        x_hat = weights.b_dec.expand_as(x)
        for weight, part in zip(self.group_weights, self._groups(top), strict=True):
            x_hat = x_hat + decode(part, top.indices, weights.decoder)
            losses.append(weight * _error(x, x_hat))
        all_losses = torch.stack(losses)
        log = {
            "min_l2_loss": all_losses.min().item(),
            "max_l2_loss": all_losses.max().item(),
        }
        return x_hat, all_losses.mean(), log

    def _groups(self, top: Active) -> Iterator[Tensor]:
        """Yield the values (N, k) with 0 in place of those that are not of a group's latents."""
        for first, last in pairwise(map(int, self.ae.group_indices)):
            yield top.values.where((top.indices >= first) & (top.indices < last), 0)


def _error(x: Tensor, x_hat: Tensor) -> Tensor:
    return (x - x_hat).square().sum(dim=-1).mean()
