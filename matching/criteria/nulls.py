"""What two dictionaries would share if nothing was learned: null dictionaries in place of B.

A dictionary of D dimensions and L latents shares something with any other by chance alone, and more
if both keep to the same few directions. The nulls, from the weakest to the strongest:

- ``untrained``: the SAE that training began with, by the seed's rule of section 2.1 of
  https://arxiv.org/abs/2501.16615: rows drawn at random from a cube.
- ``spectrum``: random directions that have the second moments of B's own: rows z C^(1/2), with z
  normal and C = mean of b b^T over B's rows b of length 1. So they keep to the same subspace, and
  know nothing of single features. They are brought to length 1, too, which changes their moments a
  little where few dimensions dominate.
"""

import json
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...common.files import StrPath, atomic_write
from ...common.progress import Progress
from ...sae import SAE, SAEConfig, save_sae
from ...sae.formats.dictionary import load_dictionary
from ...sae.formats.orientation import Orientation, Side
from ..match_files import match_files
from ..match_folder import read_summary
from ..rows import StoredRows

Null = Literal["spectrum", "untrained"]
NULL = "null.json"
DICTIONARY = "dictionary"


def like_spectrum(rows: StoredRows, seed: int) -> Tensor:
    """Return as many random directions as there are rows, with the rows' second moments.

    Args:
        rows: (L, D). Zero rows do not count.
        seed: of the draws, which are the same in every call.

    Returns:
        (L, D) float32, rows of length 1.
    """
    root = _square_root(_second_moment(rows))  # (D, D)
    rng = np.random.default_rng(seed)
    drawn = torch.empty((rows.num_latents, rows.d_in))
    for block in rows.blocks():
        found = rng.standard_normal((block.stop - block.start, rows.d_in)) @ root
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        drawn[block] = torch.from_numpy(found / np.maximum(lengths, np.finfo(float).tiny))
    return drawn


def _second_moment(rows: StoredRows) -> NDArray[np.float64]:
    moment = torch.zeros((rows.d_in, rows.d_in), dtype=torch.float64)
    for block in rows.blocks():
        unit = rows.unit_wide(torch.arange(block.start, block.stop)).double()
        moment += unit.T @ unit
    return (moment / max(1, len(rows.live()))).numpy()


def _square_root(moment: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(moment)
    root: NDArray[np.float64] = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return root


def match_null(
    match: StrPath,
    out: StrPath,
    *,
    kind: Null = "spectrum",
    seed: int = 0,
    orientation: Orientation | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Match A with a null dictionary in place of B, on the sides and by the settings of a match.

    ``out`` becomes a match folder as `match_files` writes it, with the null SAE in
    ``out/dictionary`` and ``out/null.json``, which says what it is. So whatever reads a match
    reads it, too.

    Args:
        match: a folder that `match_files` wrote; its two SAEs must still be where they were.
        out: the folder to write to; made if missing.
        kind: "spectrum" or "untrained": see above.
        seed: of the null; another seed is another draw.
        orientation: as for `match_files`, if the match needed one.
        progress: told how far each phase of each side has come.

    Returns:
        The summary of the new match.

    Raises:
        FileNotFoundError: there is no match, or one of its SAEs is gone.
        ValueError: ``kind`` is not as above, ``out`` is the match, or `match_files` refuses the
            SAEs.
        OSError: the result could not be written.
    """
    if kind not in get_args(Null):
        raise ValueError(f"kind: expected one of {', '.join(get_args(Null))}, got {kind!r}")
    refuse_same_folder(match, out)
    summary = read_summary(Path(match))
    sides, b = summary["settings"]["sides"], summary["inputs"]["b"]
    folder = Path(out) / DICTIONARY
    save_sae(_null_sae(b, sides, kind, seed, orientation), folder)
    found = match_files(
        summary["inputs"]["a"]["path"], folder, sides, out,
        m=summary["settings"]["m"], absolute=summary["settings"].get("absolute", False),
        orientation=orientation, progress=progress,
    )  # fmt: skip
    write_null(out, {"kind": kind, "seed": seed}, b)
    return found


def refuse_same_folder(match: StrPath, out: StrPath) -> None:
    """Raise ValueError if a null would be written over its match."""
    if Path(match).resolve() == Path(out).resolve():
        raise ValueError(f"out: expected another folder than that of the match, got {out}")


def write_null(out: StrPath, facts: dict[str, Any], b: dict[str, Any]) -> None:
    """Write which null a folder holds, and what stood in B's place."""
    told = facts | {"of": {name: b[name] for name in ("path", "sha256")}}
    with atomic_write(Path(out) / NULL) as temporary:
        temporary.write_text(json.dumps(told, indent=1) + "\n")


def _null_sae(
    b: dict[str, Any], sides: list[Side], kind: Null, seed: int, orientation: Orientation | None
) -> SAE:
    sae = SAE(SAEConfig(d_in=b["d_in"], num_latents=b["num_latents"], k=1), seed=seed)
    if kind == "spectrum":
        weights = {"decoder": sae.W_dec, "encoder": sae.encoder.weight}
        for number, side in enumerate(sides):
            stored = load_dictionary(b["path"], side, orientation=orientation)
            rows = StoredRows(stored, f"{b['path']} ({side})")
            with torch.no_grad():
                weights[side].copy_(like_spectrum(rows, 2 * seed + number))
    return sae
