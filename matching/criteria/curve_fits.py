"""Curves through the share of latents that only one of n dictionaries has, for n = 2, 3, ...

With y the share and n the number of dictionaries, three models are fitted by least squares:

- ``power_offset``: y = a n^b + c, which section 4 of https://arxiv.org/abs/2501.16615 prefers; c is
  the share that no further dictionary would have
- ``power``: y = a n^b
- ``exponential_offset``: y = a exp(b n) + c

For a given b, a and c are the solution of a linear problem, so that the search is over b alone:
variable projection (Golub and Pereyra, https://doi.org/10.1137/0710036). It needs no first guess.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95

Array = NDArray[np.float64]


class _Model(NamedTuple):
    formula: str
    shape: Callable[[Array, float], Array]
    """f(n, b), which a multiplies."""
    slope: Callable[[Array], Array]
    """d ln f / d b."""
    offset: bool


MODELS = {
    "power_offset": _Model("a n^b + c", lambda n, b: n**b, np.log, True),
    "power": _Model("a n^b", lambda n, b: n**b, np.log, False),
    "exponential_offset": _Model("a exp(b n) + c", lambda n, b: np.exp(b * n), lambda n: n, True),
}
# The share falls with n, so b is below 0; beyond these nothing is left of f, or all of it.
_RATES = -np.geomspace(1e-3, 20, 400)
_FLAT = 1e-9  # a curve that rises or falls by less says nothing of b


def fit_curves(numbers: Sequence[int], shares: ArrayLike) -> dict[str, dict[str, Any]]:
    """Fit each model that has fewer parameters than there are points.

    Args:
        numbers: (P,) n, how many dictionaries, all different.
        shares: (P,) y, the share that only one of n has, from 0 to 1.

    Returns:
        {model: {"formula", "parameters": {"a", "b", "c"}, "intervals": {name: [low, high]} or None,
        "residuals": y - fit at each n, "largest_residual": their largest absolute value}}. Each
        interval holds 95 % if the residuals were independent and normal: +- t sqrt(cov), where cov
        = s^2 (J^T J)^-1, s^2 is the sum of squares over P - p and J the derivatives by the p
        parameters. It is None where the points do not determine the parameters: all shares are
        equal, or b is at an end of its range, -20 to -0.001.

    Raises:
        ValueError: there are not as many shares as numbers.
    """
    n, y = np.asarray(numbers, dtype=np.float64), np.asarray(shares, dtype=np.float64)
    if n.shape != y.shape or n.ndim != 1:
        raise ValueError(f"shares: expected one for each of {n.size} numbers, got {y.shape}")
    return {
        name: _fit(model, n, y) for name, model in MODELS.items() if len(n) > len(_names(model))
    }


def _fit(model: _Model, n: Array, y: Array) -> dict[str, Any]:
    from scipy.optimize import minimize_scalar

    squares = [_squares(model, n, y, rate) for rate in _RATES]
    best = int(np.argmin(squares))
    ends = _RATES[max(best - 1, 0)], _RATES[min(best + 1, len(_RATES) - 1)]
    found = minimize_scalar(
        lambda rate: _squares(model, n, y, rate), bounds=sorted(ends), method="bounded",
        options={"xatol": 1e-10},
    )  # fmt: skip
    b = float(found.x)
    linear, residuals = _project(model, n, y, b)
    a, *offset = linear.tolist()
    inside = 0 < best < len(_RATES) - 1
    half = _half_widths(model, n, a, b, residuals) if inside else None
    parameters = dict(zip(_names(model), (a, b, *offset), strict=True))
    return {
        "formula": model.formula,
        "parameters": parameters,
        "intervals": half
        and {
            name: [value - width, value + width]
            for (name, value), width in zip(parameters.items(), half, strict=True)
        },
        "residuals": residuals.tolist(),
        "largest_residual": float(np.abs(residuals).max()),
    }


def _names(model: _Model) -> tuple[str, ...]:
    return ("a", "b", "c") if model.offset else ("a", "b")


def _project(model: _Model, n: Array, y: Array, b: float) -> tuple[Array, Array]:
    """Return the best a, and c if there is one, for this b, and the residuals (P,)."""
    columns = [model.shape(n, b)] + [np.ones_like(n)] * model.offset
    design = np.stack(columns, axis=1)  # (P, 1 or 2)
    linear = np.asarray(np.linalg.lstsq(design, y, rcond=None)[0], dtype=np.float64)
    return linear, y - design @ linear


def _squares(model: _Model, n: Array, y: Array, b: float) -> float:
    residuals = _project(model, n, y, b)[1]
    return float(residuals @ residuals)


def _half_widths(
    model: _Model, n: Array, a: float, b: float, residuals: Array
) -> list[float] | None:
    """Return half the width of each parameter's interval; None where they are not determined."""
    from scipy.stats import t

    f = model.shape(n, b)
    if abs(a) * float(np.ptp(f)) < _FLAT:
        return None
    columns = [f, a * f * model.slope(n)] + [np.ones_like(n)] * model.offset
    jacobian = np.stack(columns, axis=1)  # (P, p)
    freedom = len(n) - len(columns)
    variance = float(residuals @ residuals) / freedom
    covariance = variance * np.linalg.inv(jacobian.T @ jacobian)
    widths = t.ppf((1 + CONFIDENCE) / 2, freedom) * np.sqrt(np.diag(covariance))
    return [float(width) for width in widths]
