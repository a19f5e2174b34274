"""Graphs that grow, against dictionaries of pairs."""

import numpy as np
import pytest
import torch
from twinsae.matching.solver.graph import Graph

SHAPE = (700, 1900)


def graph_of(keys: np.ndarray) -> Graph:
    rows, cols = np.divmod(keys, SHAPE[1])
    return Graph(SHAPE, rows.astype(np.int32), cols.astype(np.int32), np.sin(keys))


def keys_of(graph: Graph) -> list[int]:
    assert graph.weights.tolist() == np.sin(_keys(graph)).tolist()
    assert (graph.rows.dtype, graph.cols.dtype) == (np.int32, np.int32)
    return _keys(graph).tolist()


def _keys(graph: Graph) -> np.ndarray:
    return graph.rows.astype(np.int64) * SHAPE[1] + graph.cols


def drawn(rng: np.random.Generator, count: int, low: int, high: int) -> np.ndarray:
    return np.sort(rng.choice(np.arange(low, high), count, replace=False))


ALL = SHAPE[0] * SHAPE[1]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ((600_000, 0, ALL), (50_000, 0, ALL)),  # several parts are copied
        ((600_000, 700_000, ALL), (1000, 0, 600_000)),  # all before
        ((600_000, 0, 610_000), (1000, 620_000, ALL)),  # all behind
        ((3, 0, ALL), (900, 0, ALL)),
        ((0, 0, ALL), (900, 0, ALL)),
        ((900, 0, ALL), (0, 0, ALL)),
        ((0, 0, ALL), (0, 0, ALL)),
        ((500, 0, 500), (400, 0, 500)),  # nothing is new
    ],
)
def test_what_is_new_joins_a_graph(old, new, threads):
    before = torch.get_num_threads()
    rng = np.random.default_rng(sum(old) + sum(new))
    first, second = (drawn(rng, *each) for each in (old, new))
    try:
        torch.set_num_threads(threads)
        graph, other = graph_of(first), graph_of(second)
        added = other.outside(graph)
        assert keys_of(added) == np.setdiff1d(second, first).tolist()
        assert keys_of(graph.joined(added)) == np.union1d(first, second).tolist()
        some = rng.permutation(first)[:200]
        weights = graph.weights_of(*np.divmod(some, SHAPE[1]))
        assert weights.tolist() == np.sin(some).tolist()
    finally:
        torch.set_num_threads(before)
