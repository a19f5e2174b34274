import subprocess
import sys

import pytest
import torch
from twinsae.sae import SAE, SAEConfig
from twinsae.sae.loss import fvu


def make(d_in=5, num_latents=11, k=3, dtype=torch.float32, **settings):
    """Return an SAE with no zero and no equal parameters."""
    sae = SAE(SAEConfig(d_in, num_latents, k=k, **settings), seed=3, dtype=dtype)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in sae.parameters():
            noise = torch.randn(parameter.shape, generator=generator).to(dtype)
            parameter.add_(noise, alpha=0.3)
    return sae


def test_the_encoder_starts_as_the_linear_layer_of_the_same_seed():
    torch.manual_seed(7)
    expected = torch.nn.Linear(5, 11).weight
    torch.manual_seed(0)
    state = torch.get_rng_state()
    sae = SAE(SAEConfig(5, 11, k=2), seed=7)
    assert torch.equal(sae.encoder.weight, expected)
    assert torch.equal(torch.get_rng_state(), state)  # nobody else's random numbers were taken
    torch.manual_seed(7)
    assert torch.equal(SAE(SAEConfig(5, 11, k=2)).encoder.weight, expected)


def test_the_decoder_starts_as_the_encoder_at_unit_norm_and_the_biases_at_zero():
    sae = SAE(SAEConfig(5, 11, k=2), seed=7)
    assert not sae.encoder.bias.any()
    assert not sae.b_dec.any()
    torch.testing.assert_close(sae.W_dec, torch.nn.functional.normalize(sae.encoder.weight, dim=1))
    raw = SAE(SAEConfig(5, 11, k=2, normalize_decoder=False), seed=7)
    assert torch.equal(raw.W_dec, raw.encoder.weight)
    assert raw.W_dec.data_ptr() != raw.encoder.weight.data_ptr()


def test_the_same_seed_gives_the_same_numbers_in_every_dtype():
    full = SAE(SAEConfig(5, 11, k=2), seed=7).encoder.weight
    half = SAE(SAEConfig(5, 11, k=2), seed=7, dtype=torch.bfloat16).encoder.weight
    assert half.dtype == torch.bfloat16
    assert torch.equal(full.to(torch.bfloat16), half)


def test_normalizing_leaves_zero_rows_zero():
    sae = make()
    with torch.no_grad():
        sae.W_dec[4] = 0
    sae.normalize_decoder()
    norms = sae.W_dec.norm(dim=1)
    assert norms[4] == 0
    torch.testing.assert_close(norms[[0, 1, 2, 3, 5]], torch.ones(5))


@pytest.mark.parametrize(("d_in", "num_latents", "k"), [(5, 11, 3), (1, 1, 1), (6, 7, 7)])
def test_forward_is_the_papers_formula(d_in, num_latents, k):
    sae = make(d_in, num_latents, k, torch.float64).requires_grad_(False)
    x = torch.randn(9, d_in, dtype=torch.float64)
    out = sae(x)
    for n in range(9):  # one token at a time, one latent at a time
        scores = [
            max(
                0.0,
                float((x[n] - sae.b_dec) @ sae.encoder.weight[latent] + sae.encoder.bias[latent]),
            )
            for latent in range(num_latents)
        ]
        active = sorted(range(num_latents), key=lambda latent: -scores[latent])[:k]
        active = [latent for latent in active if scores[latent] > 0]
        named = out.indices[n][out.indices[n] >= 0].tolist()
        assert named == active
        assert out.values[n, : len(active)].tolist() == pytest.approx(
            [scores[latent] for latent in active]
        )
        expected = sae.b_dec + sum(scores[latent] * sae.W_dec[latent] for latent in active)
        torch.testing.assert_close(out.reconstruction[n], expected)
    error = sum(float((x[n] - out.reconstruction[n]).square().sum()) for n in range(9))
    total = sum(float((x[n] - x.mean(dim=0)).square().sum()) for n in range(9))
    assert float(out.fvu) == pytest.approx(error / total)


def test_leading_dimensions_are_kept():
    sae = make()
    x = torch.randn(2, 4, 5)
    flat, out = sae(x.reshape(8, 5)), sae(x)
    assert out.reconstruction.shape == (2, 4, 5)
    assert out.values.shape == out.indices.shape == (2, 4, 3)
    for ours, expected in zip(out, flat, strict=True):
        assert torch.equal(ours.reshape(expected.shape), expected)
    assert sae(x[0, 0]).reconstruction.shape == (5,)


def test_other_dtypes_are_converted_to_that_of_the_sae():
    out = make()(torch.randn(4, 5, dtype=torch.float64))
    assert out.reconstruction.dtype == out.values.dtype == torch.float32


def test_no_activations_give_no_output():
    out = make()(torch.zeros(0, 5))
    assert out.reconstruction.shape == (0, 5)
    assert out.indices.shape == (0, 3)


@pytest.mark.parametrize("x", [torch.zeros(3, 4), torch.tensor(1.0)])
def test_a_wrong_width_is_refused(x):
    with pytest.raises(ValueError, match=r"x must be \(\.\.\., 5\), got \("):
        make().encode(x)


@pytest.mark.parametrize("positives", [0, 1, 2, 11])
def test_autograd_gives_the_dense_models_gradients(dense_fvu, positives):
    """Rows with fewer than k = 3 positive latents are where a leading trainer is wrong."""
    sae = make(dtype=torch.float64)
    x = torch.randn(9, 5, dtype=torch.float64)
    with torch.no_grad():
        sae.encoder.bias[positives:] = -100.0
        sae.encoder.bias[:positives] = 5.0
    sae(x).fvu.backward()
    dense = {name: p.detach().clone().requires_grad_() for name, p in sae.named_parameters()}
    dense_fvu(x, dense, 3).backward()
    for name, parameter in sae.named_parameters():
        torch.testing.assert_close(parameter.grad, dense[name].grad, msg=name)


def test_fvu_of_a_batch_without_variance():
    x = torch.ones(3, 2)
    assert fvu(x, x + 1) == torch.inf
    assert fvu(x, x).isnan()


def test_fvu_of_half_precision_is_summed_in_single():
    x = (torch.randn(5000, 3) * 100).half()  # its squares sum up to far more than half can hold
    loss = fvu(x, torch.zeros_like(x))
    assert loss.dtype == torch.float32
    expected = x.double().square().sum() / (x.double() - x.double().mean(dim=0)).square().sum()
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=0)


def test_importing_the_room_does_not_import_transformers():
    check = "import sys, twinsae.sae; sys.exit('transformers' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)


@pytest.mark.parametrize("settings", [{}, {"activation": "jumprelu"}, {"skip_connection": True}])
def test_the_configuration_knows_every_parameter_and_its_shape(settings):
    config = SAEConfig(d_in=5, num_latents=7, k=2, **settings)
    found = {name: tuple(p.shape) for name, p in SAE(config).named_parameters()}
    assert found == config.parameter_shapes


def test_what_is_stored_shares_memory_and_makes_the_same_sae():
    sae = SAE(SAEConfig(d_in=5, num_latents=7, k=2), seed=0)
    again = SAE.from_stored(sae.stored())
    assert again.config == sae.config
    again.W_dec.data[3, 1] = 42
    assert sae.W_dec[3, 1] == 42
    assert all(p.requires_grad for p in again.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_forward_is_encode_then_decode(dtype):
    sae, x = make(7, 40, 5, dtype), torch.randn(3, 4, 7, dtype=dtype)
    out, top = sae(x), sae.encode(x)
    reconstruction = sae.decode(top.values, top.indices)
    assert torch.equal(out.values, top.values)
    assert torch.equal(out.indices, top.indices)
    assert torch.equal(out.reconstruction, reconstruction)
    expected = fvu(x.reshape(-1, 7), reconstruction.reshape(-1, 7))
    assert out.fvu.dtype == expected.dtype
    # fvu sees the rounded reconstruction, and the op the one before it is rounded.
    tolerance = {"rtol": 2e-2, "atol": 0} if dtype == torch.bfloat16 else {}
    torch.testing.assert_close(out.fvu, expected, **tolerance)
