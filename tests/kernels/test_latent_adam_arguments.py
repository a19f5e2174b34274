"""Wrong arguments of latent_adam, in Python and in C++, are refused and named."""

import numpy as np
import pytest
import torch
from twinsae.kernels import _native
from twinsae.kernels.update import AdamStep, Moments, Term, latent_adam

ONES = Term(torch.ones(2, 3), torch.zeros(2, 3, dtype=torch.int64), torch.ones(2, 4))


@pytest.mark.parametrize(
    ("change", "error", "names"),
    [
        ({"weight": torch.ones(5)}, ValueError, "weight: expected 2 dimensions"),
        ({"weight": torch.ones(5, 4).half()}, TypeError, "weight: expected float32 or float64"),
        ({"weight": torch.ones(4, 5).T}, ValueError, "weight: expected a contiguous tensor"),
        ({"decay": torch.ones(4)}, ValueError, r"decay: expected shape \(5,\)"),
        ({"decay": torch.ones(5).double()}, TypeError, "decay: expected torch.float32"),
        ({"adam": AdamStep(0.1, 0)}, ValueError, "adam.step: expected 1 or more, got 0"),
        ({"adam": AdamStep(0.1, 1, 1.0)}, ValueError, "adam.beta1: expected 0 to below 1"),
        ({"adam": AdamStep(0.1, 1, 0.9, -1)}, ValueError, "adam.beta2: expected 0 to below 1"),
        ({"backend": "triton"}, ValueError, "backend: 'triton' cannot serve latent_adam"),
        ({"backend": "fast"}, ValueError, "backend: expected one of"),
        ({"moments": Moments(torch.ones(5, 4), torch.ones(4, 4))}, ValueError,
         "moments.exp_avg_sq: expected shape"),
        ({"moments": Moments(torch.ones(5, 4), torch.ones(5, 4).bfloat16())}, TypeError,
         "moments.exp_avg_sq: expected both moments in torch.float32, or both in torch.bfloat16"),
        ({"moments": Moments(torch.ones(5, 4).half(), torch.ones(5, 4).half())}, TypeError,
         "moments.exp_avg: expected both"),
        ({"moments": Moments(torch.ones(4, 5).T, torch.ones(5, 4))}, ValueError,
         "moments.exp_avg: expected a contiguous"),
        ({"terms": [ONES, ONES._replace(scales=torch.ones(2, 2))]}, ValueError,
         r"terms\[1\].indices: expected shape"),
        ({"terms": [ONES._replace(scales=torch.ones(2, 3).double())]}, TypeError,
         r"terms\[0\].scales: expected torch.float32"),
        ({"terms": [ONES._replace(rows=torch.ones(2, 5))]}, ValueError,
         r"terms\[0\].rows: expected shape \(2, 4\)"),
        ({"terms": [ONES._replace(rows=torch.ones(2, 4).half())]}, TypeError,
         r"terms\[0\].rows: expected torch.float32"),
        ({"terms": [ONES._replace(row_offsets=torch.tensor([0, 3]))]}, ValueError,
         r"terms\[0\].scales: expected 1 dimensions"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(change: dict, error: type, names: str) -> None:
    weight = torch.ones(5, 4)
    arguments = {
        "weight": weight, "moments": Moments(weight.clone(), weight.clone()), "terms": [ONES],
        "adam": AdamStep(0.1, 1), **change,
    }  # fmt: skip
    with pytest.raises(error, match=names):
        latent_adam(**arguments)


def floats(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def ints(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.int64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": floats(5, 4)[::-1]}, "weight: expected a C-contiguous array"),
        ({"exp_avg": floats(5, 3)}, "exp_avg: expected shape"),
        ({"exp_avg_sq": floats(4, 4)}, "exp_avg_sq: expected shape"),
        ({"key": 1}, "exp_avg: expected a numpy array of uint16"),
        ({"terms": [(floats(3, 2), ints(3, 2), None, floats(3, 5))]}, "rows: expected shape"),
        ({"terms": [(floats(3, 3), ints(3, 2), None, floats(3, 4))]}, "scales: expected shape"),
        ({"terms": [(floats(3, 2), ints(3, 2) + 5, None, floats(3, 4))]},
         "indices: expected -1 to 4, got 5"),
        ({"terms": [(floats(6), ints(6), ints(4), floats(3, 4))]}, "row_offsets: expected numbers"),
        ({"decay": floats(4)}, "decay: expected shape"),
        ({"threads": 0}, "threads: expected 1 to 4096"),
        ({"sums": floats(4)}, "sums: expected shape"),
        ({"weighted": floats(5)}, "weighted: expected shape"),
        ({"fired": ints(4)}, "fired: expected shape"),
    ],
)  # fmt: skip
def test_latent_adam_checks_every_argument(change: dict, message: str) -> None:
    arguments = {
        "weight": floats(5, 4), "exp_avg": floats(5, 4), "exp_avg_sq": floats(5, 4),
        "terms": [(floats(3, 2), ints(3, 2), None, floats(3, 4))], "decay": None,
        "unit_rows": False, "rule": [1.0] * 7, "key": None, "threads": 1, "sums": floats(5),
        "weighted": floats(4), "fired": ints(5),
    }  # fmt: skip
    _native.latent_adam(**arguments)
    with pytest.raises(ValueError, match=message):
        _native.latent_adam(**{**arguments, **change})
    shared = ("weight", "terms", "decay", "unit_rows", "threads")
    if shared_changes := {name: change[name] for name in change if name in shared}:
        with pytest.raises(ValueError, match=message):
            _native.latent_squares(**{n: arguments[n] for n in shared} | shared_changes)
