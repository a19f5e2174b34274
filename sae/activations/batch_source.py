"""What a trainer reads: batches of one or several hookpoints, row for row of the same tokens."""

import hashlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Protocol

import numpy as np
from torch import Tensor

from .same_tokens import difference
from .store import ActivationStore


class BatchSource(Protocol):
    """Activations to train on: `StoredBatches` or an `ActivationStream`."""

    @property
    def widths(self) -> Mapping[str, int]:
        """The d_in of each hookpoint."""

    @property
    def tokens(self) -> int:
        """Activations in one epoch, at each hookpoint."""

    @property
    def fingerprint(self) -> str:
        """The identity of all these activations, for a checkpoint."""

    def fingerprint_of(self, hookpoint: str) -> str:
        """Return the identity of one hookpoint's activations, whatever others there are."""

    def steps_per_epoch(self, batch_size: int) -> int:
        """Return how many batches one epoch has; the rest that fills none is left out.

        Raises:
            ValueError: a batch is larger than an epoch, or not positive.
        """

    def batches(
        self, batch_size: int, *, shuffle_seed: int, start_step: int = 0, epochs: int
    ) -> Iterator[dict[str, Tensor]]:
        """Return an iterator over (B, d_in) float32 tensors by hookpoint.

        Args:
            batch_size: B.
            shuffle_seed: the order depends on it and on the epoch only.
            start_step: begin at this batch, counted from the first epoch's start; what follows
                is the same to the bit as without.
            epochs: passes over the activations, each in an order of its own.
        """


class StoredBatches:
    """Stores of the same tokens at different hookpoints, read in lockstep.

    Each hookpoint is read in the order in which its store is read alone.

    Args:
        stores: by hookpoint; at least one.

    Attributes:
        stores: as given.
        widths: d_in of each hookpoint.
        tokens: rows of each store.

    Raises:
        ValueError: the stores are not of the same tokens, as far as they tell.
    """

    def __init__(self, stores: Mapping[str, ActivationStore]) -> None:
        if not stores:
            raise ValueError("stores: at least one is needed")
        self.stores = dict(stores)
        name, self._first = next(iter(stores.items()))
        for other, store in stores.items():
            if (told := difference(self._first, store)) is not None:
                raise ValueError(
                    f"activations of {name} and {other} cannot be used together: {told}"
                )
        self.widths = {name: store.d_in for name, store in stores.items()}
        self.tokens = self._first.rows

    def without_outliers(self, max_norm: float) -> "StoredBatches":
        """Return the batches without the tokens whose norm is far off at any of the hookpoints.

        See `ActivationStore.without_outliers`.

        Raises:
            ValueError: ``max_norm`` is below 1.
        """
        keep = np.logical_and.reduce([store.within(max_norm) for store in self.stores.values()])
        return StoredBatches(
            {name: store.choose(keep, max_norm=max_norm) for name, store in self.stores.items()}
        )

    @cached_property
    def fingerprint(self) -> str:
        """That of a single store; of several, a SHA-256 of theirs and of the names."""
        if len(self.stores) == 1:
            return self._first.fingerprint
        lines = [f"{name} {store.fingerprint}" for name, store in self.stores.items()]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def fingerprint_of(self, hookpoint: str) -> str:
        """Return the fingerprint of one hookpoint's store."""
        return self.stores[hookpoint].fingerprint

    def steps_per_epoch(self, batch_size: int) -> int:
        """As `ActivationStore.steps_per_epoch`."""
        return self._first.steps_per_epoch(batch_size)

    def batches(
        self, batch_size: int, *, shuffle_seed: int, start_step: int = 0, epochs: int
    ) -> Iterator[dict[str, Tensor]]:
        """As `ActivationStore.batches`, by hookpoint; the same rows are of the same tokens."""
        row_batches = self._first.row_batches(
            batch_size, shuffle_seed=shuffle_seed, start_step=start_step, epochs=epochs
        )
        return (
            {name: store.gather(rows) for name, store in self.stores.items()}
            for rows in row_batches
        )
