"""The cases of the kernels of a match; `cases` has those of an autoencoder."""

from dataclasses import replace

import torch
from torch import Tensor

from ...kernels.topk import Pairs, mutual_topk, pairs_above
from .. import oracle
from ..problem import Problem, Shape, random_problem, whole_problem
from ..refuse import WrongResultError, refuse_unequal, score_rounding
from .setting import Case, Setting, same_twice

RARE = 3.0  # pairs are listed above this many standard deviations of the scores
MARGIN = 0.5


def mutual_whole(setting: Setting, shape: Shape) -> None:
    """Find the best partners of both sides by whole scores, many of which are ties."""
    problem = whole_problem(shape, setting.numbers())
    for side, values, indices, x, weight in _mutual(setting, problem):
        expected = oracle.expected_topk(x, weight, None, values.shape[1], -torch.inf)
        refuse_unequal(f"the best scores, {side}", values, expected[0])
        refuse_unequal(f"the partners, {side}", indices, expected[1])


def mutual_real(setting: Setting, shape: Shape) -> None:
    """Find the best partners of both sides by real scores."""
    problem = random_problem(shape, setting.numbers())
    for side, values, indices, x, weight in _mutual(setting, problem):
        expected = oracle.expected_topk(x, weight, None, values.shape[1], -torch.inf)
        try:
            oracle.check_topk((values, indices), x, weight, None, expected[0])
        except WrongResultError as wrong:
            raise WrongResultError(f"{side}: {wrong}") from wrong


def _mutual(setting: Setting, problem: Problem) -> list[tuple[str, Tensor, Tensor, Tensor, Tensor]]:
    """Return for each side: name, values and indices (R, m), own rows (R, D), the other side."""
    a, b = problem.x, problem.W_enc
    m = min(problem.k, len(a), len(b))
    found = same_twice(lambda: mutual_topk(a, b, m, backend=setting.backend))
    rows, cols = (oracle.some(len(side), oracle.ROWS, setting.device) for side in (a, b))
    return [
        ("rows", found.row_values[rows], found.row_indices[rows], a[rows], b),
        ("columns", found.col_values[cols], found.col_indices[cols], b[cols], a),
    ]


def pairs_whole(setting: Setting, shape: Shape) -> None:
    """List pairs by whole scores; the list must be exact."""
    problem = whole_problem(shape, setting.numbers())
    spread = (
        2 / 3 * shape.d_in**0.5
    )  # standard deviation of a sum of D products of two random numbers of -1, 0, 1
    _pairs(setting, problem, float(round(RARE * spread)), 0.0)


def pairs_tiled(setting: Setting, shape: Shape) -> None:
    """List the pairs of some tiles only."""
    problem = whole_problem(shape, setting.numbers())
    spread = 2 / 3 * shape.d_in**0.5
    rows, cols = len(problem.x), len(problem.W_enc)
    blocks = [
        [0, rows // 3, cols // 2, cols],
        [rows // 3, rows, 1, cols // 4],
        [rows // 2, rows - 1, cols // 3, cols // 3 + 1],
    ]
    tiles = torch.tensor(blocks, device=setting.device)
    _pairs(setting, problem, float(round(spread)), 0.0, tiles)


def pairs_real(setting: Setting, shape: Shape) -> None:
    """List pairs by real scores; rounding decides about those that are near their price."""
    problem = random_problem(shape, setting.numbers())
    problem = replace(problem, b_enc=problem.b_enc.zero_())
    slack = score_rounding(problem.x.float(), problem.W_enc)
    _pairs(setting, problem, RARE, slack)


def _pairs(
    setting: Setting, problem: Problem, price: float, slack: float, tiles: Tensor | None = None
) -> None:
    a, b = problem.x, problem.W_enc
    row_price = torch.full((len(a),), price, dtype=torch.float64, device=setting.device)
    col_price = problem.b_enc.double()

    def listed(capacity: int) -> Pairs:
        return pairs_above(
            a, b, row_price, col_price, margin=MARGIN, tiles=tiles, capacity=capacity,
            backend=setting.backend,
        )  # fmt: skip

    count = int(listed(0).overflow)
    found = same_twice(lambda: listed(count))
    if int(found.overflow) or len(found.rows) != count:
        raise WrongResultError(f"{len(found.rows):,} pairs where {count:,} were counted")
    keys = found.rows * len(b) + found.cols
    if not (keys.diff() > 0).all():
        raise WrongResultError("the pairs are not in ascending order")
    oracle.check_pairs(a, b, (found.rows, found.cols), price + col_price - MARGIN, slack, tiles)


WHOLE: dict[str, Case] = {"mutual_topk": mutual_whole, "pairs_above": pairs_whole}
REAL: dict[str, Case] = {"mutual_topk": mutual_real, "pairs_above": pairs_real}
PAIRS: dict[str, Case] = {"tiles": pairs_tiled}
"""More cases of pairs_above."""
