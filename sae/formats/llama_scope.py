"""Llama Scope 1, R1 and 2 (https://github.com/OpenMOSS/Llamascopium).

Its SAEs were trained on activations scaled to the norm sqrt(D) on average. As the authors do
before they use one, everything is folded, so that it reads raw activations: first the scales, then
(with ``sparsity_include_decoder_norm``) the decoder's norms, which move into the encoder. In Llama
Scope 2, scores are multiplied by these norms only to decide which are active. The threshold applies
to the scores after that; it is one number, or its logarithm is stored for each latent.

SAELens leaves the norms out, so its codes of Llama Scope 1 differ:
https://github.com/OpenMOSS/Llamascopium/issues/128.
"""

import math
from typing import Any

import torch
from torch import Tensor

from .orientation import Names
from .source import Source
from .stored import StoredSAE, build

LINEAR = Names(
    "encoder.weight",
    "decoder.weight",
    ("encoder.bias", "log_jumprelu_threshold"),
    ("decoder.bias",),
    linear=True,
)
SECOND = Names("W_E", "W_D", ("b_E", "activation_function.log_jumprelu_threshold"), ("b_D",))
_NORM = "dataset_average_activation_norm"


def names_of(source: Source) -> Names:
    """Return what the tensors are called."""
    return SECOND if "W_E" in source.shapes else LINEAR


def load(source: Source) -> StoredSAE:
    """Return the SAE or transcoder, in float32.

    Raises:
        ValueError: a tensor is missing, or a setting is not supported.
    """
    names, sidecar = names_of(source), source.sidecar
    for setting, allowed in (
        ("apply_decoder_bias_to_pre_encoder", (False,)),
        ("norm_activation", ("dataset-wise", "inference")),
    ):
        if sidecar.get(setting, allowed[0]) not in allowed:
            raise source.refused(f"{setting} = {sidecar[setting]!r}")
    if "W_E_glu" in source.shapes:
        raise source.refused("a gated linear encoder (W_E_glu)")
    encoder, decoder = (source.matrix(names, side).float() for side in ("encoder", "decoder"))
    bias = source.tensor(names.latents[0]).float()
    b_dec = source.tensor(names.outputs[0]).float()
    scale_in, scale_out = _scales(source, encoder.shape[1], decoder.shape[1])
    # relu(W (s x) + b) is s times relu(W x + b / s), and its threshold stays that of the latter.
    bias, decoder, b_dec = bias / scale_in, decoder * (scale_in / scale_out), b_dec / scale_out
    activation = source.setting("act_fn", str, "jumprelu").lower()
    if activation not in ("jumprelu", "topk", "relu"):
        raise source.refused(f"act_fn = {activation!r}")
    fields: dict[str, Any] = {"k": source.setting("top_k", int)} if activation == "topk" else {}
    threshold = _threshold(source) if activation == "jumprelu" else None
    if source.setting("sparsity_include_decoder_norm", bool, True):
        norms = torch.linalg.vector_norm(decoder, dim=1)  # (L,)
        norms = norms.where(norms > 0, 1)
        if names is LINEAR:
            encoder, bias, decoder = (
                encoder * norms[:, None],
                bias * norms,
                decoder / norms[:, None],
            )
        elif threshold is not None:
            threshold = threshold / norms
        elif activation == "topk":
            activation = "normed_topk"
    return build(
        source.file,
        encoder=encoder,
        decoder=decoder,
        encoder_bias=bias,
        b_dec=b_dec,
        threshold=threshold,
        activation=activation,
        transcode=True,
        **fields,
    )


def _scales(source: Source, d_in: int, d_out: int) -> tuple[float, float]:
    """Return what activations are multiplied by: the input's, and the output's."""
    norms = source.sidecar.get(_NORM)
    if norms is None:
        hooks = ("hook_point_in", "hook_point_out")
        names = [f"{_NORM}.{source.sidecar.get(hook)}" for hook in hooks]
        names[1] = names[1] if names[1] in source.contents else names[0]
        if names[0] not in source.contents:
            if source.sidecar.get("norm_activation") == "inference":
                return 1.0, 1.0  # folded already
            raise ValueError(f"{source.file} has no {_NORM}: how activations are scaled is unknown")
        found = [float(source.tensor(name).float().mean()) for name in names]
    else:
        try:
            found = [float(norms["in"]), float(norms.get("out", norms["in"]))]
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise ValueError(
                f"{source.sidecar_file}: {_NORM!r} must be {{in, out}}, not {norms!r}"
            ) from error
    if not all(0 < norm < math.inf for norm in found):
        raise ValueError(f"{source.sidecar_file}: {_NORM!r} must be positive, not {found}")
    return math.sqrt(d_in) / found[0], math.sqrt(d_out) / found[1]


def _threshold(source: Source) -> Tensor:
    for name in ("log_jumprelu_threshold", "activation_function.log_jumprelu_threshold"):
        if name in source.contents:
            return source.tensor(name).float().exp()
    return torch.tensor(float(source.setting("jump_relu_threshold", float)))
