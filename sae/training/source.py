"""Where training takes its batches from."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from torch import Tensor

from ..activations.store import ActivationStore


class Source(Protocol):
    """Activations of one or more hookpoints, row by row of the same tokens, in shuffled batches."""

    @property
    def widths(self) -> Mapping[str, int]:
        """The width of the activations by hookpoint."""

    @property
    def rows(self) -> int:
        """The number of activations of a hookpoint."""

    @property
    def fingerprint(self) -> str:
        """The identity of the data."""

    def steps_per_epoch(self, batch_size: int) -> int:
        """Return how many batches one pass has."""

    def batches(
        self, batch_size: int, *, shuffle_seed: int, start_step: int = 0, epochs: int
    ) -> Iterator[dict[str, Tensor]]:
        """Return the batches from a step on, (batch_size, width) float32 by hookpoint."""


class OneStore:
    """A store's activations, those of one hookpoint."""

    def __init__(self, hookpoint: str, store: ActivationStore) -> None:
        self._hookpoint = hookpoint
        self._store = store
        self.widths = {hookpoint: store.d_in}
        self.rows = store.rows
        self.fingerprint = store.fingerprint

    def steps_per_epoch(self, batch_size: int) -> int:
        """See `Source`."""
        return self._store.steps_per_epoch(batch_size)

    def batches(
        self, batch_size: int, *, shuffle_seed: int, start_step: int = 0, epochs: int
    ) -> Iterator[dict[str, Tensor]]:
        """See `Source`."""
        batches = self._store.batches(
            batch_size, shuffle_seed=shuffle_seed, start_step=start_step, epochs=epochs
        )
        return ({self._hookpoint: x} for x in batches)
