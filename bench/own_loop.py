"""Our trainer, one step at a time, on batches that the caller gives."""

import torch
from torch import Tensor

from ..sae import SAE, TrainConfig
from ..sae.loss import total_variance
from ..sae.training.jobs import Job
from ..sae.training.learner import Learner
from ..sae.training.stack import EncoderStack


class OwnLoop:
    """An SAE in training by our trainer.

    Args:
        sae: with the weights to begin with; it is trained in place.
        config: how to train.
        steps: of the whole run, on which the schedules depend.
    """

    def __init__(self, sae: SAE, config: TrainConfig, steps: int) -> None:
        self._learner = Learner(Job("bench", sae.config, config, 0, "bench"), sae, steps)
        self._k = self._learner.architecture.stacked_k
        self._stack = EncoderStack([sae]) if self._k else None

    @torch.no_grad()
    def step(self, x: Tensor) -> float:
        """Train on one batch (N, D); return the loss before the update, divided by the variance.

        Raises:
            ValueError: the SAE diverged.
        """
        stacked = self._stack.encode(x, self._k)[0] if self._stack else None
        facts = self._learner.update(x, x, total_variance(x), stacked, count_fired=False)
        if facts is None:
            raise ValueError(self._learner.failure)
        return float(facts.fvu + sum(facts.parts.values()))
