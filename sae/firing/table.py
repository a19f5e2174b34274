"""The table of what each latent does on some activations, in memory and in its files.

With a_n the activation of a latent on token n of N, which is 0 where the latent is not active, and
``count`` the number of tokens where it is not 0, the columns of ``firing.npz`` are, one row a
latent:

| column | dtype | what it is |
|---|---|---|
| ``latent`` | int64 | 0, 1, ..., L - 1 |
| ``count`` | int64 | on how many tokens the latent is active |
| ``mean_active`` | float64 | sum a_n / ``count``: the mean over the tokens where it is active |
| ``max_active`` | float64 | the largest a_n of these tokens |
| ``mean_all`` | float64 | sum a_n / N: the mean over all tokens, the first moment |
| ``second_moment_all`` | float64 | sum a_n^2 / N, over all tokens |

``mean_active`` and ``max_active`` are NaN for a latent that is active on no token. Activations have
the unit of the SAE's latents: of a unit decoder row, that of the activations themselves.
``firing.json`` says how many tokens were counted, and of which SAE and activations.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...common.files import StrPath
from ...common.tables import save_table
from ..passes.tables import load_sae_table

FORMAT = "twinsae-firing/1"
FIRING = "firing.npz"

_COLUMNS = ("count", "mean_active", "max_active", "mean_all", "second_moment_all")


@dataclass(frozen=True, eq=False)
class Firing:
    """What each of L latents does on N tokens; see this module's table of columns."""

    count: NDArray[np.int64]
    """(L,): on how many tokens each latent is active."""
    mean_active: NDArray[np.float64]
    """(L,): mean activation over the tokens where the latent is active; NaN if it never is."""
    max_active: NDArray[np.float64]
    """(L,): its largest activation where it is active; NaN where it never is."""
    mean_all: NDArray[np.float64]
    """(L,): mean activation over all N tokens."""
    second_moment_all: NDArray[np.float64]
    """(L,): mean squared activation over all N tokens."""
    tokens: int
    """N."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Of a table from a file: what its JSON file says."""

    @property
    def frequency(self) -> NDArray[np.float64]:
        """(L,): the share of the tokens on which each latent is active."""
        return self.count / self.tokens

    @property
    def std_all(self) -> NDArray[np.float64]:
        """(L,): standard deviation of the activation over all N tokens."""
        variance = self.second_moment_all - np.square(self.mean_all)
        return np.sqrt(np.maximum(variance, 0))  # rounding may leave less than 0

    def save(self, file: StrPath, facts: dict[str, Any]) -> None:
        """Write the table and its description, each atomically.

        Args:
            file: the .npz file; the description stands beside it, with the ending .json.
            facts: JSON values: which SAE and which activations.

        Raises:
            OSError: a file could not be written.
        """
        columns: dict[str, NDArray[Any]] = {"latent": np.arange(len(self.count))}
        columns |= {name: getattr(self, name) for name in _COLUMNS}
        save_table(Path(file), FORMAT, columns, {"tokens": self.tokens, **facts})


def load_firing(path: StrPath, sae_sha256: str) -> Firing:
    """Read a table that `twinsae fire` wrote, and refuse that of other weights.

    Args:
        path: the .npz file, or the folder that holds ``firing.npz``, such as the SAE's own.
        sae_sha256: the SHA-256 of the SAE's weight file, as ``summary.json`` of a match has it.

    Raises:
        FileNotFoundError: there is no table, or no description beside it.
        ValueError: the table is of other weights, or a file is corrupt.
    """
    columns, facts = load_sae_table(
        path, FIRING, FORMAT, sae_sha256, made="counted", command="twinsae fire"
    )
    return Firing(**{name: columns[name] for name in _COLUMNS}, tokens=facts["tokens"], facts=facts)
