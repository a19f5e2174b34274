"""The sparse solver against scipy's on the dense matrix, on instances of every shape."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from twinsae.matching import match

# The fixtures that hypothesis complains about are pure functions.
quiet = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
sizes, lengths = st.integers(1, 12), st.sampled_from((1, 2, 3, 32))


@pytest.fixture(autouse=True)
def always_sparse(monkeypatch):
    monkeypatch.setattr("twinsae.matching.dense._FASTER_UP_TO", 0)


@st.composite
def dictionaries(draw, entries):
    width = draw(st.integers(1, 4))
    return tuple(draw(arrays(np.float64, (draw(sizes), width), elements=entries)) for _ in "ab")


@quiet
@given(pair=dictionaries(st.integers(-1, 1).map(float)), m=lengths)
def test_matches_scipy_where_rows_tie_repeat_and_vanish(pair, m, cosines, assert_optimal):
    assert_optimal(match(*pair, m=m), cosines(*pair))


@quiet
@given(pair=dictionaries(st.floats(-1, 1, width=32).filter(lambda x: abs(x) > 1e-6)), m=lengths)
def test_matches_scipy_on_real_values(pair, m, cosines, assert_optimal):
    assert_optimal(match(*pair, m=m), cosines(*pair))
