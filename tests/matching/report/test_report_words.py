"""Numbers as the page writes them."""

import pytest
from twinsae.matching.report import words


def plain(text):
    return text.replace(words.NO_BREAK, " ")


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0.0 %"), (0.2604, "26.0 %"), (0.00049, "0.0 %"), (1, "100.0 %")]
)
def test_percent(share, text):
    assert plain(words.percent(share)) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "None"),
        (0.0001, "Under 0.1 %"),
        (0.004, "0.4 %"),
        (0.2604, "26.0 %"),
        (0.995, "99.5 %"),
        (0.9999, "Over 99.9 %"),
        (1, "All"),
    ],
)
def test_headline_never_rounds_to_nothing_or_to_all(share, text):
    assert plain(words.headline_percent(share)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.00 s"),
        (0.416, "0.42 s"),
        (12.34, "12.3 s"),
        (59.97, "1 min 0 s"),
        (245, "4 min 5 s"),
        (7380, "2 h 3 min"),
    ],
)
def test_duration(seconds, text):
    assert plain(words.duration(seconds)) == text


def test_size_and_count():
    assert plain(words.size(123_400_000)) == "117.7 MiB"
    assert plain(words.size(4_260_000_000)) == "4.0 GiB"
    assert words.count(131072) == "131,072"


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (3.14e-11, "3.1e-11"), (0.25, "0.25"), (-2e-9, "-2.0e-09"), (float("inf"), "inf")],
)
def test_small(number, text):
    assert words.small(number) == text


def test_every_criterion_has_a_meaning():
    assert set(words.ONE_TO_ONE + words.MANY_TO_ONE) == set(words.MEANINGS)


@pytest.mark.parametrize(
    ("path", "text"),
    [("/a/b/c/seed0", "c/seed0"), ("c/seed0", "c/seed0"), ("/seed0", "seed0"), ("org/x", "org/x")],
)
def test_a_place_is_told_by_two_parts(path, text):
    assert words.place(path) == text


def test_messages_lose_their_absolute_paths():
    line = "B: /home/u/runs/seed0 is gone; see https://x.org/a/b/c, a/b/c and '/tmp/x/y/z'"
    told = "B: runs/seed0 is gone; see https://x.org/a/b/c, a/b/c and 'y/z'"
    assert words.without_paths(line) == told
