"""Attention SAEs of GPT-2 small (https://huggingface.co/ckkissane).

``<name>.pt`` and ``<name>_cfg.json``: ReLU; the encoder reads x - b_dec; x is all heads, joined.
"""

from .orientation import Names, sizes_in
from .source import Source
from .stored import StoredSAE, build


def names_of(source: Source) -> Names:
    """Return what the tensors are called."""
    num_latents, d_in = sizes_in(source.sidecar, "dict_size", "act_size")
    return Names("W_enc", "W_dec", ("b_enc",), ("b_dec",), num_latents=num_latents, d_in=d_in)


def load(source: Source) -> StoredSAE:
    """Return the SAE.

    Raises:
        ValueError: a tensor is missing.
    """
    names = names_of(source)
    return build(
        source.file,
        encoder=source.matrix(names, "encoder"),
        decoder=source.matrix(names, "decoder"),
        encoder_bias=source.tensor("b_enc"),
        b_dec=source.tensor("b_dec"),
        activation="relu",
    )
