"""Training on a GPU, as far as a machine without one can show it; see also test_triton_training."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from twinsae.cli.main import main
from twinsae.sae import SAE, SAEConfig, TrainConfig, train
from twinsae.sae.formats.stored import StoredSAE
from twinsae.sae.loss import total_variance
from twinsae.sae.training.device import batches_on
from twinsae.sae.training.gradients import empty_gradients
from twinsae.sae.training.jobs import Job
from twinsae.sae.training.learner import Learner
from twinsae.sae.training.places import sum_by_latent, sum_in_order
from twinsae.sae.training.stack import EncoderStack

SHAPE = SAEConfig(d_in=13, num_latents=50, k=4)


@pytest.fixture
def asked(monkeypatch):
    """The tensors that a truth was asked of: what a step waits for. All are true here."""
    found = []

    def truth(tensor):
        found.append(tensor)
        return True

    monkeypatch.setattr(torch.Tensor, "__bool__", truth)
    return found


def on_gpu(shape=SHAPE):
    sizes = shape.parameter_shapes.items()
    return SAE.from_stored(
        StoredSAE(shape, {name: torch.empty(size, device="cuda") for name, size in sizes})
    )


def learner_on_gpu(seed):
    return Learner(Job("h", SHAPE, TrainConfig(device="cuda"), seed, f"h/seed{seed}"), on_gpu(), 10)


def test_a_step_stays_on_the_gpu(asked):
    """Fake tensors raise where a CPU's meets a GPU's, and where numbers are read."""
    with FakeTensorMode():
        learners = [learner_on_gpu(seed) for seed in (0, 1)]
        stack = EncoderStack([learner.sae for learner in learners])
        x = torch.empty(20, 13, device="cuda")
        memory = empty_gradients(learners[0].sae)
        for learner, stacked in zip(learners, stack.encode(x, SHAPE.k), strict=True):
            facts = learner.update(
                x, x, total_variance(x), stacked, count_fired=True, memory=memory
            )
            state = learner.optimizer.tensors().values()
            everything = [*learner.sae.parameters(), *state, learner.fired]
            everything += [learner.tokens_since_fired, facts.fvu, facts.l0, facts.dead]
            assert {tensor.device.type for tensor in everything} == {"cuda"}
    assert len(asked) == 2  # of each seed: whether its loss is finite
    assert all(tensor.numel() == 1 for tensor in asked)


@pytest.mark.usefixtures("asked")
def test_a_tensor_on_the_cpu_would_be_noticed():
    with FakeTensorMode():
        learner = learner_on_gpu(0)
        stack = EncoderStack([learner.sae])
        with pytest.raises((RuntimeError, ValueError), match=r"device|cpu"):
            stack.encode(torch.empty(20, 13), SHAPE.k)


class Batch:
    """Stands for a tensor, because memory is pinned only where there is a GPU."""

    def __init__(self, number, calls):
        self.number, self.calls = number, calls

    def pin_memory(self):
        self.calls.append(("pinned", self.number))
        return self

    def to(self, device, *, non_blocking):
        self.calls.append((device, self.number, non_blocking))
        return self.number


def test_batches_are_copied_in_order_from_pinned_memory():
    calls = []
    found = list(batches_on("cuda", iter([{"h": Batch(number, calls)} for number in range(5)])))
    assert found == [{"h": number} for number in range(5)]
    assert [call for call in calls if call[0] == "cuda"] == [("cuda", n, True) for n in range(5)]
    assert [call for call in calls if call[0] == "pinned"] == [("pinned", n) for n in range(5)]
    assert all(calls.index(("pinned", n)) < calls.index(("cuda", n, True)) for n in range(5))


def test_what_is_wrong_with_a_batch_is_told_when_it_is_its_turn():
    def batches():
        yield {"h": Batch(0, [])}
        raise ValueError("activation 7 is not finite")

    on_gpu_batches = batches_on("cuda", batches())
    assert next(on_gpu_batches) == {"h": 0}
    with pytest.raises(ValueError, match="activation 7 is not finite"):
        next(on_gpu_batches)


@pytest.mark.parametrize("rows", [0, 1, 37])
def test_sums_by_latent_do_not_depend_on_the_device(rows):
    generator = torch.Generator().manual_seed(rows)
    values = torch.randint(-9, 9, (rows, 3), generator=generator).float()
    indices = torch.randint(-1, 11, (rows, 3), generator=generator)
    values[indices < 0] = 0
    expected = torch.zeros(11)
    for latent in range(11):
        expected[latent] = values[indices == latent].sum()
    assert torch.equal(sum_by_latent(values, indices, 11), expected)
    assert torch.equal(sum_in_order(values, indices, 11), expected)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_told_before_anything_is_made(activations, tmp_path, capsys):
    with pytest.raises(ValueError, match=r"^device: torch finds no CUDA GPU on this machine$"):
        train(activations, tmp_path / "run", "h", SHAPE, TrainConfig(device="cuda"))
    assert main(["train", "--out", str(tmp_path / "run"), "--device", "cuda"]) == 2
    assert capsys.readouterr().err == "error: device: torch finds no CUDA GPU on this machine\n"
    assert not (tmp_path / "run").exists()
