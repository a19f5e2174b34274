"""Encoders of several seeds in one matrix, so that one product serves them all."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...kernels.topk import linear_topk
from ..model import SAE
from .architectures.affine import encoder_bias
from .architectures.interface import Chosen
from .learner import Learner
from .places import Listed


class EncoderStack:
    """The encoder weights of S SAEs as one (S L, D) matrix; each SAE's weight becomes a view of it.

    Updates of the SAEs' weights thus need no copying. `release` gives each SAE its own memory back.
    """

    def __init__(self, saes: Sequence[SAE]) -> None:
        self._saes = saes
        self._weight = torch.cat([sae.encoder.weight.data for sae in saes])  # (S L, D)
        blocks = self._weight.chunk(len(saes))
        for sae, block in zip(saes, blocks, strict=True):
            sae.encoder.weight.data = block

    @torch.no_grad()
    def encode(self, x: Tensor, k: int) -> list[Chosen]:
        """Return each SAE's k largest positive scores, (N, k), of the rows ``x`` (N, D)."""
        groups = len(self._saes)
        bias = torch.cat(
            [encoder_bias(sae, sae.encoder.weight, sae.encoder.bias) for sae in self._saes]
        )  # (S L,)
        top = linear_topk(x, self._weight, bias, k, groups=groups)
        values = top.values.reshape(len(x), groups, k)
        indices = top.indices.reshape(len(x), groups, k)
        latents = self._saes[0].config.num_latents
        return [
            Chosen(Listed(each, None, latents), scores)
            for each, scores in zip(indices.unbind(1), values.unbind(1), strict=True)
        ]

    def release(self) -> None:
        """Make the SAEs independent of the stack, and of one another, again."""
        for sae in self._saes:
            sae.encoder.weight.data = sae.encoder.weight.data.clone()


@dataclass(frozen=True, eq=False)
class Stack:
    """SAEs that are encoded together, or one that scans by itself."""

    learners: list[Learner]
    encoders: EncoderStack | None

    def encode(self, x: Tensor) -> list[Chosen | None]:
        """Return for each SAE the scan of ``x`` (N, d_in); None where it scans by itself."""
        if self.encoders is None:
            return [None]
        return [*self.encoders.encode(x, self.learners[0].architecture.stacked_k)]


def stacks_of(learners: Sequence[Learner]) -> list[Stack]:
    """Return all learners, those together whose scans can be one."""
    alike: dict[object, list[Learner]] = {}
    for learner in learners:
        k, sae = learner.architecture.stacked_k, learner.job.sae
        alike_by = (learner.job.hookpoint, learner.scale, learner.job.config.precision)
        key = (*alike_by, k, sae.num_latents) if k else learner
        alike.setdefault(key, []).append(learner)
    return [
        Stack(
            each, EncoderStack([learner.model for learner in each]) if key is not each[0] else None
        )
        for key, each in alike.items()
    ]


def release(stacks: Sequence[Stack]) -> None:
    """Give each SAE its own memory back."""
    for stack in stacks:
        if stack.encoders is not None:
            stack.encoders.release()
