"""SAEs of Goodfire (https://huggingface.co/Goodfire): two linear layers, with ReLU or TopK.

Their names are ``encoder_linear`` and ``decoder_linear``. The encoder reads x
itself. Files without a decoder bias are TopK, with k in their name, such as ``..._k32.pt``.
"""

import re
from typing import Any

from .orientation import Names
from .source import Source
from .stored import StoredSAE, build


def names_of(source: Source) -> Names:
    """Return what the tensors are called."""
    names = ("decoder_linear.weight", "decoder.weight")
    return Names(
        "encoder_linear.weight",
        next((name for name in names if name in source.shapes), names[0]),
        ("encoder_linear.bias",),
        ("decoder_linear.bias", "decoder.bias"),
        linear=True,
    )


def load(source: Source) -> StoredSAE:
    """Return the SAE.

    Raises:
        ValueError: a tensor is missing, or what is active is not known.
    """
    names = names_of(source)
    bias = source.optional(*names.outputs)
    fields: dict[str, Any] = {"activation": "relu"}
    if bias is None:
        k = re.search(r"_k(\d+)(?:\W|$)", source.file.name)
        if k is None:
            raise ValueError(
                f"{source.file} has no decoder bias and no k: what is active is unknown"
            )
        fields = {"activation": "topk", "k": int(k[1])}
    return build(
        source.file,
        encoder=source.matrix(names, "encoder"),
        decoder=source.matrix(names, "decoder"),
        encoder_bias=source.optional("encoder_linear.bias"),
        b_dec=bias,
        transcode=True,
        **fields,
    )
