"""Sums over tokens of what each latent does, from sparse codes, batch by batch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..passes.codes import active_codes
from .table import Firing

_STATE = ("count", "total", "squares", "largest")


class FiringSums:
    """Counts and sums of L latents over tokens; `result` says what they become.

    A latent is active on a token if its value there is not 0. Sums are float64 and grow token after
    token, so the result has the same bits however the tokens are split in batches. The memory is 32
    bytes a latent.

    Args:
        num_latents: L.
    """

    def __init__(self, num_latents: int) -> None:
        self.tokens = 0
        """N, the tokens so far."""
        self.count = np.zeros(num_latents, dtype=np.int64)
        """(L,): on how many tokens each latent is active."""
        self.total = np.zeros(num_latents)
        """(L,): the sum of its values."""
        self.squares = np.zeros(num_latents)
        """(L,): the sum of their squares."""
        self.largest = np.full(num_latents, -np.inf)
        """(L,): its largest value where it is active; -inf where it never is."""

    def add(self, values: Tensor, indices: Tensor) -> None:
        """Take in tokens, of which there may be none.

        Args:
            values: (..., k), the values of the active latents; 0 in missing places.
            indices: (..., k) int64, which latents these are, each at most once a token; below 0 in
                missing places.

        Raises:
            ValueError: a value is NaN or infinite. The token is counted from 0 over all calls.
                Nothing may be added after that.
        """
        k = values.shape[-1]
        size = values.shape[:-1].numel()  # -1 would be ambiguous where no latent is active: k = 0
        values, indices = values.reshape(size, k), indices.reshape(size, k)
        _, latents, found = active_codes(values, indices, self.tokens)
        self.count += np.bincount(latents, minlength=len(self.count))
        np.add.at(self.total, latents, found)  # one after another, in the tokens' order
        np.add.at(self.squares, latents, found * found)
        np.maximum.at(self.largest, latents, found)
        self.tokens += size

    def result(self) -> Firing:
        """Return what the sums of all tokens so far become.

        Raises:
            ValueError: there are no tokens.
        """
        if not self.tokens:
            raise ValueError("there are no tokens to count")
        dead = self.count == 0
        return Firing(
            count=self.count.copy(),
            mean_active=np.where(dead, np.nan, self.total / np.maximum(self.count, 1)),
            max_active=np.where(dead, np.nan, self.largest),
            mean_all=self.total / self.tokens,
            second_moment_all=self.squares / self.tokens,
            tokens=self.tokens,
        )

    def save(self, file: Path, facts: Mapping[str, Any]) -> None:
        """Write the table of all tokens so far; see `Firing.save`."""
        self.result().save(file, dict(facts))

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all sums, as arrays that `restore` takes."""
        return {"tokens": np.array(self.tokens), **{name: getattr(self, name) for name in _STATE}}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go on from what `state` returned for as many latents."""
        self.tokens = int(state["tokens"])
        for name in _STATE:
            getattr(self, name)[:] = state[name]
