"""The bound of Triton scans that propose, which read float32 inputs rounded to float16.

test_triton.py says when this runs.
"""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from twinsae.kernels.backends import interpreting
from twinsae.kernels.topk import PackedWeight, linear_topk, mutual_topk, pairs_above

if not interpreting():
    pytest.skip("TRITON_INTERPRET is not 1", allow_module_level=True)

from twinsae.kernels.topk.triton import pairs as pairs_module
from twinsae.kernels.topk.triton import plan
from twinsae.kernels.topk.triton.bound import packed_rough, relative_error, rough
from twinsae.kernels.topk.triton.rounding import rounded
from twinsae.kernels.topk.triton.scheme import Scheme

CUT = 1 + 2.0**-11 - 2.0**-21  # float16 sees 1


@pytest.fixture(autouse=True)
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "choose_scheme", lambda *_: Scheme(16, 3))


def seen(x: torch.Tensor) -> torch.Tensor:
    """Return the latents as a scan reads them."""
    return rough(x).matrix.double() * rough(x).scale


def seen_as_rows(x: torch.Tensor) -> torch.Tensor:
    """Return the same for rows, whose scales differ."""
    half, slack = rounded(x, rough(torch.full((1, x.shape[1]), 2.0**14)))  # of scale 1
    return half.double() * slack.scale[:, None]


@pytest.mark.parametrize("reads", [seen, seen_as_rows])
def test_rough_operands_are_float16_of_any_size(reads) -> None:
    for power in (-49, 0, 58):
        x = torch.tensor([[CUT, -CUT, 1 + 2.0**-10, 0.0, 2.0**-38, 2.0**-40]]) * 2.0**power
        # float16 has 2^-24, and the largest number becomes 2^14.
        expected = [1, -1, 1 + 2.0**-10, 0, 2.0**-38, 0]
        assert (reads(x) * 2.0**-power).tolist() == [expected]
    assert reads(torch.tensor([[1.0, 2.0**-20]]) * 2.0**-70).tolist() == [[2.0**-70, 0]]
    # Rows without a bound do not count for the scale. Zeros, and no rows at all, stay as they are.
    assert reads(torch.tensor([[1.0], [math.inf], [math.nan], [2.0**61]]))[0].tolist() == [1]
    for shape in ((3, 0), (0, 3), (2, 3)):
        assert reads(torch.zeros(shape)).tolist() == torch.zeros(shape).tolist()


def test_each_row_has_a_scale_and_each_bad_row_has_no_bound() -> None:
    x = torch.tensor([[1.0, 3.0], [2.0**-30, 0.0], [math.inf, 1.0], [math.nan, 1.0], [2.0**61, 0]])
    assert rough(x).norms.isnan().tolist() == [False, False, True, True, True]
    half, slack = rounded(x, rough(torch.ones(4, 2)))
    assert slack.rows.isnan().tolist() == [False, False, True, True, True]
    assert half[:2].tolist() == [[2.0**13, 3 * 2.0**13], [2.0**14, 0.0]]
    # The scale of ones is 2^-14.
    assert slack.scale[:2].tolist() == [2.0**-27, 2.0**-58]


def test_what_was_packed_for_a_gpu_is_taken(make: SimpleNamespace) -> None:
    x, weight = make.reals(7, 20), make.reals(300, 20)
    packed = PackedWeight(weight, tuple(rough(weight)))
    assert packed_rough(packed.packed) is not None
    ours, plain = (linear_topk(x, w, None, 5, backend="triton") for w in (packed, weight))
    for one, other in zip(ours[:2], plain[:2], strict=True):
        assert torch.equal(one, other)
    # The packed matrix is read: with another one in its place, the proposals are wrong.
    wrong = PackedWeight(weight, tuple(rough(torch.zeros_like(weight))))
    top = linear_topk(x, wrong, None, 5, backend="triton")
    assert not torch.equal(top.indices, plain.indices)
    assert packed_rough(()) is packed_rough((torch.zeros(3, dtype=torch.int8),)) is None


# The scan sees 1 everywhere. The winner comes last: it is not among the kept keys of its group
# ("group"), or not among the chosen keys of all groups ("cut").
HIDDEN = pytest.mark.parametrize("stop", [4, 18 * 16], ids=["group", "cut"])


def hiding(stop: int) -> tuple[torch.Tensor, int]:
    weight = torch.zeros(18 * 16, 1)
    places = torch.arange(0, stop, 1 if stop < 16 else 16)
    weight[places] = 1.0
    weight[places[-1]] = CUT
    return weight, int(places[-1])


@HIDDEN
def test_a_winner_that_the_scan_ranks_too_low_is_found(stop: int) -> None:
    weight, winner = hiding(stop)
    top = linear_topk(torch.ones(2, 1), weight, None, 1, backend="triton")
    assert top.indices.tolist() == [[winner]] * 2
    assert top.values.tolist() == [[CUT]] * 2
    assert int(top.stats.rows_redone) == 2


@HIDDEN
@pytest.mark.parametrize("swapped", [False, True])
def test_a_partner_that_the_scan_ranks_too_low_is_found(stop: int, swapped: bool) -> None:
    weight, winner = hiding(stop)
    sides = (weight, torch.ones(1, 1)) if swapped else (torch.ones(1, 1), weight)
    near = mutual_topk(*sides, 1, backend="triton")
    found = near.col_indices if swapped else near.row_indices
    assert found.tolist() == [[winner]]


@pytest.mark.parametrize(("price", "found"), [(1.0, 1), (1.0003, 1), (CUT, 0), (1.01, 0)])
def test_a_pair_that_the_scan_sees_below_its_price_is_listed(price: float, found: int) -> None:
    u = torch.tensor([price, 0.5, 2.0], dtype=torch.float64)
    v = torch.zeros(1).double()
    a = torch.tensor([[CUT], [0.25], [2.0]])
    pairs = pairs_above(a, torch.ones(1, 1), u, v, margin=0.0, capacity=9, backend="triton")
    assert pairs.rows.tolist() == [0] * found
    # The pair at 1.01 and the third, exactly at its price, are within the slack.
    assert int(pairs.stats.survivors) == 1 + (price < 1.003)


def test_more_proposed_pairs_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs_module, "ROOM", 3)
    a = torch.full((5, 1), CUT)
    u, v = torch.full((5,), 1.0006).double(), torch.zeros(1).double()
    u[3] = 1.0
    pairs = pairs_above(a, torch.ones(1, 1), u, v, margin=0.0, capacity=0, backend="triton")
    assert (int(pairs.overflow), int(pairs.stats.survivors)) == (1, 0)
    pairs = pairs_above(a, torch.ones(1, 1), u, v, margin=0.0, capacity=1, backend="triton")
    assert (pairs.rows.tolist(), int(pairs.stats.survivors)) == ([3], 5)


@pytest.mark.parametrize("scale", [2.0**-70, 1.0, 2.0**50, 2.0**63])
@pytest.mark.parametrize("dim", [1, 37, 512])
def test_no_score_is_above_its_proposal(make: SimpleNamespace, dim: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    x, weight = make.reals(50, dim) * scale, make.reals(60, dim) / scale
    steps = torch.randint(9, (9, dim), generator=generator)
    x[:9] = CUT + 2.0**-10 * steps  # no terms cancel, and nearly half a unit is always cut off
    weight[:9] = CUT + 2.0**-10 * torch.arange(9)[:, None]
    x[9], weight[9] = 2.0**-40, 1.0  # all but one number counts as zero
    x[9, 0], weight[9, 0] = 1.0, 0.0
    latents = rough(weight)
    half, slack = rounded(x, latents)
    scan = half.float() @ latents.matrix.float().T
    scan = scan * slack.scale[:, None]
    proposals = scan + slack.rows[:, None] * slack.latents
    scores = torch.zeros(50, 60)
    for column in range(dim):
        scores += x[:, column, None] * weight[:, column]
    assert not (proposals < scores).any()
    if scale == 1:
        size = x.double().norm(dim=1)[:, None] * weight.double().norm(dim=1)
        most = 2.2 * relative_error(dim) * (size + 2.0**-20)
        assert (proposals - scores < most).all()
    off = (scores - scan)[:9, :9]
    assert (off > 0).all() or scale > 1  # the rounding has an effect


def test_size_of_the_bound() -> None:
    assert 2**-10 <= relative_error(0) < relative_error(576) <= 1.2e-3
    assert relative_error(4096) <= 2.3e-3
    assert math.isnan(relative_error(1 << 21))


@pytest.mark.parametrize("power", [-140, -70, 0, 58, 61, 80, 120])
def test_scores_of_any_size(make: SimpleNamespace, oracle: SimpleNamespace, power: int) -> None:
    # Scores are exact in float32. With norms above 2^60 or products below 2^-126 there is no proof.
    x, weight = make.integers(9, 6), make.integers(90, 6)
    weight = torch.ldexp(weight, torch.tensor(power))
    x[4] = torch.ldexp(x[4], torch.tensor(max(-9, 61 if power < 0 else -60)))
    top = linear_topk(x, weight, None, 5, backend="triton")
    values, indices = oracle.topk(oracle.scores(x, weight, None), 5, 0.0)
    np.testing.assert_array_equal(top.indices.numpy(), indices)
    np.testing.assert_array_equal(top.values.numpy(), values)


@pytest.mark.parametrize("stacks", [1, 3])
@pytest.mark.parametrize("with_mask", [False, True])
def test_few_proposals_prove_every_row(
    make: SimpleNamespace, oracle: SimpleNamespace, monkeypatch,
    stacks: int, with_mask: bool,
) -> None:  # fmt: skip
    # A wrong proposal would rarely make a result wrong, but it would make rows be redone.
    monkeypatch.setattr(plan, "choose_scheme", lambda *_: Scheme(64, 8))
    x, weight, bias = make.reals(15, 20), make.reals(stacks * 300, 20), make.reals(stacks * 300)
    mask = make.reals(stacks * 300) > -1 if with_mask else None
    top = linear_topk(x, weight, bias, 6, mask=mask, groups=stacks, backend="triton")
    scores = oracle.scores(x, weight, bias)
    for stack in range(stacks):
        own = slice(stack * 300, (stack + 1) * 300)
        _, expected = oracle.topk(
            scores[:, own], 6, 0.0, None if mask is None else mask[own].numpy()
        )
        found = top.indices if stacks == 1 else top.indices[:, stack]
        np.testing.assert_array_equal(found.numpy(), expected)
    assert int(top.stats.rows_redone) == 0
    # Scored are the 6 best proposals of every row, and few others: the scan's slack is small.
    assert 6 * 15 * stacks <= int(top.stats.survivors) < 7 * 15 * stacks
