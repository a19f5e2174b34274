"""Bare arrays in one file, by our names or the usual ones: .safetensors, .npz or .pt."""

from pathlib import Path
from typing import Any

import torch

from .npz import save_npz
from .orientation import Names
from .paths import ARRAY_SUFFIXES
from .pt import save_pt
from .source import Source
from .stored import StoredSAE, build, refuse
from .tensors import save_tensors


def names_of(source: Source) -> Names:
    """Return what the arrays are called."""
    shapes = source.shapes
    encoder = next((name for name in ("encoder.weight", "W_enc") if name in shapes), None)
    decoder = next((name for name in ("W_dec", "decoder.weight") if name in shapes), None)
    # A file of ours has sparsify's names: its encoder is a linear layer, its decoder is not.
    ours = encoder == "encoder.weight" and decoder != "decoder.weight"
    return Names(
        encoder=encoder,
        decoder=decoder,
        latents=("encoder.bias", "b_enc", "threshold"),
        outputs=("b_dec",),
        linear=decoder == "decoder.weight" and encoder != "W_enc",
        layout="LD/LD" if ours and decoder else None,
        family="encoder.weight beside W_dec, as sparsify names them",
    )


def load(source: Source) -> StoredSAE:
    """Return the SAE: with ``k``, a number, a TopK one; with ``threshold`` (L,) a JumpReLU one.

    Missing biases are 0. With ``W_enc`` and a threshold the encoder reads x, as all public SAEs of
    these names do; else it reads x - b_dec.

    Raises:
        ValueError: a matrix is missing, or there is neither ``k`` nor ``threshold``.
    """
    names, contents = names_of(source), source.contents
    fields: dict[str, Any] = {}
    if "k" in contents:
        fields["k"] = source.number("k")
        if names.encoder == "W_enc" and "b_dec" in contents:
            fields["assumed"] = ("the encoder is assumed to read x - b_dec",)
    elif "threshold" in contents:
        fields["activation"] = "jumprelu"
        fields["threshold"] = source.tensor("threshold")
        fields["transcode"] = names.encoder == "W_enc"
    else:
        raise ValueError(
            f"{source.file} has neither 'k' nor 'threshold': what is active is not known"
        )
    return build(
        source.file,
        encoder=source.matrix(names, "encoder"),
        decoder=source.matrix(names, "decoder"),
        encoder_bias=source.optional("encoder.bias", "b_enc"),
        b_dec=source.optional("b_dec"),
        W_skip=source.optional("W_skip"),
        **fields,
    )


def save(sae: StoredSAE, file: Path) -> None:
    """Write the parameters, and k, by our names.

    Raises:
        ValueError: the file's ending is not one of `ARRAY_SUFFIXES`, or its arrays could not tell
            what the SAE computes; the message names the setting.
        OSError: the write failed.
    """
    refuse(
        sae.config,
        "bare arrays",
        activation=("topk", "jumprelu"),
        transcode=(False,),
        normalization=("none",),
    )
    tensors = dict(sae.tensors)
    if sae.config.activation == "topk":
        tensors["k"] = torch.tensor(sae.config.k)
    if file.suffix not in ARRAY_SUFFIXES:
        raise ValueError(f"{file}: expected a file ending in one of {', '.join(ARRAY_SUFFIXES)}")
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".safetensors":
        save_tensors(file, tensors)
    elif file.suffix == ".pt":
        save_pt(file, tensors)
    else:
        save_npz(file, tensors)
