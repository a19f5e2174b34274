import pytest
from twinsae.common.blocks import slices


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (0, 1), (0, 7), (0, 9), (4, 9), (9, 4)])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_every_row_is_in_one_block_in_order(start: int, stop: int, size: int):
    rows = list(range(20))
    parts = [rows[block] for block in slices(stop, size, start=start)]
    assert [row for part in parts for row in part] == list(range(start, stop))
    assert all(len(part) == size for part in parts[:-1])
    assert all(1 <= len(part) <= size for part in parts)


@pytest.mark.parametrize("size", [0, -1])
def test_a_block_without_rows_is_refused(size: int):
    with pytest.raises(ValueError, match=f"size: expected 1 row or more, got {size}"):
        list(slices(5, size))
