"""The loss and every gradient of each architecture that SAELens trains, against its autograd's."""

import pytest
import sae_lens
import torch
from sae_lens.saes.sae import TrainStepInput

pytestmark = pytest.mark.peers
D, L, K = 12, 40, 5  # of conftest.py
FREE = {"normalize_decoder": False}


PLAIN = {"encoder.weight": "W_enc", "encoder.bias": "b_enc", "W_dec": "W_dec", "b_dec": "b_dec"}
SAELENS_GATED = PLAIN | {"encoder.bias": "b_gate", "r_mag": "r_mag", "mag_bias": "b_mag"}


@pytest.fixture
def saelens(copy_weights):
    def saelens(given, kind, names=PLAIN, coefficients=None, **settings):
        """Return the loss of SAELens' training class with our weights, and its parameters."""
        config = getattr(sae_lens, f"{kind}TrainingSAEConfig")
        theirs = getattr(sae_lens, f"{kind}TrainingSAE")(
            config(d_in=D, d_sae=L, dtype="float64", apply_b_dec_to_input=True, **settings)
        )
        parameters = {name: getattr(theirs, their) for name, their in names.items()}
        copy_weights(given.sae, parameters)
        result = theirs.training_forward_pass(
            TrainStepInput(
                sae_in=given.batch.x,
                coefficients=coefficients or {},
                dead_neuron_mask=given.batch.dead,
                n_training_steps=0,
                is_logging_step=False,
            )
        )
        return result.loss, parameters

    return saelens


def test_saelens_relu(problem, check_losses, saelens):
    given = problem("relu", **FREE)
    check_losses(given, *saelens(given, "Standard", coefficients={"l1": 0.4}), scale=given.scale)


def test_saelens_gated_lets_the_decoder_learn_from_the_gate(problem, check_losses, saelens):
    given = problem("gated", **FREE)
    loss, theirs = saelens(given, "Gated", SAELENS_GATED, {"l1": 0.4})
    check_losses(given, loss, theirs, scale=given.scale)


@pytest.mark.parametrize("to_input", [False, True])
@pytest.mark.parametrize(
    ("penalty", "ours_too"),
    [
        ({"jumprelu_sparsity_loss_mode": "step"}, {}),
        ({"jumprelu_sparsity_loss_mode": "tanh"}, {"penalty": "tanh"}),
        ({"jumprelu_sparsity_loss_mode": "quadratic", "target_l0": 7.0}, {"target_l0": 7.0}),
        (
            {"jumprelu_sparsity_loss_mode": "step", "pre_act_loss_coefficient": 0.2},
            {"pre_act": 0.2},
        ),
    ],
    ids=["step", "tanh", "quadratic", "pre-act"],
)
def test_saelens_jumprelu(problem, check_losses, saelens, penalty, ours_too, to_input):
    given = problem("jumprelu", bandwidth=0.5, ste_to_input=to_input, **ours_too, **FREE)
    loss, theirs = saelens(
        given, "JumpReLU", PLAIN | {"threshold": "threshold"}, {"l0": 0.4},
        jumprelu_bandwidth=0.5, jumprelu_ste_to_input=to_input, **penalty,
    )  # fmt: skip
    check_losses(given, loss, theirs, scale=given.scale)


def test_saelens_topk(problem, check_losses, saelens):
    given = problem("topk", **FREE)
    given = given._replace(batch=given.batch._replace(dead=torch.zeros(L, dtype=torch.bool)))
    check_losses(
        given, *saelens(given, "TopK", k=K, rescale_acts_by_decoder_norm=False), scale=given.scale
    )


def test_saelens_topk_rescaled_is_ours_where_the_decoder_has_unit_norm(
    problem, check_losses, saelens
):
    given = problem("topk")
    given = given._replace(batch=given.batch._replace(dead=torch.zeros(L, dtype=torch.bool)))
    check_losses(given, *saelens(given, "TopK", k=K), scale=given.scale)


def dead_are_positive(given):
    """Give all dead latents positive scores."""
    with torch.no_grad():
        given.sae.encoder.bias[given.batch.dead] += 40
    return given


@pytest.mark.parametrize(
    ("activation", "kind", "prefixes"),
    [
        ("topk", "TopK", ()),
        ("batch_topk", "BatchTopK", ()),
        ("batch_topk", "MatryoshkaBatchTopK", (7, 19, L)),
    ],
    ids=["topk", "batch topk", "matryoshka"],
)
def test_saelens_auxk_where_all_dead_scores_are_positive(
    problem, check_losses, saelens, activation, kind, prefixes
):
    given = dead_are_positive(problem(activation, aux=0.3, aux_k=D // 2, prefixes=prefixes, **FREE))
    more = {"matryoshka_widths": list(prefixes)} if prefixes else {}
    loss, theirs = saelens(
        given, kind, k=K, aux_loss_coefficient=0.3, rescale_acts_by_decoder_norm=False, **more
    )
    check_losses(given, loss, theirs, scale=given.scale)


def test_saelens_auxk_decodes_negative_scores_of_dead_latents(problem, ours, saelens):
    """It does not rectify them, unlike the paper, sparsify and dictionary_learning; ours does."""
    given = problem("topk", aux=0.3, **FREE)
    with torch.no_grad():
        given.sae.encoder.bias[given.batch.dead] -= 40
    loss, _ = saelens(
        given, "TopK", k=K, aux_loss_coefficient=0.3, rescale_acts_by_decoder_norm=False
    )
    losses, _ = ours(given)
    assert loss > 10 * given.scale * (losses.fvu + losses.parts["auxk_loss"])
    # Of ours only the error stays that no dead latent explains.
    torch.testing.assert_close(losses.parts["auxk_loss"], 0.3 * losses.fvu)
