"""OpenSAE (https://github.com/THU-KEG/OpenSAE).

``model.safetensors``, perhaps in shards, and ``config.json``. ReLU, then TopK; tokens are
standardised, and the reconstruction stays so.
"""

from .orientation import Names, sizes_in
from .source import Source
from .stored import StoredSAE, build


def names_of(source: Source) -> Names:
    """Return what the tensors are called."""
    num_latents, d_in = sizes_in(source.sidecar, "feature_size", "hidden_size")
    return Names(
        "encoder.weight",
        "W_dec",
        ("encoder.bias",),
        ("b_dec",),
        num_latents=num_latents,
        d_in=d_in,
        layout="LD/LD",
        family="config.json of OpenSAE",
    )


def load(source: Source) -> StoredSAE:
    """Return the SAE.

    Raises:
        ValueError: a tensor or k is missing, or a setting is not supported.
    """
    names = names_of(source)
    activation = source.setting("activation", str, "topk").lower()
    if activation != "topk":
        raise source.refused(f"activation = {activation!r}")
    normalization = "none"
    if source.setting("input_normalize", bool, True):
        back = source.setting("normalize_shift_back", bool, False)
        normalization = "layer_norm" if back else "standardize"
    return build(
        source.file,
        encoder=source.matrix(names, "encoder"),
        decoder=source.matrix(names, "decoder"),
        encoder_bias=source.tensor("encoder.bias"),
        b_dec=source.tensor("b_dec"),
        k=source.setting("k", int),
        normalization=normalization,
    )
