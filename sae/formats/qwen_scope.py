"""Qwen-Scope (https://huggingface.co/Qwen), ``layer<N>.sae.pt`` with one ``config.json`` for all.

W_enc is (L, D) and W_dec (D, L). The k largest scores of x W_enc^T + b_enc count where they are
positive, as SAELens has it; the encoder reads x itself.
"""

import re

from .orientation import Names, sizes_in
from .source import Source
from .stored import StoredSAE, build

_K = re.compile(r"-L0_(\d+)(?:\W|$)")


def names_of(source: Source) -> Names:
    """Return what the tensors are called."""
    num_latents, d_in = sizes_in(source.sidecar, "d_sae", "d_model")
    return Names("W_enc", "W_dec", ("b_enc",), ("b_dec",), num_latents=num_latents, d_in=d_in)


def load(source: Source) -> StoredSAE:
    """Return the SAE.

    Raises:
        ValueError: a tensor is missing; or neither config.json nor the repository's name says k.
    """
    names = names_of(source)
    named = _K.search(str(source.file))
    k = source.setting("k", int, int(named[1]) if named else None)
    return build(
        source.file,
        encoder=source.matrix(names, "encoder"),
        decoder=source.matrix(names, "decoder"),
        encoder_bias=source.tensor("b_enc"),
        b_dec=source.tensor("b_dec"),
        k=k,
        transcode=True,
    )
