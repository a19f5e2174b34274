import pytest
from twinsae.common.units import format_bytes, format_seconds, parse_bytes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("123456", 123456),
        ("8GiB", 8 * 2**30),
        ("8 gib", 8 * 2**30),
        ("1.5G", 1_500_000_000),
        ("800MB", 800_000_000),
        ("4KiB", 4096),
    ],
)
def test_sizes_are_read(text: str, expected: int):
    assert parse_bytes(text) == expected


@pytest.mark.parametrize("text", ["", "much", "-1GiB", "8 GiBs", "1e9"])
def test_what_is_no_size_is_refused(text: str):
    with pytest.raises(ValueError, match="such as 8GiB"):
        parse_bytes(text)


def test_sizes_are_written():
    assert format_bytes(3 * 2**30) == "3.00 GiB"
    assert format_bytes(5 * 2**20) == "5 MiB"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0 s"), (99, "99 s"), (100, "2 min"), (3529, "59 min"), (5940, "99 min"), (9000, "2.5 h")],
)
def test_times_are_written(seconds: float, expected: str):
    assert format_seconds(seconds) == expected
