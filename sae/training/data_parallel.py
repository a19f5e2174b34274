"""One SAE trained by all processes of a run, each on its share of every batch.

Losses and gradients are sums over tokens, divided by the whole batch's variance, which every
process knows: shares add up to the step of one process, except for roundings.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ...kernels.topk import linear_above
from ..config import SAEConfig
from ..model import SAE
from ..train_config import TrainConfig
from .architectures import Chosen, Losses
from .architectures.batch_topk import BatchTopK, above, cut_of, surely_below
from .jobs import Job
from .learner import Learner
from .ranks import Ranks
from .split_adam import SplitAdam


def check_data_parallel(jobs: Sequence[Job], world: int) -> None:
    """Raise unless ``world`` processes can train each of the jobs together.

    Raises:
        ValueError: the message names the setting.
    """
    for job in jobs:
        if job.config.optimizer != "adam" or job.config.moments != "float32":
            raise ValueError("data_parallel: only with the optimizer adam and moments in float32")
        if job.sae.num_latents % world:
            raise ValueError(
                f"data_parallel: {job.sae.num_latents:,} latents do not divide among {world} "
                "processes"
            )
        if job.config.batch_size < world:
            raise ValueError(
                f"batch_size: {job.config.batch_size} activations are fewer than {world} processes"
            )


def own_tokens(ranks: Ranks, batch_size: int) -> slice:
    """Return which rows of a batch are this process' share."""
    edges = [rank * batch_size // ranks.world for rank in (ranks.rank, ranks.rank + 1)]
    return slice(*edges)


class SplitLearner(Learner):
    """A `Learner` in each process, with the same weights and counters in all.

    Args:
        job, sae, total_steps: as for `Learner`.
        ranks: the processes.
    """

    def __init__(self, job: Job, sae: SAE, total_steps: int, ranks: Ranks) -> None:
        self._ranks = ranks
        super().__init__(job, sae, total_steps)
        if job.sae.activation == "batch_topk":
            self.architecture = SplitBatchTopK(job.sae, job.config, ranks)

    def new_optimizer(self) -> SplitAdam:
        """Return what moves the rows that are this process' own."""
        return SplitAdam(self.sae, self.job.config, self._ranks)

    def of_batch(self, losses: Losses, _tokens: int) -> tuple[Losses, int]:
        """Add up the losses, and make the architecture's state, which is a mean, that of all."""
        state, own = self.architecture.state, [losses.fvu, *losses.parts.values()]
        numbers = [each.double() for each in own]
        numbers += [losses.fvu.new_tensor(number, dtype=torch.float64) for number in state.values()]
        summed = torch.stack(numbers)
        self._ranks.sum(summed)
        self._ranks.sum(losses.fired)
        means = (summed[len(own) :] / self._ranks.world).tolist()
        state.update(zip(state, means, strict=True))
        fvu, *parts = summed[: len(own)].to(losses.fvu.dtype)
        whole = Losses(losses.fired, fvu, dict(zip(losses.parts, parts, strict=True)))
        return whole, self.job.config.batch_size


class SplitBatchTopK(BatchTopK):
    """Latents compete over the whole batch, of which each process has a share.

    All learn the scores of all that may be among the largest, and cut them alike.
    """

    def __init__(self, sae_config: SAEConfig, config: TrainConfig, ranks: Ranks) -> None:
        super().__init__(sae_config, config)
        self._ranks = ranks

    def choose(self, sae: SAE, x: Tensor, stacked: Chosen | None) -> Chosen:
        """See `BatchTopK`."""
        chosen = super().choose(sae, x, stacked)
        kept = [each for each in self._ranks.gather(self.state["smallest"]) if each]
        self.state["smallest"] = min(kept, default=0.0)
        return chosen

    def choose_above(self, x: Tensor, weight: Tensor, bias: Tensor, floor: float | None) -> Chosen:
        """See `BatchTopK`; of equal scores those of earlier tokens, thus processes, win."""
        number, every = self.k * self.config.batch_size, list[Tensor]()
        if floor is not None:
            found = linear_above(x, weight, bias, floor)
            every = self._ranks.gather(found.values.cpu())
        if sum(map(len, every)) < number:
            # Above the lowest floor each process has its share of that number, or more.
            floors = self._ranks.gather(surely_below(x, weight, bias, self.k * len(x)))
            found = linear_above(x, weight, bias, min(floors))
            every = self._ranks.gather(found.values.cpu())
        last, ties = cut_of(torch.cat(every), number)
        ties -= sum(int((values == last).sum()) for values in every[: self._ranks.rank])
        return above(found, last, max(ties, 0), len(weight))
