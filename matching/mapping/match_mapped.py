"""`match_mapped`: two SAEs of different models or layers, matched in the second's space."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...common.files import StrPath, atomic_write, sha256
from ...common.progress import Progress
from ...sae import SAE, SAEConfig, save_sae
from ...sae.activations import open_activations
from ...sae.formats.dictionary import load_dictionary
from ...sae.formats.orientation import Orientation
from ...sae.formats.paths import weight_file
from ...sae.hub import locate
from ..match_files import SIDES, match_files
from ..rows import StoredRows
from .learn import Kind, LinearMap, learn_map

MAP = "map.json"
MAP_ARRAYS = "map.npz"
MAPPED = "mapped"


def match_mapped(
    a: StrPath,
    b: StrPath,
    out: StrPath,
    *,
    stores: Sequence[StrPath],
    kind: Kind = "procrustes",
    sides: Sequence[str] = SIDES,
    memory_limit: int | None = None,
    verify: bool = False,
    orientation: Orientation | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Learn a map from A's activations to B's, and match A's mapped latents with B's.

    ``out`` becomes a match folder as `match_files` writes it, with A as it was mapped in
    ``out/mapped``, the map in ``out/map.npz`` (``matrix`` (D_A, D_B) and ``constant`` (D_B,)
    float64), and in ``out/map.json`` what `LinearMap` says of it. Rows of the decoder are mapped by
    M, those of the encoder by its inverse transpose.

    Args:
        a: an SAE, as `match_files` takes it.
        b: the other, of the same or another width.
        out: the folder to write to; made if missing.
        stores: the activations that A reads, and those that B reads, of the same tokens: two
            folders or files, as `open_activations` takes them.
        kind: "procrustes" or "affine": see `learn`.
        sides: as for `match_files`.
        memory_limit: as for `match_files`.
        verify: as for `match_files`.
        orientation: as for `match_files`.
        progress: told of the phase "map", then as by `match_files`.

    Returns:
        The summary of the match, with ``map``: what ``map.json`` holds.

    Raises:
        FileNotFoundError, TypeError, OSError: as for `match_files`.
        ValueError: there are not two stores, they are of different tokens, or an SAE is not of its
            store's width; or as for `match_files`.
    """
    if len(stores) != 2:
        raise ValueError(f"stores: expected one of A's and one of B's, got {len(stores)}")
    found = [open_activations(store) for store in stores]
    learned = learn_map(found[0], found[1], kind, progress=progress)
    mapped = Path(out) / MAPPED
    path = locate(a).path
    save_sae(_mapped(path, learned, sides, orientation), mapped)
    summary = match_files(
        mapped, b, sides, out, memory_limit=memory_limit, verify=verify, orientation=orientation,
        progress=progress,
    )  # fmt: skip
    facts = {
        "kind": kind,
        "of": {"path": str(path.resolve()), "sha256": sha256(weight_file(path))},
        "stores": {
            letter: {"path": str(store.path.resolve()), "sha256": store.fingerprint}
            for letter, store in zip("ab", found, strict=True)
        },
        "tokens": learned.tokens,
        "rank": learned.rank,
        "condition": learned.condition,
        "explained_before": learned.explained_before,
        "explained": learned.explained,
    }
    with atomic_write(Path(out) / MAP_ARRAYS) as temporary, temporary.open("wb") as file:
        np.savez(file, matrix=learned.matrix, constant=learned.constant)
    with atomic_write(Path(out) / MAP) as temporary:
        temporary.write_text(json.dumps(facts, indent=1) + "\n")
    return {**summary, "map": facts}


def _mapped(
    path: Path, learned: LinearMap, sides: Sequence[str], orientation: Orientation | None
) -> SAE:
    """Return an SAE that has the mapped rows of the sides, and zeros elsewhere."""
    maps = {"decoder": learned.decoder, "encoder": learned.encoder}
    rows: dict[str, Tensor] = {}
    for side in SIDES:
        if side in sides:
            stored = StoredRows(load_dictionary(path, side, orientation=orientation), str(path))
            if stored.d_in != len(learned.matrix):
                raise ValueError(
                    f"{path}: the {side} has width {stored.d_in:,}, but its activations have "
                    f"{len(learned.matrix):,}"
                )
            rows[side] = torch.empty((stored.num_latents, learned.matrix.shape[1]))
            for block in stored.blocks():
                rows[side][block] = torch.from_numpy(maps[side](stored.read(block)))
    shape = next(iter(rows.values())).shape
    sae = SAE(SAEConfig(d_in=shape[1], num_latents=shape[0], k=1))
    zeros = torch.zeros(shape)
    sae.W_dec = nn.Parameter(rows.get("decoder", zeros), requires_grad=False)
    sae.encoder.weight = nn.Parameter(rows.get("encoder", zeros), requires_grad=False)
    return sae
