"""The order in which a store's rows are read."""

from collections.abc import Iterator

import numpy as np

GROUP_ROWS = 2**19
"""Shards are shuffled together up to so many rows, so that their pages stay in memory meanwhile."""


def shuffled_rows(
    starts: np.ndarray, seed: int, epoch: int, *, group_rows: int = GROUP_ROWS
) -> Iterator[np.ndarray]:
    """Yield every row number once, group by group.

    The shards are permuted; consecutive ones are put together in groups of at most ``group_rows``
    (at least one shard), and the rows of a group are permuted. A store smaller than a group is
    thus shuffled perfectly, a larger one is still read one group at a time. Stores of the same
    tokens are read in the same order, however wide their rows are.

    Args:
        starts: (shards + 1,) int64, the first row of each shard, and at last the number of rows.
        seed: the order depends on it and on ``epoch`` only.
        epoch: number of the pass over the store.
        group_rows: see above.

    Yields:
        int64 row numbers of one group.
    """
    random = np.random.default_rng([seed, epoch])
    group: list[np.ndarray] = []
    size = 0
    for shard in random.permutation(len(starts) - 1):
        rows = np.arange(starts[shard], starts[shard + 1])
        if group and size + len(rows) > group_rows:
            yield random.permutation(np.concatenate(group))
            group, size = [], 0
        group.append(rows)
        size += len(rows)
    yield random.permutation(np.concatenate(group))
