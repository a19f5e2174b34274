"""Transcoders as circuit-tracer reads them (https://github.com/decoderesearch/circuit-tracer).

``layer_<i>.safetensors`` with W_enc (L, D) and W_dec (L, d_out). The encoder reads x itself. With
thresholds, scores above them count; with k, the k largest; else all that are positive. Of
cross-layer transcoders, ``W_enc_<i>`` and ``W_dec_<i>``, one layer can be matched.
"""

import re
from typing import Any

from .orientation import Names
from .source import Source
from .stored import StoredSAE, build

THRESHOLD = "activation_function.threshold"
_LAYER = re.compile(r"W_(enc|dec)_(\d+)")
# circuit-tracer's code, not the files, says how many latents of these are active.
_K_OF = {"crv-8b-instruct-transcoders": 128}


def is_of_several_layers(source: Source) -> bool:
    """Whether the tensors are those of one layer of a cross-layer transcoder."""
    return any(_LAYER.fullmatch(name) for name in source.shapes)


def names_of(source: Source) -> Names:
    """Return what the tensors are called."""
    found = [match for match in map(_LAYER.fullmatch, source.shapes) if match]
    if not found:
        return Names("W_enc", "W_dec", ("b_enc", THRESHOLD), ("b_dec",))
    layer = found[0][2]
    return Names(
        f"W_enc_{layer}" if f"W_enc_{layer}" in source.shapes else None,
        f"W_dec_{layer}" if f"W_dec_{layer}" in source.shapes else None,
        (f"b_enc_{layer}", f"threshold_{layer}"),
        layout="LD/LD",
        family="names of circuit-tracer's cross-layer transcoders",
    )


def load(source: Source) -> StoredSAE:
    """Return the transcoder.

    Raises:
        ValueError: a tensor is missing, it is of several layers, or a threshold is negative.
    """
    if is_of_several_layers(source) or source.layer is not None:
        raise source.refused("the codes of several layers' latents together")
    names, threshold = names_of(source), source.optional(THRESHOLD)
    if threshold is not None and bool((threshold < 0).any()):
        raise source.refused("a negative threshold, below which scores would count")
    k = source.number("k") if "k" in source.contents else _k_of(source)
    activation = "jumprelu" if threshold is not None else "raw_topk" if k else "relu"
    fields: dict[str, Any] = {"k": k} if k else {}
    return build(
        source.file,
        encoder=source.matrix(names, "encoder"),
        decoder=source.matrix(names, "decoder"),
        encoder_bias=source.tensor("b_enc"),
        b_dec=source.tensor("b_dec"),
        threshold=threshold,
        W_skip=source.optional("W_skip"),
        transcode=True,
        activation=activation,
        **fields,
    )


def _k_of(source: Source) -> int:
    written = str(source.sidecar.get("k", ""))
    if written.isdecimal():
        return int(written)
    return next((k for name, k in _K_OF.items() if name in str(source.file)), 0)
