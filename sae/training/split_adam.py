"""Adam for one SAE in several processes, each of which moves its own rows of latents.

Each process has the gradients of its share of the batch. They are summed to where a row is moved
(reduce-scatter), which alone keeps its moments, and the moved rows are sent to all (all-gather):
stage 1 of ZeRO, arXiv 1910.02054. What is not a row of a latent is moved by all processes alike.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import Parameter

from ...kernels.grads import LatentGrads
from ..loss import squared_norm
from ..model import SAE
from ..train_config import TrainConfig
from .gradients import Gradients, remove_parallel
from .latent_adam import MATRICES
from .optimizer import clipping
from .ranks import Ranks

LABEL = "optimizer0"  # as `Optimizer` names its state in files, so that either goes on with it


class SplitAdam:
    """What moves the parameters of one SAE, in each of several processes.

    Args:
        sae: with the same weights in all processes.
        config: how to train.
        ranks: the processes; their number divides that of the latents.
    """

    writes_gradients = True

    def __init__(self, sae: SAE, config: TrainConfig, ranks: Ranks) -> None:
        self._sae = sae
        self._config = config
        self._ranks = ranks
        self._moved = {name: Parameter(self._own(name, p)) for name, p in sae.named_parameters()}
        self._adam = torch.optim.Adam(
            self._moved.values(), betas=config.betas, eps=config.eps, fused=True
        )

    @torch.no_grad()
    def step(
        self, gradients: Gradients, lr: float, _number: int, memory: LatentGrads | None = None
    ) -> None:
        """See `Optimizer.step`; ``gradients`` are those of this process' share of the batch."""
        for name, parameter in self._sae.named_parameters():
            self._moved[name].data = self._own(name, parameter)  # a stack moves the weights
        found = {name: self._summed(name, each) for name, each in gradients.written(memory).items()}
        if self._sae.config.normalize_decoder:
            remove_parallel(found["W_dec"], self._moved["W_dec"])
        if self._config.clip:
            factor = self._clipping(found)
            found = {name: gradient * factor for name, gradient in found.items()}
        for name, parameter in self._moved.items():
            parameter.grad = found.get(name)
        self._adam.param_groups[0]["lr"] = lr
        self._adam.step()
        self._adam.zero_grad()
        for name, parameter in self._sae.named_parameters():
            if name in MATRICES:
                self._ranks.spread_rows(parameter.data)
        if self._sae.config.normalize_decoder:
            self._sae.normalize_decoder()

    def result(self) -> dict[str, Tensor]:
        """See `Optimizer.result`."""
        return {name: p.detach() for name, p in self._sae.named_parameters()}

    def tensors(self) -> dict[str, Tensor]:
        """See `Optimizer.tensors`; all processes ask, and only the first gets whole moments."""
        found = {}
        for name, parameter in self._moved.items():
            for key, value in self._adam.state[parameter].items():
                rows = name in MATRICES and value.ndim
                whole = self._ranks.rows_on_first(value) if rows else value
                found[f"{LABEL}.{key}.{name}"] = whole
        return found

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """See `Optimizer.restore`."""
        for name, parameter in self._moved.items():
            state = {}
            for key in ("step", "exp_avg", "exp_avg_sq"):
                if (value := tensors.get(f"{LABEL}.{key}.{name}")) is not None:
                    own = self._own(name, value) if value.ndim else value
                    state[key] = own.to(parameter.device, copy=True)
            self._adam.state[parameter] = state

    def _own(self, name: str, tensor: Tensor) -> Tensor:
        tensor = tensor.detach()
        return self._ranks.own_rows(tensor) if name in MATRICES else tensor

    def _summed(self, name: str, gradient: Tensor) -> Tensor:
        if name in MATRICES:
            return self._ranks.sum_own_rows(gradient)
        self._ranks.sum(gradient)
        return gradient

    def _clipping(self, found: Mapping[str, Tensor]) -> Tensor:
        squares = torch.stack([squared_norm(found[name]) for name in MATRICES]).sum()
        self._ranks.sum(squares)
        others = {name: each for name, each in found.items() if name not in MATRICES}
        return clipping(self._config.clip, others, squares)
