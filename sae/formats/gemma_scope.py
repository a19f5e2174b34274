"""Gemma Scope 1 and 2 (https://huggingface.co/google/gemma-scope): SAEs and transcoders.

The encoder reads x itself; a score counts where it exceeds the latent's threshold; nothing is
normalised. Gemma Scope 1 is ``params.npz`` without a sidecar, Gemma Scope 2 ``params.safetensors``
with ``config.json``. Of crosscoders and cross-layer transcoders, ``params_layer_<i>.safetensors``,
one layer can be matched; their codes need all layers.
"""

import math

from .orientation import Names
from .source import Source
from .stored import StoredSAE, build

FIRST = Names(encoder="W_enc", decoder="W_dec", latents=("b_enc", "threshold"), outputs=("b_dec",))
SECOND = FIRST._replace(encoder="w_enc", decoder="w_dec")


def names_of(source: Source) -> Names:
    """Return what the tensors are called."""
    names = FIRST if "W_enc" in source.shapes else SECOND
    if source.file.name == "params.npz":
        names = names._replace(layout="DL/LD", family="params.npz, as Gemma Scope names it")
    if len(source.shapes.get("b_dec", ())) != 1:  # of each layer
        names = names._replace(outputs=())
    return names


def load(source: Source) -> StoredSAE:
    """Return the SAE or transcoder.

    Raises:
        ValueError: a tensor is missing, or it is of several layers.
    """
    names = names_of(source)
    if source.layer is not None or "crosscoder" in _kind(source) or "clt" in _kind(source):
        raise source.refused("the codes of several layers' latents together")
    architecture = source.sidecar.get("architecture", "jump_relu")
    if architecture != "jump_relu":
        raise source.refused(f"architecture = {architecture!r}")
    encoder, decoder = source.matrix(names, "encoder"), source.matrix(names, "decoder")
    if "embedding" in source.file.parts and names.encoder == FIRST.encoder:
        # Gemma multiplies its embeddings by sqrt(D); these SAEs were trained on the products.
        root = math.sqrt(encoder.shape[1])
        encoder, decoder = encoder / root, decoder * root
    affine = source.optional("affine_skip_connection")  # (D, d_out), used as x A
    return build(
        source.file,
        encoder=encoder,
        decoder=decoder,
        encoder_bias=source.tensor("b_enc"),
        b_dec=source.tensor("b_dec"),
        threshold=source.tensor("threshold"),
        W_skip=None if affine is None else affine.T,
        activation="jumprelu",
        transcode=True,
        left=tuple(f"{n} = {source.sidecar[n]}" for n in _NOTES if n in source.sidecar),
    )


_NOTES = ("model_name", "hf_hook_point_in", "hf_hook_point_out", "l0")


def _kind(source: Source) -> str:
    return str(source.sidecar.get("type", "sae"))
