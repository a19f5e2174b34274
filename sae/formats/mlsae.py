"""Multi-layer SAEs (https://github.com/tim-lawson/mlsae): ``model.safetensors``, ``config.json``.

TopK without an encoder bias; the encoder reads the standardised token less ``pre_encoder_bias``.
"""

from .orientation import Names, sizes_in
from .source import Source
from .stored import StoredSAE, build

NAMES = Names("encoder.weight", "decoder.weight", (), ("pre_encoder_bias",), linear=True)


def names_of(source: Source) -> Names:
    """Return what the tensors are called."""
    num_latents, d_in = sizes_in(source.sidecar, "n_latents", "n_inputs")
    return NAMES._replace(num_latents=num_latents, d_in=d_in)


def load(source: Source) -> StoredSAE:
    """Return the SAE.

    Raises:
        ValueError: a tensor or k is missing, or each layer has a transform of its own.
    """
    if any(name.startswith("encoder_lens") for name in source.shapes):
        raise source.refused("a transform of each layer (lens)")
    names = names_of(source)
    standardize = source.setting("standardize", bool, True)
    return build(
        source.file,
        encoder=source.matrix(names, "encoder"),
        decoder=source.matrix(names, "decoder"),
        encoder_bias=None,
        b_dec=source.tensor("pre_encoder_bias"),
        k=source.setting("k", int),
        normalization="layer_norm" if standardize else "none",
        left=("tensor last_nonzero",) if "last_nonzero" in source.contents else (),
    )
