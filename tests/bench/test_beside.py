"""Our trainer beside another, with stand-ins for the other."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from twinsae.bench.beside import bench_beside, differences, few_active, unit_variance
from twinsae.bench.contests import CONTESTS
from twinsae.bench.measurement import OURS
from twinsae.bench.own_loop import OwnLoop
from twinsae.bench.problem import Shape
from twinsae.bench.refuse import WrongResultError
from twinsae.bench.rivals import Rival
from twinsae.sae.loss import total_variance
from twinsae.sae.training.optimizer import Schedule

SHAPE = Shape(num_tokens=16, d_in=5, num_latents=20, k=2)
X = torch.randn(32, 5, generator=torch.Generator().manual_seed(0)) + 1


def test_batches_have_a_total_variance_of_their_size() -> None:
    scaled = unit_variance(X, 16)
    for batch, before in zip(scaled.split(16), X.split(16), strict=True):
        assert total_variance(batch).item() == pytest.approx(16)
        ratio = batch / before
        torch.testing.assert_close(ratio, ratio[0, 0].expand_as(ratio))


def test_differences_are_relative() -> None:
    assert differences([1.0, 2.0, -4.0], [1.0, 2.5, -3.0]) == [0.0, 0.25, 0.25]


@pytest.fixture
def contest():
    """Ours against ours, with losses that are off by a factor from the 5th step on."""

    def contest(off: float):
        def make(sae, contest, schedule: Schedule, shape: Shape) -> Rival:
            assert schedule.total == 7
            loop = OwnLoop(sae, contest.config(shape), schedule.total)
            seen = SimpleNamespace(steps=0)

            def step(x: Tensor) -> float:
                seen.steps += 1
                return loop.step(x) * (off if seen.steps >= 5 else 1)

            return Rival(step, sae)

        return replace(CONTESTS[0], peer="other", make=make)

    return contest


def test_both_are_measured_from_the_same_weights(contest) -> None:
    theirs, ours = bench_beside(contest(1.0), X, SHAPE, "random", 5)
    assert (theirs.way, ours.way) == ("other", OURS)
    assert theirs.task.job == "topk beside other"
    assert ours.notes[0].startswith(theirs.notes[0])
    assert "within 0.0001 for 7 of 7 steps, at most 0e+00 apart" in ours.notes[0]


def test_a_small_difference_is_told_and_a_large_one_refused(contest) -> None:
    _, ours = bench_beside(contest(1.01), X, SHAPE, "random", 5)
    assert "within 0.0001 for 4 of 7 steps, at most 1e-02 apart" in ours.notes[0]
    with pytest.raises(WrongResultError, match=r"topk beside other: the loss is .* 7 steps"):
        bench_beside(contest(1.05), X, SHAPE, "random", 5)


def test_few_active_lowers_all_scores_alike() -> None:
    relu = next(one for one in CONTESTS if one.job == "relu")
    x = torch.randn(64, 5, generator=torch.Generator().manual_seed(0)) + 1
    sae = relu.start(SHAPE._replace(num_latents=100), x.mean(dim=0))
    few_active(sae, x)
    scores = (x - sae.b_dec) @ sae.encoder.weight.T + sae.encoder.bias
    assert int((scores > 0).sum()) == 64 * 100 // 50
    assert len(sae.encoder.bias.unique()) == 1


def test_which_kinds_have_k() -> None:
    with_k = {"topk", "topk_auxk", "groupmax", "batch_topk", "matryoshka"}
    assert {one.job for one in CONTESTS if one.has_k} == with_k
