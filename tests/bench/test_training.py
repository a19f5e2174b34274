"""Other people's training loops, with stand-ins: what is trained on, compared and printed."""

import re

import pytest
import torch
from torch import Tensor
from twinsae.bench import training
from twinsae.bench.loops import Loop
from twinsae.bench.measurement import OURS
from twinsae.bench.problem import Shape
from twinsae.bench.refuse import WrongResultError
from twinsae.cli.main import main

SHAPE = Shape(num_tokens=4, d_in=3, num_latents=20, k=2)
X = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[bool, list[Tensor]]:
    """Make "peer" the only trainer; it reconstructs half of x. Return the batches it trains on."""
    batches: dict[bool, list[Tensor]] = {False: [], True: []}

    def loop(shape: Shape, b_dec: Tensor, auxk: bool, plugged: bool) -> Loop:  # noqa: ARG001
        return Loop(batches[plugged].append, lambda x: x / 2)

    monkeypatch.setattr(training, "LOOPS", {"peer": loop})
    monkeypatch.setattr(training, "PACKAGES", {"peer": "torch", "other": "not_installed_anywhere"})
    return batches


def test_both_train_on_the_same_batches(seen: dict[bool, list[Tensor]]) -> None:
    stock, ours = training.bench_training("peer", True, X, SHAPE, "real", 4)
    first, second = X.split(4)
    for batches in seen.values():
        assert len(batches) == training.UNTIMED + 4
        for number, batch in enumerate(batches):
            assert torch.equal(batch, second if number % 2 else first)
    assert (stock.way, ours.way) == (training.STOCK, OURS)
    assert ours.task.job == "peer, AuxK"
    fvu = (second / 2).square().sum() / (second - second.mean(0)).square().sum()
    assert stock.notes == ours.notes == [f"FVU {fvu:.4f}"]


def test_a_plug_in_that_trains_otherwise_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def loop(shape: Shape, b_dec: Tensor, auxk: bool, plugged: bool) -> Loop:  # noqa: ARG001
        return Loop(lambda _: None, lambda x: x * (0.52 if plugged else 0.5))

    monkeypatch.setattr(training, "LOOPS", {"peer": loop, training.OTHER_AUXK: loop})
    with pytest.raises(WrongResultError, match=r"peer: FVU .* plugged, .* stock: not timed"):
        training.bench_training("peer", True, X, SHAPE, "real", 3)
    with pytest.raises(WrongResultError, match="sparsify: FVU"):
        training.bench_training("sparsify", False, X, SHAPE, "real", 3)
    assert len(training.bench_training("sparsify", True, X, SHAPE, "real", 3)) == 2


@pytest.mark.usefixtures("seen")
def test_the_command_prints_both_for_each_installed_trainer(capsys, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["bench", "training", "--shape", *map(str, SHAPE), "--rounds", "2"]) == 0
    shown = capsys.readouterr().out
    for job in ("peer", "peer, AuxK"):
        row = rf"\| {job}, N = 4, D = 3, L = 20, k = 2, random +\| stock "
        assert len(re.findall(row, shown)) == 1
    assert shown.count("| twinsae | ") == 2
    assert "not_installed" not in shown
