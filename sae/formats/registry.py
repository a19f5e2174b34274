"""Every layout by its name: which one a path is in, and loading and saving by it."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from . import (
    arrays,
    circuit_tracer,
    ckkissane,
    dictionary_learning,
    gemma_scope,
    goodfire,
    llama_scope,
    mlsae,
    native,
    openai,
    opensae,
    qwen_scope,
    saelens,
    sparsify,
    temporal,
)
from .layouts import DICTIONARY_LEARNING, SAELENS, SPARSIFY
from .orientation import Names, Orientation
from .paths import FormatName
from .source import Source
from .stored import StoredSAE


class Family(NamedTuple):
    """How the SAEs of one owner are recognised and read."""

    name: str
    matches: Callable[[Source], bool]
    """Whether the files are of this family, by the names of files and tensors alone."""
    names_of: Callable[[Source], Names]
    """What the tensors are called, and what tells their orientation."""
    load: Callable[[Source], StoredSAE]


def _has(source: Source, *names: str) -> bool:
    return all(name in source.shapes for name in names)


def _is_pt(source: Source) -> bool:
    return source.file.suffix in (".pt", ".pth")


def _is_qwen(source: Source) -> bool:
    return _is_pt(source) and _has(source, "W_enc", "W_dec", "b_enc", "b_dec") and not any(
        name in source.contents for name in ("threshold", "k", "group_sizes")
    )  # fmt: skip


def _is_circuit_tracer(source: Source) -> bool:
    if source.file.suffix != ".safetensors":
        return False
    named = re.fullmatch(r"layer_\d+", source.file.stem) is not None
    one_layer = named and _has(source, "W_enc", "W_dec", "b_enc", "b_dec")
    return one_layer or circuit_tracer.is_of_several_layers(source)


# The first that matches is taken.
FAMILIES: tuple[Family, ...] = (
    Family(
        "sparsify",
        lambda s: s.file.name == SPARSIFY,
        sparsify.names_of,
        sparsify.load,
    ),
    Family(
        "saelens",
        lambda s: s.file.name == SAELENS and _has(s, "W_dec"),
        saelens.names_of,
        saelens.load,
    ),
    Family(
        "llama_scope",
        lambda s: (
            (s.file.name == SAELENS and (_has(s, "W_E") or _has(s, "encoder.weight")))
            or (s.file.name == "final.safetensors" and _has(s, "encoder.weight"))
        ),
        llama_scope.names_of,
        llama_scope.load,
    ),
    Family(
        "gemma_scope",
        lambda s: (
            _has(s, "w_enc", "w_dec")
            or (
                s.file.suffix == ".npz" and _has(s, "W_enc", "W_dec", "b_enc", "b_dec", "threshold")
            )
        ),
        gemma_scope.names_of,
        gemma_scope.load,
    ),
    Family(
        "temporal",
        lambda s: s.file.name == "latest_ckpt.safetensors" and _has(s, "D"),
        temporal.names_of,
        temporal.load,
    ),
    Family("openai", lambda s: _has(s, "pre_bias"), openai.names_of, openai.load),
    Family("mlsae", lambda s: _has(s, "pre_encoder_bias"), mlsae.names_of, mlsae.load),
    Family(
        "opensae",
        lambda s: "input_normalize" in s.sidecar and _has(s, "encoder.weight", "W_dec"),
        opensae.names_of,
        opensae.load,
    ),
    Family(
        "goodfire", lambda s: _has(s, "encoder_linear.weight"), goodfire.names_of, goodfire.load
    ),
    Family(
        "ckkissane",
        lambda s: _is_qwen(s) and "act_size" in s.sidecar,
        ckkissane.names_of,
        ckkissane.load,
    ),
    Family(
        "qwen_scope",
        lambda s: _is_qwen(s) and s.file.name != DICTIONARY_LEARNING,
        qwen_scope.names_of,
        qwen_scope.load,
    ),
    Family("circuit_tracer", _is_circuit_tracer, circuit_tracer.names_of, circuit_tracer.load),
    Family(
        "dictionary_learning",
        lambda s: (
            s.file.name == DICTIONARY_LEARNING
            or (_is_pt(s) and not (_has(s, "encoder.weight") and _has(s, "W_dec")))
        ),
        dictionary_learning.names_of,
        dictionary_learning.load,
    ),
    Family("arrays", lambda _: True, arrays.names_of, arrays.load),
)


class Format(NamedTuple):
    """How one format is written."""

    save: Callable[[StoredSAE, Path], None]
    suffix: str
    """Of its files; "" where an SAE is a folder."""


FORMATS: dict[FormatName, Format] = {
    "native": Format(native.save, ""),
    "sparsify": Format(sparsify.save, ""),
    "saelens": Format(saelens.save, ""),
    "dictionary_learning": Format(dictionary_learning.save, ""),
    "openai": Format(openai.save, ".pt"),
    "arrays": Format(arrays.save, ".safetensors"),
}


def load(
    path: Path,
    *,
    overrides: Mapping[str, Any] | None = None,
    scaling: float | None = None,
    orientation: Orientation | None = None,
) -> StoredSAE:
    """Return what a folder or file of any layout holds, as `load_sae` explains.

    Args:
        path: the folder or file.
        overrides: settings in place of the sidecar's, from SAELens' registry.
        scaling: by what activations are multiplied first, from there too.
        orientation: as for `load_dictionary`.

    Raises:
        FileNotFoundError, ValueError: as for `load_sae`.
    """
    source = Source(path, overrides, scaling, orientation)
    if source.file.suffix == ".npy":
        raise ValueError(f"{source.file} holds one array, but an SAE has several")
    return find_family(source).load(source)


def find_family(source: Source) -> Family:
    """Return the family of an SAE's files.

    Raises:
        ValueError: the file is corrupt.
    """
    return next(family for family in FAMILIES if family.matches(source))
