"""Other people's TopK libraries, where they are installed, with our weights in them.

All compute the squared error of one batch and its gradients, without AuxK. AuxK is off in our step
too, and it costs nothing while no latent is dead.

sparsify: https://github.com/EleutherAI/sparsify. flex-sae offers a loss of the decoder alone
(https://huggingface.co/t-tech/flex-sae), so torch encodes for it. Both are called by the names
that they document; the licence of flex-sae has conditions, and nothing of it is copied here.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from .problem import Weights

SPARSIFY, DICTIONARY_LEARNING, SAE_LENS = "sparsify", "dictionary_learning", "sae_lens"
FLEX = ("flex_sae", "flexsae")
CPU_PEERS = (SPARSIFY, DICTIONARY_LEARNING, SAE_LENS)
GPU_PEERS = (SPARSIFY, *FLEX)
FLEX_LOSS = "triton_topk_sae_loss"
GRADIENTS = ("encoder_weight", "encoder_bias", "W_dec", "b_dec")

Loss = Literal["fvu", "per token", "of unknown scale"]


@dataclass(frozen=True)
class Peer:
    """The functions of one library with our weights in them; None where it has no such function."""

    name: str
    loss: Loss
    """The FVU; or the squared error of a token, which is the FVU times V / N; or not documented."""
    step: Callable[[Tensor], Mapping[str, Tensor]]
    """x (N, D) -> {"loss": scalar, and each gradient of `GRADIENTS` in the shape of ours}."""
    encode: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None
    """x (N, D) -> values and indices (N, k) of the active latents, in any order."""
    decode: Callable[[Tensor, Tensor], Tensor] | None = None
    """Values and indices (N, k) -> the reconstruction (N, D)."""


def installed_peers(
    weights: Weights, names: Sequence[str] = CPU_PEERS, total_variance: Tensor | None = None
) -> list[Peer]:
    """Return the peers that are installed, with ``weights`` in them.

    Args:
        weights: our autoencoder.
        names: the packages that may be used.
        total_variance: a scalar that sparsify divides its squared error by; None means the total
            variance of the batch.
    """
    makers: dict[str, Callable[[], Iterator[Peer]]] = {
        SPARSIFY: partial(_sparsify, weights, total_variance),
        DICTIONARY_LEARNING: partial(_dictionary_learning, weights),
        SAE_LENS: partial(_sae_lens, weights),
        **{name: partial(_flex, name, weights) for name in FLEX},
    }
    return [peer for name in names if find_spec(name) for peer in makers[name]()]


def _sparsify(weights: Weights, total_variance: Tensor | None) -> Iterator[Peer]:
    """Make a module of sparsify around our tensors, without copies."""
    device = weights.W_enc.device
    if device.type == "cpu":
        # Set before the import: else, if Triton is installed, it calls kernels that need a GPU.
        os.environ.setdefault("SPARSIFY_DISABLE_TRITON", "1")
    library = import_module(SPARSIFY)
    config = library.SparseCoderConfig(num_latents=len(weights.W_enc), k=weights.k)
    with torch.device(device):
        coder = library.SparseCoder(
            weights.W_enc.shape[1], config, device=device, dtype=weights.W_enc.dtype
        )
    coder.encoder.weight.data, coder.encoder.bias.data = weights.W_enc, weights.b_enc
    coder.W_dec.data, coder.b_dec.data = weights.W_dec, weights.b_dec
    own = dict(
        zip(
            GRADIENTS,
            (coder.encoder.weight, coder.encoder.bias, coder.W_dec, coder.b_dec),
            strict=True,
        )
    )
    options = {} if total_variance is None else {"total_variance": total_variance}
    yield Peer(
        SPARSIFY,
        "fvu",
        step=lambda x: _backward(lambda: coder(x, **options).fvu, own),
        encode=lambda x: coder.encode(x)[:2],
        decode=coder.decode,
    )


def _dictionary_learning(weights: Weights) -> Iterator[Peer]:
    library = import_module(f"{DICTIONARY_LEARNING}.trainers.top_k")
    trainer = library.TopKTrainer(
        steps=2,
        activation_dim=weights.W_enc.shape[1],
        dict_size=len(weights.W_enc),
        k=weights.k,
        layer=0,
        lm_name="",
        warmup_steps=1,
        device="cpu",
    )
    state = {
        "encoder.weight": weights.W_enc,
        "encoder.bias": weights.b_enc,
        "decoder.weight": weights.W_dec.T,
        "b_dec": weights.b_dec,
    }
    coder = trainer.ae
    coder.load_state_dict(state, strict=False)  # k and threshold keep their values
    parameters = coder.encoder.weight, coder.encoder.bias, coder.decoder.weight, coder.b_dec
    own, loss = dict(zip(GRADIENTS, parameters, strict=True)), trainer.loss
    yield Peer(
        DICTIONARY_LEARNING,
        "per token",
        step=lambda x: _backward(lambda: loss(x, step=1), own, transposed=("W_dec",)),
        encode=lambda x: coder.encode(x, return_topk=True)[1:3],
    )


def _sae_lens(weights: Weights) -> Iterator[Peer]:
    """Make both kinds of its TopK SAE; they return codes (N, L) and no indices."""
    # For a decoder of unit rows both compute the same function; rescaling is the default.
    for name, rescale in (("SAELens", True), ("SAELens, no rescaling", False)):
        yield Peer(name, "per token", step=_sae_lens_step(weights, rescale))


def _sae_lens_step(weights: Weights, rescale: bool) -> Callable[[Tensor], Mapping[str, Tensor]]:
    library = import_module(SAE_LENS)
    step_input = import_module(f"{SAE_LENS}.saes.sae").TrainStepInput
    config = library.TopKTrainingSAEConfig(
        d_in=weights.W_enc.shape[1],
        d_sae=len(weights.W_enc),
        k=weights.k,
        rescale_acts_by_decoder_norm=rescale,
    )
    coder = library.TopKTrainingSAE(config)
    coder.load_state_dict(
        {
            "W_enc": weights.W_enc.T,
            "b_enc": weights.b_enc,
            "W_dec": weights.W_dec,
            "b_dec": weights.b_dec,
        }
    )
    parameters = coder.W_enc, coder.b_enc, coder.W_dec, coder.b_dec
    own = dict(zip(GRADIENTS, parameters, strict=True))

    def loss(x: Tensor) -> Tensor:
        batch = step_input(
            sae_in=x,
            coefficients={},
            dead_neuron_mask=None,
            n_training_steps=0,
            is_logging_step=False,
        )
        result: Tensor = coder.training_forward_pass(step_input=batch).loss
        return result

    return lambda x: _backward(lambda: loss(x), own, transposed=("encoder_weight",))


def _flex(name: str, weights: Weights) -> Iterator[Peer]:
    """Let torch encode for the loss; this encoder does not subtract b_dec."""
    loss_of = getattr(import_module(name), FLEX_LOSS)
    leaves = (weights.W_enc, weights.b_enc, weights.W_dec, weights.b_dec)
    parameters = [tensor.detach().requires_grad_() for tensor in leaves]
    W_enc, b_enc, W_dec, b_dec = parameters
    own = dict(zip(GRADIENTS, parameters, strict=True))

    def loss(x: Tensor) -> Tensor:
        scores = functional.linear(x, W_enc, b_enc).topk(weights.k)
        result: Tensor = loss_of(scores.indices, W_dec, scores.values.relu(), b_dec, x)
        return result

    yield Peer(
        f"cuBLAS + torch.topk + {name}",
        "of unknown scale",
        step=lambda x: _backward(lambda: loss(x), own),
    )


def _backward(
    loss_of: Callable[[], Tensor],
    parameters: Mapping[str, Any],
    transposed: Sequence[str] = (),
) -> dict[str, Tensor]:
    """Run both passes, and remove the gradients from the parameters so that none adds up.

    Those that are named in ``transposed`` belong to parameters that the peer holds transposed.
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
        results[name] = gradient.T if name in transposed else gradient
    return results
