"""Fits to the curve of the paper, and to curves of which the parameters are known."""

import numpy as np
import pytest
from scipy.optimize import curve_fit
from twinsae.matching.criteria.curve_fits import MODELS, fit_curves

# Figure 2 of arXiv 2501.16615, digitised: the share only in the base SAE, for n = 2 to 9.
PAPER = [0.5831, 0.4843, 0.4359, 0.4061, 0.3854, 0.3700, 0.3579, 0.3481]
N = range(2, 10)


def test_the_curve_of_the_paper():
    fits = fit_curves(N, PAPER)
    assert list(fits) == list(MODELS) == ["power_offset", "power", "exponential_offset"]
    found = fits["power_offset"]["parameters"]
    assert round(found["a"], 3) == 0.589
    assert round(found["b"], 3) == -0.916
    assert round(found["c"], 3) == 0.270
    largest = {name: round(fit["largest_residual"], 4) for name, fit in fits.items()}
    assert largest == {"power_offset": 0.0015, "power": 0.0135, "exponential_offset": 0.0074}
    assert round(fits["exponential_offset"]["parameters"]["c"], 3) == 0.345


WRITTEN_OUT = {
    "power_offset": (lambda n, a, b, c: a * n**b + c, (0.5, -1, 0.2)),
    "power": (lambda n, a, b: a * n**b, (0.7, -0.3)),
    "exponential_offset": (lambda n, a, b, c: a * np.exp(b * n) + c, (0.6, -0.5, 0.3)),
}


@pytest.mark.parametrize("name", MODELS)
def test_parameters_and_intervals_are_those_of_another_solver(name):
    function, first = WRITTEN_OUT[name]
    fit = fit_curves(N, PAPER)[name]
    n = np.array(N, dtype=float)
    expected, covariance = curve_fit(function, n, PAPER, p0=first, ftol=1e-14, xtol=1e-14)
    found = list(fit["parameters"].values())
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    freedom = len(n) - len(first)
    quantile = {5: 2.570582, 6: 2.446912}[freedom]  # of Student's t at 97.5 %, from a table
    half = quantile * np.sqrt(np.diag(covariance))
    ends = np.array(list(fit["intervals"].values()))
    np.testing.assert_allclose(ends, np.array([expected - half, expected + half]).T, rtol=1e-3)
    residuals = np.array(PAPER) - function(n, *expected)
    np.testing.assert_allclose(fit["residuals"], residuals, atol=1e-8)
    assert fit["largest_residual"] == max(map(abs, fit["residuals"]))


@pytest.mark.parametrize("name", MODELS)
def test_exact_curves_give_their_parameters_back(name):
    function, _ = WRITTEN_OUT[name]
    for rate in (-0.05, -0.7, -3.0):
        given = (0.4, rate, 0.25)[: 3 if MODELS[name].offset else 2]
        shares = function(np.array(N, dtype=float), *given)
        fit = fit_curves(N, shares)[name]
        # A steep curve has one point alone that is far from its end.
        np.testing.assert_allclose(list(fit["parameters"].values()), given, rtol=1e-3, atol=1e-6)
        assert fit["largest_residual"] < 1e-7


def test_shares_that_determine_nothing_have_no_intervals():
    for level in (0.0, 0.3, 1.0):
        for fit in fit_curves(N, [level] * 8).values():
            assert fit["intervals"] is None
            assert fit["largest_residual"] < 1e-3
    step = fit_curves(N, [1.0] + [0.2] * 7)  # falls at once: any steep curve will do
    assert step["power_offset"]["intervals"] is None
    assert step["power_offset"]["parameters"]["c"] == pytest.approx(0.2, abs=1e-3)


def test_a_curve_needs_more_points_than_parameters():
    assert fit_curves([], []) == {}
    assert fit_curves([2, 3], [0.5, 0.4]) == {}
    assert list(fit_curves([2, 3, 4], [0.5, 0.4, 0.35])) == ["power"]
    assert len(fit_curves([2, 3, 4, 5], [0.5, 0.4, 0.35, 0.33])) == 3
    with pytest.raises(
        ValueError, match=r"^shares: expected one for each of 2 numbers, got \(3,\)"
    ):
        fit_curves([2, 3], [0.5, 0.4, 0.3])
