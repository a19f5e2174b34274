"""The C++ functions on codes refuse what would make them read or write elsewhere."""

from typing import Any

import numpy as np
import pytest
from twinsae.matching import _native

TOKENS, ROWS, COLS, LIST = 3, 2, 4, 2


def codes(members: list[int], offsets: list[int]) -> tuple[np.ndarray, ...]:
    values = np.ones(len(members), dtype=np.float32)
    return np.array(offsets), np.array(members, dtype=np.int32), values


def similarity() -> dict[str, Any]:
    """Row 0 is active on tokens 0 and 2, row 1 on 1; columns 3 and 0 on token 0, 1 on token 2."""
    return {
        "tokens_of_row": codes([0, 2, 1], [0, 2, 3]),
        "cols_of_token": codes([3, 0, 1], [0, 2, 2, 3]),
        "row_shift": np.zeros(ROWS),
        "row_scale": np.ones(ROWS),
        "col_shift": np.zeros(COLS),
        "col_scale": np.ones(COLS),
    }


def best(**change: Any) -> tuple[float, dict[str, Any]]:
    given = {
        **similarity(),
        "row_price": np.zeros(ROWS),
        "col_price": np.zeros(COLS),
        "floor": 0.0,
        "threads": 2,
        "row_cols": np.full((ROWS, LIST), 9, dtype=np.int32),
        "row_values": np.full((ROWS, LIST), 9.0),
        "col_rows": np.full((COLS, LIST), 9, dtype=np.int32),
        "col_values": np.full((COLS, LIST), 9.0),
        "row_max": np.zeros(ROWS),
        "col_max": np.zeros(COLS),
    } | change
    return _native.best_pairs(**given), given


def test_the_lists_of_a_hand_made_similarity():
    worst, out = best(col_price=np.array([0.25, 0, 0, 0.5]))
    assert worst == 1
    assert out["row_cols"].tolist() == [[1, 0], [-1, -1]]  # 3 has the least excess, 0.5
    assert out["row_values"].tolist() == [[1, 1], [0, 0]]
    assert out["col_rows"].tolist() == [[0, -1], [0, -1], [-1, -1], [0, -1]]
    assert out["row_max"].tolist() == [1, 0]
    assert out["col_max"].tolist() == [1, 1, 0, 1]


@pytest.mark.parametrize(
    "change",
    [
        {"tokens_of_row": codes([0, 3, 1], [0, 2, 3])},
        {"tokens_of_row": codes([0, -1, 1], [0, 2, 3])},
        {"tokens_of_row": codes([0, 2, 1], [0, 2, 4])},
        {"tokens_of_row": codes([0, 2, 1], [0, 3])},
        {"tokens_of_row": codes([0, 2, 1], [0, 2, 3])[:2]},
        {"cols_of_token": codes([3, 0, 4], [0, 2, 2, 3])},
        {"cols_of_token": codes([3, 0, 1], [0, 2, 1, 3])},
        {"cols_of_token": codes([3, 0, 1], [0, 3])},
        {"cols_of_token": (np.array([0, 2, 2, 3]), np.zeros(3, dtype=np.int64), np.ones(3))},
        {"row_scale": np.ones(ROWS + 1)},
        {"col_scale": np.ones(COLS - 1)},
        {"col_price": np.zeros(COLS - 1)},
        {"row_price": np.zeros(ROWS - 1)},
        {"threads": 0},
        {"row_values": np.zeros((ROWS, LIST + 1))},
        {"col_rows": np.zeros((COLS - 1, LIST), dtype=np.int32)},
        {"row_cols": np.zeros((ROWS, 0), dtype=np.int32)},
        {"row_max": np.zeros(ROWS - 1)},
    ],
)
def test_wrong_arguments_of_a_search_are_refused(change: dict[str, Any]):
    with pytest.raises(ValueError, match="expected"):
        best(**change)


@pytest.mark.parametrize("function", ["pair_similarities", "pair_counts"])
@pytest.mark.parametrize(
    ("rows", "cols", "size"),
    [([ROWS], [0], 1), ([0], [COLS], 1), ([-1], [0], 1), ([0], [0, 1], 1), ([0], [0], 2)],
)
def test_wrong_pairs_are_refused(function: str, rows: list[int], cols: list[int], size: int):
    dtype = np.float64 if function == "pair_similarities" else np.int64
    ends = np.array(rows, dtype=np.int32), np.array(cols, dtype=np.int32)
    with pytest.raises(ValueError, match="expected"):
        getattr(_native, function)(*similarity().values(), *ends, 1, np.zeros(size, dtype=dtype))
