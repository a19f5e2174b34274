"""Every benchmark at toy size, and the comparisons that come before the times."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from twinsae.bench import above, candidates, encode, inputs, step
from twinsae.bench.clock import CpuClock
from twinsae.bench.inputs import trained_inputs
from twinsae.bench.measurement import OURS
from twinsae.bench.peers import GRADIENTS
from twinsae.bench.phases import Phases
from twinsae.bench.problem import Shape
from twinsae.bench.refuse import WrongResultError, refuse
from twinsae.cli.bench.side_by_side import BenchCandidates, BenchEncode, BenchStep
from twinsae.cli.main import main
from twinsae.kernels.topk import linear_above, linear_topk, mutual_topk
from twinsae.sae import SAE, SAEConfig, save_sae
from twinsae.sae.formats.tensors import save_tensors
from twinsae.sae.loss import total_variance

pytestmark = pytest.mark.usefixtures("without_peers")

SHAPE = Shape(num_tokens=19, d_in=6, num_latents=70, k=5)
TOY = ["--shape", *map(str, SHAPE), "--rounds", "1"]


@pytest.fixture
def saes(tmp_path: Path) -> list[str]:
    """Two small SAE folders in bfloat16."""
    folders = [tmp_path / "a", tmp_path / "b"]
    for seed, folder in enumerate(folders):
        save_sae(SAE(SAEConfig(d_in=6, num_latents=40, k=3), seed=seed).bfloat16(), folder)
    return [str(folder) for folder in folders]


class FlatIndex:
    """A stand-in for IndexFlatIP of faiss, in numpy."""

    def __init__(self, dim: int) -> None:
        self.rows = np.empty((0, dim), np.float32)

    def add(self, rows: np.ndarray) -> None:
        self.rows = np.concatenate([self.rows, rows])

    def search(self, questions: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
        scores = questions @ self.rows.T
        indices = np.argsort(-scores, axis=1)[:, :m]
        return np.take_along_axis(scores, indices, axis=1), indices


@pytest.fixture(autouse=True)
def without_a_demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is measured except what a test asks for."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def without_faiss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "find_spec", lambda _: None)


@pytest.fixture
def with_faiss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "find_spec", lambda _: object())
    fake = SimpleNamespace(IndexFlatIP=FlatIndex, omp_set_num_threads=lambda _: None)
    monkeypatch.setitem(sys.modules, "faiss", fake)


@pytest.mark.usefixtures("without_faiss")
def test_all_benchmarks_print_one_table(capsys: pytest.CaptureFixture) -> None:
    assert main(["bench", "all", *TOY]) == 0
    shown = capsys.readouterr().out
    sizes = "N = 19, D = 6, L = 70, k = 5, random"
    for expected in (
        f"encode, {sizes}",
        f"above, {sizes}",
        f"step, {sizes}",
        "candidates, L = 70, D = 6, m = 32",
    ):
        assert shown.count(f"| {expected}") == 1
    assert shown.count("product alone ") == 5  # beside the phases of a step, too
    assert shown.count("% of the step") == 5
    assert shown.count("GFLOP/s |") == 1
    assert torch.__version__ in shown


def test_the_phases_of_a_step_have_the_gradients_of_autograd() -> None:
    given = inputs.random_inputs(Shape(40, 6, 70, 5))
    phases, sae = Phases(given), given.sae
    phases.decoder()
    loss = step.torch_fvu(sae, given.x, total_variance(given.x))
    torch.testing.assert_close(phases.rest(), loss.detach())
    parameters = (sae.encoder.weight, sae.encoder.bias, sae.W_dec, sae.b_dec)
    W_enc, b_enc, W_dec, b_dec = torch.autograd.grad(loss, parameters)
    rows = sae.W_dec.detach()
    biases = phases.adam_of_biases.param_groups[0]["params"]
    encoder, decoder = (moments.exp_avg / 0.1 for moments in phases.moments)
    for ours, theirs in (
        (encoder, W_enc),
        (biases[0].grad, b_enc),
        (decoder, W_dec - (W_dec * rows).sum(1, keepdim=True) * rows),
        (biases[1].grad, b_dec),
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-7)


@pytest.mark.usefixtures("with_faiss")
def test_faiss_is_measured_where_it_is_installed(capsys: pytest.CaptureFixture) -> None:
    assert main(["bench", "candidates", *TOY]) == 0
    assert "IndexFlatIP" in capsys.readouterr().out


@pytest.mark.parametrize("what", ["encode", "step", "candidates"])
def test_trained_saes_and_their_activations(
    what: str, saes: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(33, 6)).astype(np.float32))
    options = ["--saes", *saes, "--activations", str(tmp_path / "x.npy"), "--rounds", "1"]
    assert main(["bench", what, *TOY, *options]) == 0
    shown = capsys.readouterr().out
    expected = "L = 40, D = 6, m = 32" if what == "candidates" else "N = 33, D = 6, L = 40, k = 3"
    assert f"{what}, {expected}, trained" in shown
    assert shown.count(", random") == (2 if what == "step" else 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rounds", "0"], "rounds: expected 1 or more, got 0"),
        (["--activations", "."], "--activations needs --saes"),
        (["--activations", "x.npy"], "--activations: x.npy does not exist"),
        (["--shape", "0", "2", "3", "1"], "--shape: expected 1 or more, got 0"),
        (["--shape", "1", "2", "3", "4"], "--shape: expected K of at most L = 3, got 4"),
        (["--latents", "3"], "there is no option --latents"),
        ([*TOY, "--saes", "nowhere", "nowhere"], "nowhere does not exist"),
    ],
)
def test_a_users_error_is_one_line(
    options: list[str], message: str, capsys: pytest.CaptureFixture
) -> None:
    assert main(["bench", "encode", *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_inputs_that_do_not_fit(saes: list[str], tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((3, 7), np.float32))
    with pytest.raises(ValueError, match="expected rows of 6 numbers"):
        trained_inputs([Path(sae) for sae in saes], tmp_path / "x.npy")
    save_sae(SAE(SAEConfig(d_in=6, num_latents=41, k=3), seed=0), saes[1])
    with pytest.raises(ValueError, match="expected two of one shape"):
        trained_inputs([Path(sae) for sae in saes], None)


def test_the_usual_inputs_are_random_and_the_demos(monkeypatch, tmp_path: Path) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(inputs, "random_inputs", lambda shape: shape)
        for command, count in ((BenchEncode(), 3), (BenchStep(), 2), (BenchCandidates(), 2)):
            assert len(list(command._inputs(*command.benches))) == count
        assert list(BenchEncode(shape=SHAPE)._inputs("encode")) == [SHAPE]
    demo = tmp_path / "runs" / "demo"
    for seed in (0, 1):
        save_sae(SAE(SAEConfig(d_in=6, num_latents=40, k=3), seed=seed), demo / f"h/seed{seed}")
    (demo / "matches" / "seed0--seed1").mkdir(parents=True)
    store = {"activations": torch.arange(24.0).reshape(4, 6)}
    (demo / "activations").mkdir()
    save_tensors(demo / "activations" / "shard_00000.safetensors", store)
    monkeypatch.setattr(inputs, "SHAPES", (SHAPE,))
    *_, trained = BenchEncode()._inputs("encode")
    assert trained.source == "trained"
    assert torch.equal(trained.x, store["activations"])
    for sae, seed in ((trained.sae, 0), (trained.other, 1)):
        expected = SAE(SAEConfig(d_in=6, num_latents=40, k=3), seed=seed).W_dec
        torch.testing.assert_close(sae.W_dec, expected)  # the rows have unit length again


def one_less(values: torch.Tensor) -> torch.Tensor:
    values = values.clone()
    values.view(-1)[-1] -= 1e-3
    return values


def wrong_linear(*args: object, **options: object) -> object:
    top = linear_topk(*args, **options)
    return top._replace(values=one_less(top.values))


def misnaming_linear(*args: object, **options: object) -> object:
    top = linear_topk(*args, **options)
    return top._replace(indices=top.indices.roll(1, dims=0))


def wrong_mutual(*args: object) -> object:
    found = mutual_topk(*args)
    return found._replace(col_values=one_less(found.col_values))


@pytest.mark.parametrize("broken", [wrong_linear, misnaming_linear])
def test_a_wrong_encoding_is_not_timed(broken, inputs, monkeypatch) -> None:
    monkeypatch.setattr(encode, "linear_topk", broken)
    with pytest.raises(WrongResultError, match=r"encode, twinsae: the .* are off"):
        encode.bench_encode(inputs, 1)


def one_missing(*args: object) -> object:
    found = linear_above(*args)
    if not len(found.indices):
        return found
    row_offsets = found.row_offsets.clamp(max=len(found.indices) - 1)
    return found._replace(
        row_offsets=row_offsets, indices=found.indices[:-1], values=found.values[:-1]
    )


def too_small(*args: object) -> object:
    found = linear_above(*args)
    return found._replace(values=one_less(found.values))


@pytest.mark.parametrize(
    ("broken", "message"), [(one_missing, "on the wrong side"), (too_small, "are off")]
)
def test_wrong_scores_above_thresholds_are_not_timed(broken, message, inputs, monkeypatch) -> None:
    assert OURS in {one.way for one in above.bench_above(inputs, 1)}
    monkeypatch.setattr(above, "linear_above", broken)
    with pytest.raises(WrongResultError, match=f"above, twinsae: .*{message}"):
        above.bench_above(inputs, 1)


@pytest.mark.usefixtures("without_faiss")
def test_wrong_candidates_are_not_timed(inputs, monkeypatch) -> None:
    monkeypatch.setattr(candidates, "mutual_topk", wrong_mutual)
    with pytest.raises(WrongResultError, match=r"by column: the values.* are off"):
        candidates.bench_candidates(inputs, 1)


@pytest.mark.usefixtures("with_faiss")
def test_candidates_are_compared_with_faiss_too(inputs, monkeypatch) -> None:
    monkeypatch.setattr(candidates, "faiss_best", lambda a, b, m: candidates.torch_best(b, a, m))
    with pytest.raises(WrongResultError, match=r"by row: the values, beside faiss: .* are off"):
        candidates.bench_candidates(inputs, 1)


@pytest.mark.parametrize("name", GRADIENTS)
def test_a_wrong_gradient_is_not_timed(name, inputs, monkeypatch) -> None:
    def broken(*args: object) -> object:
        losses, gradients = step_gradients(*args)
        own = step._OURS[name]
        return losses, gradients | {own: gradients[own] * 1.001}

    step_gradients = step.topk_gradients
    monkeypatch.setattr(step, "topk_gradients", broken)
    with pytest.raises(WrongResultError, match=f"step: d{name}, .* are off"):
        step.bench_step(inputs, 1)


def test_fewer_active_latents_than_k_are_checked_too(inputs) -> None:
    torch.nn.init.constant_(inputs.sae.encoder.bias, -0.6)
    assert (inputs.sae.encode(inputs.x).indices < 0).any()
    for bench_one in (encode.bench_encode, step.bench_step):
        assert OURS in {one.way for one in bench_one(inputs, 1)}


def test_torch_best_merges_its_tiles(monkeypatch) -> None:
    monkeypatch.setattr(candidates, "TILE", 4)
    a, b = torch.randn(2, 11, 5).unbind()
    scores = a @ b.T
    (row_values, rows), (col_values, cols) = candidates.torch_best(a, b, 6)
    expected_rows, expected_cols = scores.topk(6), scores.T.topk(6)
    torch.testing.assert_close(row_values, expected_rows.values)
    torch.testing.assert_close(col_values, expected_cols.values)
    assert torch.equal(rows, expected_rows.indices)
    assert torch.equal(cols, expected_cols.indices)


def test_ways_take_turns_and_nan_is_no_match() -> None:
    calls: list[str] = []
    medians = CpuClock().medians({way: lambda way=way: calls.append(way) for way in "ab"}, 2)
    assert calls == ["a", "b"] * 3
    assert set(medians) == {"a", "b"}
    with pytest.raises(WrongResultError, match="x: 1 of 1 numbers are off"):
        refuse("x", torch.tensor([1.0]), torch.tensor([torch.nan]), 1.0)
