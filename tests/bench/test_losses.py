"""Runs of ours beside those of a stand-in for a peer."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from twinsae.bench.contests import CONTESTS
from twinsae.bench.losses import compare
from twinsae.bench.own_loop import OwnLoop
from twinsae.bench.problem import Shape
from twinsae.bench.rivals import Contest, Rival
from twinsae.cli.bench.losses import losses_table
from twinsae.sae import SAE
from twinsae.sae.training.optimizer import Schedule

SHAPE = Shape(num_tokens=16, d_in=5, num_latents=20, k=2)
X = torch.randn(48, 5, generator=torch.Generator().manual_seed(0)) + 1
OWN_NAMES = {name: name for name in ("encoder.weight", "encoder.bias", "W_dec", "b_dec")}
TOPK, RELU = (next(one for one in CONTESTS if one.job == job) for job in ("topk", "relu"))


@pytest.fixture
def seen() -> list[Tensor]:
    """The first dimensions of all that the stand-in was trained on."""
    return []


@pytest.fixture
def contest(seen: list[Tensor]) -> Callable[..., Contest]:
    """Ours against ours, with losses that are off by a factor from the 5th step on."""

    def contest(of: Contest, off: float = 1.0, sparsity: float = 0.0, differs: str = "") -> Contest:
        def make(sae: SAE, contest: Contest, schedule: Schedule, shape: Shape) -> Rival:
            config = contest.config(shape)
            loop = OwnLoop(sae, replace(config, sparsity=sparsity), schedule.total)
            first = len(seen)

            def step(x: Tensor) -> float:
                seen.append(x[:, 0])
                return loop.step(x) * (off if len(seen) - first >= 5 else 1)

            return Rival(step, sae)

        return replace(of, peer="other", make=make, names=OWN_NAMES, differs=differs)

    return contest


def test_equal_runs_are_not_apart_and_not_repeated(contest, seen) -> None:
    found = compare(contest(TOPK), X, SHAPE, 6)
    assert found.apart == [0] * 6
    assert found.reordered is None
    assert found.theirs.learned == found.ours.learned
    assert found.ours.learned.l0 == 2
    assert len(seen) == 6
    # The third batch is held out.
    torch.testing.assert_close(seen[0], seen[2])
    assert not torch.allclose(seen[0], seen[1])


def test_a_run_that_parts_is_repeated_in_another_order(contest, seen) -> None:
    found = compare(contest(TOPK, off=1.01), X, SHAPE, 6)
    assert max(found.apart[:4]) == 0
    assert found.apart[4:] == pytest.approx([0.01 / 1.01] * 2)
    assert len(found.apart_by_rounding) == 6
    assert max(found.apart_by_rounding) < 1e-5
    assert not torch.allclose(seen[0], seen[6])
    assert found.reordered is not None
    assert found.reordered.learned.fvu == pytest.approx(found.theirs.learned.fvu, rel=1e-4)
    table = losses_table([found])
    assert "| topk         | other |                 1e-02 |      1e-02 | " in table


def test_other_losses_are_compared_at_equal_l0(contest) -> None:
    # Of the other's 0.3, ours has to find out by starting from 0.02.
    found = compare(contest(RELU, sparsity=0.3, differs="its coefficient"), X, SHAPE, 60)
    assert found.ours.learned.l0 == pytest.approx(found.theirs.learned.l0, rel=0.01)
    assert found.ours.learned.fvu == pytest.approx(found.theirs.learned.fvu, rel=0.05)
    assert found.sparsity > 0.1
    table = losses_table([found])
    assert "another loss" in table
    assert f"its coefficient; our coefficient, for equal L0, is {found.sparsity:.3g}." in table
