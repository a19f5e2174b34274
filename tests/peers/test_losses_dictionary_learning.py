"""The loss and every gradient of each architecture that dictionary_learning trains.

Against its own autograd. Where it is wrong, the test says so and compares what is right.
"""

import pytest
import torch
from dictionary_learning.trainers.batch_top_k import BatchTopKTrainer
from dictionary_learning.trainers.gdm import GatedSAETrainer
from dictionary_learning.trainers.jumprelu import JumpReluTrainer
from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKTrainer
from dictionary_learning.trainers.standard import StandardTrainer, StandardTrainerAprilUpdate
from dictionary_learning.trainers.top_k import TopKTrainer
from twinsae.sae import TrainConfig
from twinsae.sae.loss import total_variance

pytestmark = pytest.mark.peers
D, L, K, N = 12, 40, 5, 50  # of conftest.py
FLOAT32 = {"rtol": 1e-5, "atol": 1e-7}
FREE = {"normalize_decoder": False}


def trainer_of(kind, **settings):
    return kind(
        steps=10, activation_dim=D, dict_size=L, layer=0, lm_name="", warmup_steps=1, device="cpu",
        **settings,
    )  # fmt: skip


TOPK = {"encoder.weight": "encoder.weight", "encoder.bias": "encoder.bias",
        "W_dec": "decoder.weight", "b_dec": "b_dec"}  # fmt: skip
PLAIN = {"encoder.weight": "W_enc", "encoder.bias": "b_enc", "W_dec": "W_dec", "b_dec": "b_dec"}
STANDARD = TOPK | {"b_dec": "bias"}
GATED = {"encoder.weight": "encoder.weight", "encoder.bias": "gate_bias", "mag_bias": "mag_bias",
         "r_mag": "r_mag", "W_dec": "decoder.weight", "b_dec": "decoder_bias"}  # fmt: skip


@pytest.fixture
def dictionary_learning(copy_weights):
    def dictionary_learning(given, trainer, names):
        """Return the loss of its trainer with our weights, and its parameters."""
        trainer.ae.double()
        parameters = {name: trainer.ae.get_parameter(their) for name, their in names.items()}
        copy_weights(given.sae, parameters)
        return trainer.loss(given.batch.x, step=5), parameters

    return dictionary_learning


@pytest.mark.parametrize(
    ("kind", "settings"),
    [(StandardTrainer, {}), (StandardTrainerAprilUpdate, FREE)],
    ids=["unit norm", "April"],
)
def test_dictionary_learning_relu(problem, check_losses, dictionary_learning, kind, settings):
    given = problem("relu", **settings)
    trainer = trainer_of(kind, l1_penalty=0.4, sparsity_warmup_steps=1)
    check_losses(given, *dictionary_learning(given, trainer, STANDARD), scale=given.scale)


def test_dictionary_learning_gated(problem, check_losses, dictionary_learning):
    given = problem("gated")
    trainer = trainer_of(GatedSAETrainer, l1_penalty=0.4, sparsity_warmup_steps=1)
    check_losses(given, *dictionary_learning(given, trainer, GATED), scale=given.scale)


@pytest.mark.parametrize("auxk", [False, True])
@pytest.mark.parametrize(
    ("activation", "kind", "names", "prefixes"),
    [
        ("topk", TopKTrainer, TOPK, ()),
        ("batch_topk", BatchTopKTrainer, TOPK, ()),
        ("batch_topk", MatryoshkaBatchTopKTrainer, PLAIN, (10, 30, L)),
    ],
    ids=["topk", "batch topk", "matryoshka"],
)
def test_dictionary_learning_of_chosen_latents(
    problem, check_losses, dictionary_learning, activation, kind, names, prefixes, auxk
):
    """Its matryoshka takes weights of 1 / G and a mean over the G groups: ours divided by G^2.

    Its AuxK is divided by the variance of the error, and not scaled by the share of dead latents.
    """
    groups = len(prefixes) or 1
    given = problem(activation, prefixes=prefixes)
    fractions = {"group_fractions": [0.25, 0.5, 0.25]} if prefixes else {}
    trainer = trainer_of(kind, k=K, auxk_alpha=1 / 32, **fractions)
    if auxk:
        trainer.num_tokens_since_fired[given.batch.dead] = 10**7
        # Small positive scores: else they are active, and with that alive before AuxK is computed.
        with torch.no_grad():
            given.sae.encoder.weight[given.batch.dead] *= 0.01
            given.sae.encoder.bias[given.batch.dead] = 0.05
    loss, parameters = dictionary_learning(given, trainer, names)
    if auxk:
        assert trainer.dead_features == given.batch.dead.sum()
        codes = trainer.ae.encode(given.batch.x, use_threshold=False)
        error = given.batch.x - trainer.ae.decode(codes).detach()
        denominator = float(total_variance(error)) / N
        aux = groups**2 / 32 / denominator
        given = given._replace(config=TrainConfig(aux=aux, aux_k=D // 2))
    # It computes AuxK in float32.
    check_losses(
        given,
        loss,
        parameters,
        scale=given.scale / groups**2,
        **({"close": FLOAT32} if auxk else {}),
    )


def test_dictionary_learning_jumprelu(problem, ours, check_losses, dictionary_learning):
    """Its penalty's step acts on the codes, not on the scores (its issue 55), which are 0 below the
    threshold: the window's lower half is lost, and latents of a threshold below half a window are
    counted on every token. All else is right, and ours.
    """
    target, width = 3.0, 0.5
    given = problem("jumprelu", bandwidth=width, transcode=True, **FREE)
    given = given._replace(
        batch=given.batch._replace(target=given.batch.x, variance=total_variance(given.batch.x))
    )
    trainer = trainer_of(
        JumpReluTrainer, bandwidth=width, sparsity_penalty=0.4, target_l0=target,
        sparsity_warmup_steps=1,
    )  # fmt: skip
    loss, parameters = dictionary_learning(given, trainer, PLAIN | {"threshold": "threshold"})
    l0 = float(ours(given)[0].fired.sum()) / N
    # 0.4 (L0 / T - 1)^2 has the gradients of this weight times L0.
    weight = 2 * 0.4 * (l0 / target - 1) / target
    given = given._replace(batch=given.batch._replace(sparsity=weight))
    constant = 0.4 * (l0 / target - 1) ** 2 - weight * l0
    found = check_losses(
        given, loss - constant, parameters, scale=given.scale, but=("threshold",)
    )["threshold"] * given.scale  # fmt: skip
    with torch.no_grad():
        scores = given.batch.x @ given.sae.encoder.weight.T + given.sae.encoder.bias
        below = given.sae.threshold - scores
        lost = ((below >= 0) & (below < width / 2)).any(dim=0)
        counted = given.sae.threshold < width / 2
    theirs = parameters["threshold"].grad
    right = ~lost & ~counted
    assert right.sum() > 2
    torch.testing.assert_close(found[right], theirs[right], **FLOAT32)
    assert not torch.isclose(found[counted], theirs[counted], rtol=0.01).any()
