"""Training by the Triton kernels, in Triton's interpreter: `make test-triton`.

Each step starts from the native run's checkpoint, so that its loss differs by the rounding of one
forward pass, which has a bound.
"""

import importlib
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from twinsae.kernels import backends
from twinsae.sae import SAE, SAEConfig, TrainConfig, load_sae, train
from twinsae.sae.training.places import sum_in_order

if not backends.interpreting():
    pytest.skip("TRITON_INTERPRET is not 1", allow_module_level=True)

SHAPE = SAEConfig(d_in=13, num_latents=40, k=4)
STEPS, ROWS = 2, 20
CONFIG = TrainConfig(
    seeds=(0, 1), batch_size=ROWS, lr=1e-3, warmup_steps=1, save_every=1, log_every=1
)
OPS = ("topk", "decode", "grads")
UNIT = 2.0**-24  # the largest relative error of one float32 operation


@pytest.fixture
def triton(monkeypatch):
    """Let "auto" mean Triton, on CPU tensors; what it is gets the backends that were used."""
    used = set()

    def turn_on():
        monkeypatch.setattr(backends, "DEVICE_OF", {"triton": "cuda"})
        # Moving rows in one pass is for CPUs; a GPU writes its gradients.
        monkeypatch.setattr(TrainConfig, "in_one_pass", False)
        for name in OPS:
            ops = importlib.import_module(f"twinsae.kernels.{name}.ops")

            def told(backend, name=name, found=ops.implementation):
                used.add((name, backend))
                return found(backend)

            monkeypatch.setattr(ops, "implementation", told)
        return used

    return turn_on


def fvus(run):
    lines = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    return {(line["step"], line["seed"]): line["fvu"] for line in lines}


def batch_of(activations, step):
    (x,) = list(activations.batches(ROWS, shuffle_seed=42, start_step=step, epochs=1))[:1]
    return x


def rounding(sae: SAE, x: torch.Tensor) -> float:
    """Return how far two float32 forward passes can differ in FVU, to first order.

    A dot product of n terms has an error of at most n u times the sum of its terms' sizes. That
    bounds the error of each score; the reconstruction's is that of the values times their decoder
    rows, and that of its own sum. With e the residual and d its error, the squares' sum differs by
    2 sum |e| |d| + sum |d|^2 and by its own rounding, V by its own.
    """
    W_enc, W_dec, x, b_dec, b_enc = (
        tensor.detach().double().numpy()
        for tensor in (sae.encoder.weight, sae.W_dec, x, sae.b_dec, sae.encoder.bias)
    )
    scores = (x - b_dec) @ W_enc.T + b_enc  # (N, L)
    terms = np.abs(x) @ np.abs(W_enc).T + np.abs(W_enc) @ np.abs(b_dec) + np.abs(b_enc)
    score_error = (SHAPE.d_in + 4) * UNIT * terms
    order = np.argsort(-scores, axis=1)
    best = order[:, : SHAPE.k]
    values = np.maximum(np.take_along_axis(scores, best, 1), 0)  # (N, k)
    # The same latents are active in both: no two scores at the border are nearer than their errors.
    border = np.take_along_axis(scores, order[:, SHAPE.k - 1 : SHAPE.k + 1], 1)
    assert (np.diff(border) < -4 * score_error.max()).all()
    assert (np.abs(border) > 2 * score_error.max()).all()
    rows = W_dec[best]  # (N, k, D)
    residual = np.einsum("nk,nkd->nd", values, rows) + b_dec - x
    sizes = np.einsum("nk,nkd->nd", values, np.abs(rows)) + np.abs(b_dec) + np.abs(x)
    error = np.einsum("nk,nkd->nd", np.take_along_axis(score_error, best, 1), np.abs(rows))
    error += (SHAPE.k + 3) * UNIT * sizes
    variance = np.square(x - x.mean(axis=0)).sum()
    fvu = np.square(residual).sum() / variance
    difference = (2 * np.abs(residual) * error + np.square(error)).sum() / variance
    # Of both passes; the sums of N D squares have relative errors, V's also by its mean.
    return 2 * (difference + 2 * (ROWS + SHAPE.d_in + 8) * UNIT * fvu)


def test_losses_are_those_of_the_native_kernels(make_activations, tmp_path, interrupt_at, triton):
    activations = make_activations(STEPS * ROWS, SHAPE.d_in)
    train(activations, tmp_path / "native", "h", SHAPE, CONFIG)
    expected = fvus(tmp_path / "native")
    saes = {}
    for step in range(1, STEPS):
        with pytest.raises(KeyboardInterrupt):
            train(
                activations, tmp_path / f"{step}", "h", SHAPE, CONFIG, progress=interrupt_at(step)
            )
        for seed in CONFIG.seeds:
            saes[step, seed] = load_sae(tmp_path / f"{step}" / "h" / f"seed{seed}")
    for seed in CONFIG.seeds:
        saes[0, seed] = SAE(SHAPE, seed=seed)
        saes[0, seed].b_dec.data.copy_(batch_of(activations, 0).mean(dim=0))
    used = triton()
    for step in range(STEPS):
        run = tmp_path / f"{step}"
        with pytest.raises(KeyboardInterrupt):
            train(activations, run, "h", SHAPE, CONFIG, progress=interrupt_at(step + 1))
        for seed in CONFIG.seeds:
            bound = rounding(saes[step, seed], batch_of(activations, step))
            assert bound < 2e-4
            found = fvus(run)[step + 1, seed]
            assert abs(found - expected[step + 1, seed]) <= bound
    assert used == {(name, "triton") for name in OPS}


def test_a_stopped_run_goes_on_to_the_same_bits(
    make_activations, tmp_path, interrupt_at, same_bits, triton
):
    activations = make_activations(STEPS * ROWS, SHAPE.d_in)
    one = replace(CONFIG, seeds=(0,))
    triton()
    whole = train(activations, tmp_path / "whole", "h", SHAPE, one)
    with pytest.raises(KeyboardInterrupt):
        train(activations, tmp_path / "run", "h", SHAPE, one, progress=interrupt_at(1))
    assert same_bits(train(activations, tmp_path / "run", "h", SHAPE, one), whole)
    logs = [(tmp_path / run / "log.jsonl").read_text() for run in ("whole", "run")]
    assert logs[0] == logs[1]


@pytest.mark.parametrize("rows", [1, 37])
def test_sums_by_latent(rows, triton):
    generator = torch.Generator().manual_seed(rows)
    values = torch.randint(-9, 9, (rows, 3), generator=generator).float()
    indices = torch.randint(-1, 11, (rows, 3), generator=generator)
    expected = torch.stack([values[indices == latent].sum() for latent in range(11)])
    used = triton()
    assert torch.equal(sum_in_order(values, indices, 11), expected)
    assert used == {("grads", "triton")}
