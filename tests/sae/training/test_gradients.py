"""The trainer's hand-written gradients against autograd of the dense model in float64.

Tolerance for float32: each gradient is a sum of at most N k products, whose rounding is within
N k eps of the sum of their magnitudes; the test allows that of the largest entry.
"""

import pytest
import torch
from twinsae.sae import SAE, SAEConfig, TrainConfig
from twinsae.sae.loss import total_variance
from twinsae.sae.training.architectures import Batch, architecture
from twinsae.sae.training.gradients import (
    Gradients,
    dot_rows,
    empty_gradients,
    remove_parallel,
    weighted_sum,
)
from twinsae.sae.training.places import sum_by_latent
from twinsae.sae.training.stack import EncoderStack


def problem(rows, d_in, num_latents, k, dtype=torch.float64):
    generator = torch.Generator().manual_seed(rows * num_latents)
    sae = SAE(SAEConfig(d_in, num_latents, k=k), seed=3, dtype=dtype)
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator).to(dtype), alpha=0.3)
    return sae, torch.randn(rows, d_in, generator=generator).to(dtype)


def ours(sae, x, memory=None):
    """Return the losses and the gradients by the parameters' names."""
    kind = architecture(sae.config, TrainConfig())
    (stacked,) = EncoderStack([sae]).encode(x, sae.config.k)
    batch = Batch(x, x, total_variance(x), torch.zeros_like(sae.encoder.bias, dtype=torch.bool), 0)
    with torch.no_grad():
        gradients = Gradients(sae)
        losses = kind.backward(sae, batch, stacked, gradients)
        return losses, gradients.written(memory)


def theirs(sae, x, dense_fvu):
    parameters = {n: p.detach().double().requires_grad_() for n, p in sae.named_parameters()}
    loss = dense_fvu(x.double(), parameters, sae.config.k)
    loss.backward()
    return loss, {name: parameter.grad for name, parameter in parameters.items()}


def compare(sae, x, dense_fvu, rtol):
    losses, got = ours(sae, x)
    loss, expected = theirs(sae, x, dense_fvu)
    assert losses.fvu.item() == pytest.approx(loss.item(), rel=rtol)
    for name, gradient in got.items():
        error = (gradient - expected[name]).abs().max()
        assert error <= rtol * expected[name].abs().max(), name


SHAPES = [(9, 5, 11, 3), (2, 1, 1, 1), (33, 13, 7, 7), (64, 17, 131, 8), (40, 12, 132, 1)]


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_in_double_precision(dense_fvu, shape):
    compare(*problem(*shape), dense_fvu, rtol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_in_single_precision(dense_fvu, shape):
    rows, _, _, k = shape
    compare(*problem(*shape, torch.float32), dense_fvu, rtol=rows * k * torch.finfo().eps)


@pytest.mark.parametrize("positives", [0, 1, 2, 11])
def test_rows_with_fewer_than_k_positives(dense_fvu, positives):
    sae, x = problem(9, 5, 11, 3)
    with torch.no_grad():
        sae.encoder.bias[positives:] = -100.0
        sae.encoder.bias[:positives] = 5.0
    losses, got = ours(sae, x)
    assert int(losses.fired.sum()) == 9 * min(positives, 3)
    loss, expected = theirs(sae, x, dense_fvu)
    assert losses.fvu.item() == pytest.approx(loss.item())
    for name, gradient in got.items():
        torch.testing.assert_close(gradient, expected[name], msg=name)


def test_fired_counts_the_tokens_of_each_latent():
    sae, x = problem(33, 13, 7, 2)
    scores = torch.relu((x - sae.b_dec) @ sae.encoder.weight.T + sae.encoder.bias)
    chosen = torch.zeros_like(scores).scatter(1, scores.topk(2).indices, 1.0) * (scores > 0)
    got = ours(sae, x)[0].fired
    assert got.dtype == torch.int64
    assert torch.equal(got, chosen.sum(dim=0).long())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_memory_may_be_used_again(dtype):
    sae, x = problem(64, 17, 131, 8, dtype)
    memory = empty_gradients(sae)
    for tensor in memory:
        tensor.fill_(77)
    for rows in (x, x[:5] + 1, x):
        (_, fresh), (_, again) = ours(sae, rows), ours(sae, rows, memory)
        assert all(torch.equal(fresh[name], again[name]) for name in fresh)
        assert again["W_dec"] is memory.dW_dec
        assert again["encoder.weight"] is memory.dW_enc


def test_bits_do_not_depend_on_the_threads():
    sae, x = problem(600, 17, 1000, 8, torch.float32)
    with torch.no_grad():
        sae.encoder.bias[3] = 100.0  # a latent active on every token
    before, results = torch.get_num_threads(), []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        results.append(ours(sae, x))
    torch.set_num_threads(before)
    (losses, first), *others = results
    assert losses.fired[3] == 600
    for other_losses, other in others:
        assert torch.equal(losses.fvu, other_losses.fvu)
        assert all(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("latents", [1, 37, 255, 256, 257, 1000])
def test_products_with_a_vector(latents):
    weight, row, column = torch.randn(latents, 13), torch.randn(13), torch.randn(latents)
    exact = weight.double() @ row.double(), column.double() @ weight.double()
    torch.testing.assert_close(dot_rows(weight, row).double(), exact[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(weighted_sum(column, weight).double(), exact[1], atol=1e-4, rtol=0)


def test_products_with_a_vector_do_not_depend_on_the_threads():
    weight, row, column = torch.randn(9000, 13), torch.randn(13), torch.randn(9000)
    before, results = torch.get_num_threads(), []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        results.append((dot_rows(weight, row), weighted_sum(column, weight)))
    torch.set_num_threads(before)
    for dots, total in results[1:]:
        assert torch.equal(dots, results[0][0])
        assert torch.equal(total, results[0][1])


def test_sums_by_latent():
    values = torch.tensor([[1.0, 2.0, 0.0], [4.0, 8.0, 16.0]])
    indices = torch.tensor([[2, 0, -1], [2, 2, 1]])
    assert sum_by_latent(values, indices, 4).tolist() == [2.0, 16.0, 13.0, 0.0]
    assert sum_by_latent(values[:0], indices[:0], 2).tolist() == [0.0, 0.0]


def test_products_with_a_vector_do_not_depend_on_the_matrixs_address():
    memory, row, column = torch.randn(40 * 13), torch.randn(13), torch.randn(37)
    weight = memory[: 37 * 13].reshape(37, 13).clone()
    for offset in range(16):
        moved = memory[offset : offset + 37 * 13].reshape(37, 13).copy_(weight)
        assert torch.equal(dot_rows(moved, row), dot_rows(weight, row))
        assert torch.equal(weighted_sum(column, moved), weighted_sum(column, weight))


def test_the_parallel_part_of_a_gradient_is_removed():
    rows = torch.nn.functional.normalize(torch.randn(11, 5, dtype=torch.float64), dim=1)
    sideways = torch.randn(11, 5, dtype=torch.float64)
    sideways -= (sideways * rows).sum(dim=1, keepdim=True) * rows
    gradient = sideways + torch.randn(11, 1, dtype=torch.float64) * rows
    remove_parallel(gradient, rows)
    torch.testing.assert_close(gradient, sideways)
