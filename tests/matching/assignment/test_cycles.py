"""The search for cheapest cycles: a small one, and what is no list of edges."""

from typing import Any

import numpy as np
import pytest
from twinsae.matching.assignment import _native


def lists(**changes: Any) -> dict[str, Any]:
    """A cycle of three nodes, 0 -> 1 -> 2 -> 0, of costs 1, 2 and 3, and no other edge."""
    return {
        "out_ends": np.array([[1], [2], [0]], np.int32),
        "out_costs": np.array([[1.0], [2.0], [3.0]]),
        "out_unlisted": np.full(3, np.inf),
        "in_ends": np.array([[2], [0], [1]], np.int32),
        "in_costs": np.array([[3.0], [1.0], [2.0]]),
        "in_unlisted": np.full(3, np.inf),
        "most_settled": 10,
        "threads": 1,
        "lower": np.zeros(3),
        "upper": np.zeros(3),
        **changes,
    }


def test_a_cycle_of_three():
    given = lists()
    _native.cheapest_cycles(**given)
    assert given["lower"].tolist() == given["upper"].tolist() == [6, 6, 6]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"out_ends": np.array([[1], [3], [0]], np.int32)}, "leaving: node 1 has an edge to its"),
        ({"out_ends": np.array([[0], [2], [0]], np.int32)}, "leaving: node 0 has an edge to its"),
        ({"in_ends": np.array([[2], [0], [-2]], np.int32)}, "entering: node 2 has an edge to its"),
        ({"in_costs": np.array([[3.0], [np.nan], [2.0]])}, "entering: node 1 has a cost below 0"),
        ({"out_costs": np.array([[-1.0], [2.0], [3.0]])}, "leaving: node 0 has a cost below 0"),
        ({"out_unlisted": np.array([np.nan, 1, 1])}, "leaving: node 0 has a bound below 0"),
        ({"out_unlisted": np.ones(2)}, "leaving: expected shape"),
        ({"upper": np.zeros(2)}, "upper: expected shape"),
        ({"lower": np.zeros(4), "upper": np.zeros(4)}, "lower: expected no more entries"),
        ({"threads": 0}, "threads: expected 1 or more"),
    ],
)
def test_what_is_no_list_of_edges_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        _native.cheapest_cycles(**lists(**changes))
