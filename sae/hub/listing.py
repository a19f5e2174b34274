"""Which SAEs a repository of the Hub has, from metadata alone: no weights are downloaded."""

import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from ...common.progress import silent
from ..formats.layouts import sae_files, sae_places
from ..formats.orientation import Sizes, sizes_in
from ..formats.registry import find_family
from ..formats.source import Metadata
from .client import HubOptions, Snapshot, download, read_snapshot, tensor_shapes
from .names import HubName

_LARGEST_SIDECAR = 2**20  # bytes
# Latents and width, as the sidecars of public SAEs name them.
_SIZES = (
    ("d_sae", "d_in"),
    ("d_sae", "d_model"),
    ("num_latents", "d_in"),
    ("dict_size", "activation_dim"),
    ("feature_size", "hidden_size"),
    ("n_latents", "n_inputs"),
)


class ListedSAE(NamedTuple):
    """One SAE of a repository; None for what its metadata do not tell."""

    path: str
    size: int
    """Bytes of its files."""
    family: str | None
    num_latents: int | None
    d_in: int | None
    dtype: str | None


def list_saes(name: HubName, options: HubOptions) -> Iterator[ListedSAE]:
    """Yield the SAEs of a repository at or below a place, by path.

    What is known comes from small sidecars and from the headers of .safetensors files, of which a
    few kilobytes are read.

    Raises:
        FileNotFoundError: there is no such repository or no SAE in it.
        ImportError, OSError: as for `find_remote`.
    """
    snapshot = read_snapshot(name.repo, name.revision, options)
    places = sae_places(snapshot.files, name.path)
    if not places:
        raise FileNotFoundError(f"{name.repo} has no SAE at or below {name.path or 'its root'!r}")
    for place in places:
        found = sae_files(snapshot.files, place)
        if found is not None:
            size = sum(snapshot.files[file].size for file in found.files)
            facts = described(name.repo, snapshot, found.files, options)
            yield ListedSAE(place, size, *facts)


class Described(NamedTuple):
    """What metadata tell of an SAE."""

    family: str | None
    num_latents: int | None
    d_in: int | None
    dtype: str | None


def described(repo: str, snapshot: Snapshot, files: list[str], options: HubOptions) -> Described:
    """Return what metadata tell of the SAE that has these files."""
    sidecar = _sidecar(repo, snapshot, files, options)
    weights = [file for file in files if file.endswith(".safetensors")]
    if len(weights) != 1 or options.offline:
        return Described(None, *_sizes(sidecar), None)
    tensors = tensor_shapes(repo, snapshot.commit, weights[0], options)
    metadata = Metadata(weights[0], {n: shape for n, (_, shape) in tensors.items()}, sidecar)
    try:
        family = find_family(metadata)
        matrix, num_latents, d_in = metadata.measure(family.names_of(metadata))
    except ValueError:
        return Described(None, *_sizes(sidecar), None)
    return Described(family.name, num_latents, d_in, tensors[matrix][0])


def _sidecar(
    repo: str, snapshot: Snapshot, files: list[str], options: HubOptions
) -> dict[str, Any]:
    for file in files:
        small = snapshot.files[file].size <= _LARGEST_SIDECAR
        if PurePosixPath(file).suffix == ".json" and small:
            folder = download(repo, snapshot, [file], options, silent)
            try:
                content = json.loads((folder / file).read_text(encoding="utf-8"))
            except ValueError:
                continue
            if isinstance(content, dict):
                return content
    return {}


def _sizes(sidecar: dict[str, Any]) -> Sizes:
    trainer = sidecar.get("trainer")
    for settings in (sidecar, trainer if isinstance(trainer, dict) else {}):
        for names in _SIZES:
            found = sizes_in(settings, *names)
            if None not in found:
                return found
    return None, None
