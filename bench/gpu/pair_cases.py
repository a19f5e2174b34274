"""What is asked of the kernels of a matching, as `cases` asks those of an autoencoder."""

from dataclasses import replace

import torch
from torch import Tensor

from ...kernels.topk import Pairs, mutual_topk, pairs_above
from ..inputs import Shape
from ..measurement import score_rounding
from . import oracle
from .cases import Case, Setting, same_twice, whole_problem
from .oracle import WrongError
from .problem import Problem, random_problem

RARE = 3.0  # standard deviations of the scores above which pairs are listed
MARGIN = 0.5


def mutual_whole(setting: Setting, shape: Shape) -> None:
    """Find the best of both sides by whole scores, among them many ties."""
    problem = whole_problem(setting, shape)
    for side, values, indices, x, weight in _mutual(setting, problem):
        expected = oracle.expected_topk(x, weight, None, values.shape[1], -torch.inf)
        oracle.refuse_unequal(f"the best scores, {side}", values, expected[0])
        oracle.refuse_unequal(f"the partners, {side}", indices, expected[1])


def mutual_real(setting: Setting, shape: Shape) -> None:
    """Find the best of both sides by real scores."""
    problem = random_problem(shape, setting.numbers())
    for side, values, indices, x, weight in _mutual(setting, problem):
        expected = oracle.expected_topk(x, weight, None, values.shape[1], -torch.inf)
        try:
            oracle.check_topk((values, indices), x, weight, None, expected[0])
        except WrongError as wrong:
            raise WrongError(f"{side}: {wrong}") from wrong


def _mutual(setting: Setting, problem: Problem) -> list[tuple[str, Tensor, Tensor, Tensor, Tensor]]:
    """Return for each side: its name, values and indices (R, m), own rows (R, D), all others."""
    a, b = problem.x, problem.W_enc
    m = min(problem.k, len(a), len(b))
    found = same_twice(lambda: mutual_topk(a, b, m, backend=setting.backend))
    rows, cols = (oracle.some(len(side), oracle.ROWS, setting.device) for side in (a, b))
    return [
        ("rows", found.row_values[rows], found.row_indices[rows], a[rows], b),
        ("columns", found.col_values[cols], found.col_indices[cols], b[cols], a),
    ]


def pairs_whole(setting: Setting, shape: Shape) -> None:
    """List pairs of whole scores: exactly these."""
    problem = whole_problem(setting, shape)
    spread = 2 / 3 * shape.d_in**0.5  # of a sum of D products of two of -1, 0 and 1
    _pairs(setting, problem, float(round(RARE * spread)), 0.0)


def pairs_tiled(setting: Setting, shape: Shape) -> None:
    """List those of some tiles, and say how many there are where they are too many."""
    problem = whole_problem(setting, shape)
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
    """List pairs of real scores: those that rounding cannot move across their price."""
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
        raise WrongError(f"{len(found.rows):,} pairs where {count:,} were counted")
    keys = found.rows * len(b) + found.cols
    if not (keys.diff() > 0).all():
        raise WrongError("the pairs are not in ascending order")
    _check_listed(a, b, (found.rows, found.cols), price + col_price - MARGIN, slack, tiles)


def _check_listed(
    a: Tensor,
    b: Tensor,
    pairs: tuple[Tensor, Tensor],
    least: Tensor,
    slack: float,
    tiles: Tensor | None,
) -> None:
    """Raise WrongError unless, of some rows, the pairs that score above `least` (C,) are listed."""
    rows = oracle.some(len(a), oracle.ROWS, a.device)
    above = oracle.scores(a[rows], b) - least  # (R, C)
    inside = torch.ones_like(above, dtype=torch.bool) if tiles is None else _inside(rows, b, tiles)
    place = torch.full((len(a),), -1, device=a.device)
    place[rows] = torch.arange(len(rows), device=a.device)
    own = place[pairs[0]] >= 0
    listed = torch.zeros_like(inside)
    listed[place[pairs[0][own]], pairs[1][own]] = True
    missing = int((inside & (above > slack) & ~listed).sum())
    extra = int((listed & ~(inside & (above > -slack))).sum())
    if missing or extra:
        raise WrongError(
            f"of {len(rows)} rows {missing:,} pairs are missing and {extra:,} are too many"
        )


def _inside(rows: Tensor, b: Tensor, tiles: Tensor) -> Tensor:
    cols = torch.arange(len(b), device=b.device)
    inside = torch.zeros((len(rows), len(b)), dtype=torch.bool, device=b.device)
    for row_start, row_stop, col_start, col_stop in tiles:
        of_rows = (rows >= row_start) & (rows < row_stop)
        of_cols = (cols >= col_start) & (cols < col_stop)
        inside |= of_rows[:, None] & of_cols
    return inside


WHOLE: dict[str, Case] = {"mutual_topk": mutual_whole, "pairs_above": pairs_whole}
REAL: dict[str, Case] = {"mutual_topk": mutual_real, "pairs_above": pairs_real}
PAIRS: dict[str, Case] = {"tiles": pairs_tiled}
"""More of pairs_above."""
