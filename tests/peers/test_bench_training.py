import re

import pytest
import torch
from twinsae.bench import training
from twinsae.bench.beside import bench_beside
from twinsae.bench.contests import CONTESTS, OTHER_LOSSES
from twinsae.bench.losses import compare
from twinsae.bench.problem import Shape
from twinsae.bench.refuse import WrongResultError
from twinsae.cli.main import main
from twinsae.sae.formats.tensors import save_tensors

pytestmark = pytest.mark.peers
SHAPE = Shape(num_tokens=32, d_in=8, num_latents=60, k=4)


def test_all_trainers_are_measured_with_and_without_auxk(tmp_path, capsys):
    save_tensors(tmp_path / "x.safetensors", {"x": torch.randn(100, 8).exp()})
    arguments = ["--shape", *map(str, SHAPE), "--rounds", "2"]
    activations = ["--activations", str(tmp_path / "x.safetensors")]
    assert main(["bench", "training", *arguments, *activations]) == 0
    shown = capsys.readouterr().out
    for peer in ("sparsify", "SAELens", "dictionary_learning"):
        for job in (peer, f"{peer}, AuxK"):
            row = rf"\| {job}, N = 32, D = 8, L = 60, k = 4, real +\| stock "
            assert len(re.findall(row, shown)) == 1
    assert shown.count("| twinsae | ") == shown.count("| stock ") == 6
    assert shown.count("FVU ") == 12


def test_a_plug_in_that_trains_otherwise_is_not_timed(monkeypatch):
    loops = training.LOOPS["sparsify"]

    def wrong(shape, b_dec, auxk, plugged):
        return loops(shape, b_dec + 5 * plugged, auxk, plugged)

    monkeypatch.setitem(training.LOOPS, "sparsify", wrong)
    with pytest.raises(WrongResultError, match=r"sparsify: FVU .* plugged, .* not timed"):
        training.bench_training("sparsify", False, torch.randn(64, 8), SHAPE, "random", 1)


def test_sparsifys_auxk_is_timed_though_it_trains_otherwise():
    torch.manual_seed(0)
    x = torch.randn(100, 8).exp()[:96]
    measured = training.bench_training("sparsify", True, x, SHAPE, "random", 2)
    stock, plugged = (float(one.notes[0].removeprefix("FVU ")) for one in measured)
    assert abs(plugged - stock) > training.SAME_FVU * stock


def test_activations_that_do_not_fit_are_refused(tmp_path):
    file = tmp_path / "x.safetensors"
    for shape in ((100, 7), (31, 8)):
        save_tensors(file, {"x": torch.randn(shape)})
        with pytest.raises(ValueError, match="expected 32 rows or more of 8 numbers"):
            training.training_activations(SHAPE, file)


@pytest.mark.parametrize("contest", CONTESTS, ids=lambda one: f"{one.peer}, {one.job}")
def test_our_losses_are_theirs_step_by_step(contest):
    x = torch.randn(96, 8, generator=torch.Generator().manual_seed(2)).exp()
    _, ours = bench_beside(contest, x, SHAPE, "random", 30)
    assert "within 0.0001 for 32 of 32 steps, at most" in ours.notes[0]


def test_they_are_measured_beside_ours(capsys):
    arguments = ["--shape", *map(str, SHAPE), "--rounds", "3", "--beside", "topk", "jumprelu"]
    assert main(["bench", "training", *arguments]) == 0
    shown = capsys.readouterr().out
    for peer in ("sparsify", "SAELens", "dictionary_learning"):
        assert len(re.findall(rf"topk beside {peer}, N = 32, .* \| {peer} ", shown)) == 1
    assert len(re.findall(r"\| twinsae +\|", shown)) == 4


@pytest.mark.parametrize("contest", OTHER_LOSSES, ids=lambda one: f"{one.peer}, {one.job}")
def test_losses_that_differ_are_compared_at_equal_l0(contest):
    x = torch.randn(128, 8, generator=torch.Generator().manual_seed(2)).exp()
    found = compare(contest, x, SHAPE, 60)
    assert max(found.apart) > 1e-3
    assert found.ours.learned.l0 == pytest.approx(found.theirs.learned.l0, rel=0.01)
    assert found.ours.learned.fvu == pytest.approx(found.theirs.learned.fvu, rel=0.1)


def test_losses_are_shown(capsys):
    arguments = ["--shape", *map(str, SHAPE), "--rounds", "30", "--losses"]
    assert main(["bench", "training", *arguments, "--beside", "topk", "topk_auxk"]) == 0
    shown = capsys.readouterr().out
    assert len(re.findall(r"\| topk +\| \w+ +\| +\de-0[678] \| +\de-0[678] \|", shown)) == 3
    assert len(re.findall(r"\| topk_auxk +\| \w+ +\| +another loss \|", shown)) == 2
    assert "topk_auxk of sparsify: its AuxK does not reach the encoder." in shown


def test_kinds_without_k_are_measured_with_few_active(capsys):
    arguments = ["--shape", "32", "8", "100", "4", "--rounds", "2", "--few"]
    assert main(["bench", "training", *arguments, "--beside", "topk", "jumprelu", "relu"]) == 0
    shown = capsys.readouterr().out
    assert "topk" not in shown
    assert shown.count("jumprelu, 1 in 50 active, beside SAELens") == 1
    assert len(re.findall(r"\| twinsae +\|", shown)) == 3
