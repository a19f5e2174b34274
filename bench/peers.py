"""Other people's TopK trainers, where they are installed, with our weights in them.

All are asked for the same thing: the squared error of one batch and its gradients, without AuxK,
which is off in ours too and costs them nothing while no latent is dead.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from ..sae import SAE

SPARSIFY, DICTIONARY_LEARNING, SAE_LENS = "sparsify", "dictionary_learning", "sae_lens"

Encoder = Callable[[Tensor], tuple[Tensor, Tensor]]
"""x (N, D) -> the active latents' values and indices (N, k), in any order."""


@dataclass(frozen=True)
class PeerStep:
    """Forward and backward of a peer's training loss."""

    per_token: bool
    """False: the loss is the FVU; True: the squared error of a token, the FVU times V / N."""
    run: Callable[[Tensor], Mapping[str, Tensor]]
    """x (N, D) -> {"loss": scalar, and each parameter's gradient by our name, in our shape}."""


def peer_encoders(sae: SAE) -> dict[str, Encoder]:
    """Return the peers that name the active latents; SAELens returns (N, L) codes instead."""
    encoders: dict[str, Encoder] = {}
    if find_spec(SPARSIFY):
        coder = _sparse_coder(sae)
        encoders[SPARSIFY] = lambda x: coder.encode(x)[:2]
    if find_spec(DICTIONARY_LEARNING):
        auto_encoder = _top_k_trainer(sae).ae
        encoders[DICTIONARY_LEARNING] = lambda x: auto_encoder.encode(x, return_topk=True)[1:3]
    return encoders


def peer_steps(sae: SAE) -> dict[str, PeerStep]:
    """Return the installed peers' training steps without their optimisers."""
    steps = {}
    if find_spec(SPARSIFY):
        steps[SPARSIFY] = _sparsify_step(sae)
    if find_spec(DICTIONARY_LEARNING):
        steps[DICTIONARY_LEARNING] = _dictionary_learning_step(sae)
    if find_spec(SAE_LENS):
        # The same function for a decoder of unit rows; rescaling is its default.
        steps["SAELens"] = _sae_lens_step(sae, rescale=True)
        steps["SAELens, no rescaling"] = _sae_lens_step(sae, rescale=False)
    return steps


def _sparsify_step(sae: SAE) -> PeerStep:
    coder = _sparse_coder(sae)
    ours = {
        "encoder_weight": coder.encoder.weight,
        "encoder_bias": coder.encoder.bias,
        "W_dec": coder.W_dec,
        "b_dec": coder.b_dec,
    }
    return PeerStep(False, lambda x: _backward(lambda: coder(x).fvu, ours))


def _sparse_coder(sae: SAE) -> Any:
    # Before the import: else it calls Triton's kernels, which need a GPU, wherever Triton is found.
    os.environ.setdefault("SPARSIFY_DISABLE_TRITON", "1")
    library = import_module(SPARSIFY)
    config = library.SparseCoderConfig(num_latents=sae.config.num_latents, k=sae.config.k)
    coder = library.SparseCoder(sae.config.d_in, config)
    coder.load_state_dict(_values(sae))
    return coder


def _dictionary_learning_step(sae: SAE) -> PeerStep:
    trainer = _top_k_trainer(sae)
    ours = {
        "encoder_weight": trainer.ae.encoder.weight,
        "encoder_bias": trainer.ae.encoder.bias,
        "W_dec": trainer.ae.decoder.weight,
        "b_dec": trainer.ae.b_dec,
    }
    turned = frozenset({"W_dec"})
    loss = trainer.loss
    return PeerStep(True, lambda x: _backward(lambda: loss(x, step=1), ours, turned))


def _top_k_trainer(sae: SAE) -> Any:
    library = import_module(f"{DICTIONARY_LEARNING}.trainers.top_k")
    config = sae.config
    trainer = library.TopKTrainer(
        steps=2,
        activation_dim=config.d_in,
        dict_size=config.num_latents,
        k=config.k,
        layer=0,
        lm_name="",
        warmup_steps=1,
        device="cpu",
    )
    ours = _values(sae)
    ours["decoder.weight"] = ours.pop("W_dec").T
    trainer.ae.load_state_dict(ours, strict=False)  # k and threshold stay
    return trainer


def _sae_lens_step(sae: SAE, rescale: bool) -> PeerStep:
    library = import_module(SAE_LENS)
    inputs = import_module(f"{SAE_LENS}.saes.sae").TrainStepInput
    config = library.TopKTrainingSAEConfig(
        d_in=sae.config.d_in,
        d_sae=sae.config.num_latents,
        k=sae.config.k,
        rescale_acts_by_decoder_norm=rescale,
    )
    peer = library.TopKTrainingSAE(config)
    weights = _values(sae)
    peer.load_state_dict(
        {
            "W_enc": weights["encoder.weight"].T,
            "b_enc": weights["encoder.bias"],
            "W_dec": weights["W_dec"],
            "b_dec": weights["b_dec"],
        }
    )
    ours = {
        "encoder_weight": peer.W_enc,
        "encoder_bias": peer.b_enc,
        "W_dec": peer.W_dec,
        "b_dec": peer.b_dec,
    }

    def loss(x: Tensor) -> Tensor:
        batch = inputs(
            sae_in=x,
            coefficients={},
            dead_neuron_mask=None,
            n_training_steps=0,
            is_logging_step=False,
        )
        result: Tensor = peer.training_forward_pass(step_input=batch).loss
        return result

    turned = frozenset({"encoder_weight"})
    return PeerStep(True, lambda x: _backward(lambda: loss(x), ours, turned))


def _backward(
    loss_of: Callable[[], Tensor],
    parameters: Mapping[str, Tensor],
    turned: frozenset[str] = frozenset(),
) -> dict[str, Tensor]:
    """Run both passes and take the gradients away from their parameters, so that none is held.

    Those `turned`, whose parameter the peer holds transposed, become as ours.
    """
    with torch.enable_grad():
        loss = loss_of()
        torch.autograd.backward(loss)
    results = {"loss": loss.detach()}
    for name, parameter in parameters.items():
        gradient = parameter.grad
        if gradient is None:
            raise RuntimeError(f"no gradient of {name}: not timed")
        parameter.grad = None
        results[name] = gradient.T if name in turned else gradient
    return results


def _values(sae: SAE) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in sae.state_dict().items()}
