"""The loss and every gradient of each architecture that sparsify trains, against its own."""

import pytest
import torch
from sparsify import SparseCoder, SparseCoderConfig

pytestmark = pytest.mark.peers
D, L, K = 12, 40, 5  # of conftest.py
FREE = {"normalize_decoder": False}


SPARSIFY = ("encoder.weight", "encoder.bias", "W_dec", "b_dec")


@pytest.fixture
def sparsify(copy_weights):
    def sparsify(given, **settings):
        """Return what sparsify's forward pass does with our weights, and its parameters."""
        shape = given.sae.config
        coder = SparseCoder(
            D,
            SparseCoderConfig(
                num_latents=L, k=K, activation=shape.activation, transcode=shape.transcode,
                skip_connection=shape.skip_connection, **settings,
            ),
            dtype=torch.float64,
        )  # fmt: skip
        names = (*SPARSIFY, "W_skip") if shape.skip_connection else SPARSIFY
        parameters = {name: coder.get_parameter(name) for name in names}
        copy_weights(given.sae, parameters)
        return coder(given.batch.x, given.batch.target, dead_mask=given.batch.dead), parameters

    return sparsify


@pytest.mark.parametrize("activation", ["topk", "groupmax"])
@pytest.mark.parametrize(
    "settings",
    [{}, {"transcode": True} | FREE, {"transcode": True, "skip_connection": True} | FREE],
    ids=["sae", "transcoder", "skip"],
)
def test_sparsify(problem, check_losses, sparsify, activation, settings):
    given = problem(activation, **settings)
    with torch.no_grad():
        # It gives latents a gradient whose scores are negative, where it lacks k positive ones.
        given.sae.encoder.bias += 20
    out, parameters = sparsify(given)
    check_losses(given, out.fvu, parameters, scale=1.0)


def test_sparsify_multi_topk_and_auxk_have_the_same_values(problem, ours, sparsify):
    """Its own gradients of both lack the encoder: tests of our plug-in show that."""
    given = problem("topk", multi_topk=0.125, aux=1 / 32)
    out, _ = sparsify(given, multi_topk=True)
    losses, _ = ours(given)
    torch.testing.assert_close(losses.parts["multi_topk_loss"], out.multi_topk_fvu.detach() / 8)
    torch.testing.assert_close(losses.parts["auxk_loss"], out.auxk_loss.detach() / 32)
