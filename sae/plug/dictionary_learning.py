"""dictionary_learning's trainers of sparse SAEs, with our kernels.

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

from .above import Above, encode_above, jump
from .adam import FUSED
from .functional import Active, decode, encode, encode_batch
from .layout import latent_major
from .patch import check_version

check_version("dictionary-learning", "0.1")
_top_k: Any = import_module("dictionary_learning.trainers.top_k")
_batch_top_k: Any = import_module("dictionary_learning.trainers.batch_top_k")
_jumprelu: Any = import_module("dictionary_learning.trainers.jumprelu")
_nested: Any = import_module("dictionary_learning.trainers.matryoshka_batch_top_k")


class _LossLog(NamedTuple):
    x: Tensor
    x_hat: Tensor
    f: Tensor
    losses: dict[str, float]


class _JumpReluLossLog(NamedTuple):
    x: Tensor
    recon: Tensor
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


class _Start:
    """Lays out a trainer's weights, and has its Adam take the fused form."""

    ae: Any
    optimizer: Any
    device: Any
    num_tokens_since_fired: Tensor
    dead_feature_threshold: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.optimizer.param_groups[0]["fused"] = torch.device(self.device).type in FUSED
        self._lay_out()

    def _lay_out(self) -> None:
        self.ae.decoder.weight.data = latent_major(self.ae.decoder.weight.data)
        # It is a transposed clone of the decoder's, and lies as that did.
        self.ae.encoder.weight.data = self.ae.encoder.weight.data.contiguous()


class _Matrices:
    """Lays out a dictionary whose weights are matrices (D, L) and (L, D), not linear layers."""

    ae: Any

    def _lay_out(self) -> None:
        self.ae.W_enc.data = latent_major(self.ae.W_enc.data)
        self.ae.W_dec.data = self.ae.W_dec.data.contiguous()


class _Fast(_Start):
    """A loss that holds no (N, L) matrix unless it is to be logged."""

    k: int
    auxk_alpha: float
    top_k_aux: int
    threshold_start_step: int
    update_threshold: Any

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


class FastMatryoshkaBatchTopKTrainer(
    _Matrices,
    _Fast,
    _nested.MatryoshkaBatchTopKTrainer,  # type: ignore[misc]
):
    """``MatryoshkaBatchTopKTrainer``, as `FastTopKTrainer` is ``TopKTrainer``."""

    group_weights: list[float]

    def _weights(self) -> _Weights:
        ae = self.ae
        return _Weights(ae.W_enc.T, ae.b_enc, ae.W_dec, ae.b_dec)

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


class FastJumpReluTrainer(_Matrices, _Start, _jumprelu.JumpReluTrainer):  # type: ignore[misc]
    """``JumpReluTrainer``, as `FastTopKTrainer` is ``TopKTrainer``.

    While more than a tenth of the scores of a batch are active, the loss is computed by
    dictionary_learning itself, which then takes less time.
    """

    bandwidth: float
    sparsity_coefficient: float
    sparsity_warmup_fn: Any
    target_l0: float

    def loss(self, x: Tensor, step: int, logging: bool = False, **more: Any) -> Any:
        """Return the loss of the batch ``x`` (N, D), as dictionary_learning's own trainer."""
        ae = self.ae
        x = x.to(ae.W_enc.dtype)
        above = encode_above(x, ae.W_enc.T, ae.b_enc, ae.threshold, self.bandwidth)
        if above is None:
            return super().loss(x, step, logging, **more)
        values, _ = jump(above.scores, above.thresholds, self.bandwidth)
        recon = above.decode(values, ae.W_dec, ae.b_dec)
        self._count(above, values.detach(), len(x))
        recon_loss = _error(x, recon)
        l0 = self._steps(above, values.detach(), len(x)) / len(x)
        scale = self.sparsity_coefficient * self.sparsity_warmup_fn(step)
        loss = recon_loss + scale * (l0 / self.target_l0 - 1).square()
        if not logging:
            return loss
        codes = torch.zeros(len(x), len(ae.threshold), dtype=values.dtype, device=x.device)
        codes[above.tokens, above.indices] = values
        losses = {"l2_loss": recon_loss.item(), "loss": loss.item()}
        return _JumpReluLossLog(x, recon, codes, losses)

    def _count(self, above: Above, values: Tensor, tokens: int) -> None:
        sums = torch.zeros_like(self.ae.threshold, dtype=values.dtype)
        self.num_tokens_since_fired += tokens
        self.num_tokens_since_fired[sums.index_add(0, above.indices, values) > 0] = 0
        dead = self.num_tokens_since_fired > self.dead_feature_threshold
        self.dead_features = int(dead.sum())

    def _steps(self, above: Above, values: Tensor, tokens: int) -> Tensor:
        """Return the number of values (N, L) above their threshold, with its gradient.

        It is of the values, not the scores, as dictionary_learning has it. All that are not listed
        are 0, which is above a negative threshold, and in the window around a small one.
        """
        threshold = self.ae.threshold
        _, listed = jump(values, above.thresholds, self.bandwidth)
        _, others = jump(torch.zeros_like(threshold), threshold, self.bandwidth)
        counts = tokens - above.indices.bincount(minlength=len(threshold))  # (L,)
        return listed.sum() + (counts * others).sum()


def _error(x: Tensor, x_hat: Tensor) -> Tensor:
    return (x - x_hat).square().sum(dim=-1).mean()
