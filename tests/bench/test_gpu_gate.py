"""The gate of `bench gpu`: right results pass it at every dtype, and spoiled ones do not."""

import pytest
import torch
from torch import Tensor
from twinsae.bench.gpu import gate
from twinsae.bench.gpu.gate import CHECKS, OURS, PEERS, some
from twinsae.bench.gpu.ours import JOBS
from twinsae.bench.gpu.torch_ways import chunked_encode
from twinsae.bench.problem import Numbers, Problem, Shape, random_problem, timing_problem
from twinsae.bench.refuse import WrongResultError, refuse

SHAPE = Shape(60, 40, 700, 8)
CPU = torch.device("cpu")
DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def problem_of(dtype: torch.dtype = torch.float32) -> Problem:
    problem = timing_problem(SHAPE, Numbers(dtype, CPU))
    return problem.encoded(*chunked_encode(problem.x, problem.W_enc, problem.b_enc, problem.k))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("job", JOBS)
def test_right_results_pass(job: str, backend: str, dtype: torch.dtype) -> None:
    problem = problem_of(dtype)
    CHECKS[job](problem, JOBS[job](problem, backend), OURS)


def test_missing_places_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "CHUNK_BYTES", 8 * SHAPE.d_in * 64)  # 64 latents at a time
    problem = random_problem(SHAPE, Numbers(torch.float32, CPU))
    problem.b_enc[5:] = -1e3  # so at most five scores of a row are above 0
    found = JOBS["autoencode"](problem, "native")
    assert (found.indices == -1).any()
    CHECKS["autoencode"](problem, found, OURS)
    own = problem.encoded(found.values, found.indices)
    for job in ("decode", "dot", "error", "grads", "compressed"):
        CHECKS[job](own, JOBS[job](own, "native"), OURS)


def last(add: float):
    """Change the last number, which shows that not only the first ones are compared."""

    def change(numbers: Tensor) -> Tensor:
        numbers.view(-1)[-1] += add
        return numbers

    return change


def spoil(found: object, name: str | int, change) -> object:
    """Change one field of a result, or the tensor at a place of a list."""
    if isinstance(found, list):
        return [change(t.clone()) if place == name else t for place, t in enumerate(found)]
    return found._replace(**{name: change(getattr(found, name).clone())})


SPOILED = [
    ("encode", "values", last(0.01)), ("encode", "indices", last(-1)),
    ("encode", "indices", lambda t: (t + 128) % 700),
    ("encode", "values", lambda t: t * torch.nan),
    ("above", "values", lambda t: t + 0.01), ("above", "indices", lambda t: (t + 1) % 700),
    ("above", "row_offsets", lambda t: torch.cat([t[:1], t[2:], t[-1:]])),
    ("decode", 0, last(0.01)), ("dot", 0, last(0.01)), ("error", "g", last(0.01)),
    ("error", "squares", last(0.01)), ("error", "d_values", last(0.01)),
    ("grads", "dW_dec", last(0.01)), ("grads", "dW_enc", last(0.01)),
    *[("compressed", place, last(0.01)) for place in range(4)],
    ("autoencode", "recon", last(0.01)), ("autoencode", "values", last(0.01)),
    ("step", 0, lambda t: t * 1.01), ("mutual", "row_values", last(0.01)),
    ("mutual", "col_indices", last(-1)), ("pairs", "overflow", lambda t: t + 1),
    ("pairs", "cols", lambda t: t.flip(0)),
]  # fmt: skip


@pytest.mark.parametrize(("job", "name", "change"), SPOILED)
def test_spoiled_results_are_refused(job: str, name: str | int, change) -> None:
    problem = problem_of()
    found = JOBS[job](problem, "native")
    CHECKS[job](problem, found, OURS)
    with pytest.raises(WrongResultError):
        CHECKS[job](problem, spoil(found, name, change), OURS)


def test_a_pair_that_is_missing_and_one_too_many_are_refused() -> None:
    problem = problem_of()
    found = JOBS["pairs"](problem, "native")
    rows = some(len(problem.x), gate.ROWS, CPU)
    place = int(torch.isin(found.rows, rows).nonzero()[0])
    keep = torch.arange(len(found.rows)) != place
    without = found._replace(rows=found.rows[keep], cols=found.cols[keep])
    with pytest.raises(WrongResultError, match="1 pairs are missing and 0 are too many"):
        CHECKS["pairs"](problem, without, OURS)
    low = problem.W_enc @ problem.x[0]
    rows, cols = (torch.cat([t, t.new_tensor([new])]) for t, new in (
        (found.rows, 0), (found.cols, int(low.argmin()))
    ))  # fmt: skip
    with pytest.raises(WrongResultError, match="0 pairs are missing and 1 are too many"):
        CHECKS["pairs"](problem, found._replace(rows=rows, cols=cols), OURS)


def test_a_latent_that_is_named_twice_in_place_of_its_twin_is_refused() -> None:
    problem = problem_of()
    problem.W_enc[9], problem.b_enc[9] = problem.W_enc[4], problem.b_enc[4] = problem.x[0], 9.0
    found = JOBS["encode"](problem, "native")
    assert found.indices[0, :2].tolist() == [4, 9]
    found.indices[0, 1] = 4
    with pytest.raises(WrongResultError, match="1 latents are named twice"):
        CHECKS["encode"](problem, found, OURS)


def test_a_gradient_that_is_not_finite_is_refused() -> None:
    problem = problem_of()
    loss, *gradients = JOBS["step"](problem, "native")
    gradients[1][3, 2] = torch.inf
    with pytest.raises(WrongResultError, match="not finite"):
        CHECKS["step"](problem, [loss, *gradients], OURS)


def test_a_peer_may_round_more_and_scale_its_loss() -> None:
    problem = problem_of(torch.bfloat16)
    values, indices = chunked_encode(problem.x, problem.W_enc, problem.b_enc, problem.k)
    CHECKS["encode"](problem, (values.flip(1), indices.flip(1)), PEERS)  # in any order
    loss, *gradients = JOBS["step"](problem, "native")
    size = problem.x.float().square().sum() / len(problem.x)
    for scale in (size, size / len(problem.x), size / problem.x.numel()):
        CHECKS["step"](problem, [loss * scale, *gradients], PEERS)
    with pytest.raises(WrongResultError, match="the squared error is off"):
        CHECKS["step"](problem, [loss * size, *gradients], OURS)


def test_the_squared_error_is_that_of_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = problem_of()
    monkeypatch.setattr(gate, "_AT_ONCE", 7)
    decoded = torch.einsum("nk,nkd->nd", problem.values, problem.W_dec[problem.indices])
    error = float((decoded + problem.b_dec - problem.x).square().sum())
    assert gate._squared_error(problem) == pytest.approx(error, rel=1e-6)


def test_not_a_number_is_wrong() -> None:
    one = torch.ones(3)
    for spoilt in (one * torch.nan, one * torch.inf):
        with pytest.raises(WrongResultError, match="x: 3 of 3 numbers"):
            refuse("x", spoilt, one, 1.0)
    refuse("x", one, one + 1, 1.0)
    with pytest.raises(WrongResultError, match="instead of"):
        refuse("x", one, one[:2], 1.0)


def test_some_places_are_spread_from_the_first_to_the_last() -> None:
    assert some(5, 9, CPU).tolist() == [0, 1, 2, 3, 4]
    assert some(1, 9, CPU).tolist() == [0]
    assert some(2**31 + 7, 3, CPU).tolist() == [0, 2**30 + 3, 2**31 + 6]
