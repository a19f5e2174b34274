"""SAEs in training, measured on activations that they are not trained on."""

from collections.abc import Mapping, Sequence

from ..activations import ActivationStore
from ..evaluation import evaluate_store
from .jobs import Job
from .learner import Learner


class HeldOut:
    """Activations to measure on, every so many steps.

    Args:
        stores: by hookpoint, those of all jobs; a transcoder's two have the same tokens.
        every: steps between two measurements; the last step is measured, too.
    """

    def __init__(self, stores: Mapping[str, ActivationStore], every: int) -> None:
        if every < 1:
            raise ValueError(f"evaluate_every: expected 1 or more, got {every}")
        self._stores = stores
        self._every = every

    def check(self, jobs: Sequence[Job]) -> None:
        """Raise ValueError if a job's activations are missing or have another width."""
        for job in jobs:
            for name, width in zip(job.hookpoints, (job.sae.d_in, job.sae.out_width), strict=False):
                if name not in self._stores:
                    known = ", ".join(self._stores)
                    raise ValueError(f"held_out: no activations of {name!r}, only {known}")
                if (found := self._stores[name].d_in) != width:
                    raise ValueError(
                        f"held_out: activations of {name} have width {found}, expected {width}"
                    )

    def due(self, step: int, total: int) -> bool:
        """Return whether SAEs are measured after ``step`` of ``total`` steps."""
        return step % self._every == 0 or step == total

    def measure(self, learners: Sequence[Learner]) -> dict[str, dict[str, float]]:
        """Return what a line of the log says of each SAE, by its folder."""
        together: dict[tuple[str, ...], list[Learner]] = {}
        for learner in learners:
            together.setdefault(tuple(learner.job.hookpoints), []).append(learner)
        found = {}
        for (hookpoint, *target), some in together.items():
            saes = {learner.job.folder: learner.result() for learner in some}
            store = self._stores[hookpoint]
            other = self._stores[target[0]] if target else None
            for name, measured in evaluate_store(saes, store, target=other).items():
                found[name] = {
                    "held_out_fvu": measured.fvu,
                    "held_out_fvu_without_outliers": measured.fvu_without_outliers,
                    "held_out_l0": measured.l0,
                    "held_out_dead": measured.dead,
                }
        return found
