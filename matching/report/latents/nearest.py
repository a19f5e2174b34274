"""The nearest latents of the other SAE, which a matching does not keep: a table beside each match.

For a side, decoder or encoder, and latent i of A, with S the cosines:

| column | what it is |
|---|---|
| ``<side>_best`` | the latent j of B with the largest S_ij |
| ``<side>_lead`` | S_i,pi(i) less the largest S_ij of all j except the match pi(i); NaN without |
| ``unmatched`` | of the latents of B that share with none of A, the one with the nearest decoder |
| ``unmatched_cosine`` | its cosine; NaN if there is none, and ``unmatched`` is -1 |

``nearest-a.npz`` has one row a latent of A, and ``nearest-b.npz`` the same seen from B. Which
latents are shared is told by `main_criterion`. Cosines here are of float32.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ....common.blocks import slices
from ....common.progress import Progress
from ....common.tables import load_table, save_table
from ....kernels.topk import PackedWeight, linear_topk, pack
from ....sae.formats.orientation import Side
from ...criteria.overlap import main_criterion, shared
from ...match_folder import OpenedMatch
from ...matching import Matching

FORMAT = "twinsae-nearest/1"
FILES = ("nearest-a.npz", "nearest-b.npz")
_ROWS = 2048

Columns = dict[str, NDArray[Any]]


def shared_latents(
    matchings: Mapping[Side, Matching],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which latents of A, and of B, have a partner in the other by `main_criterion`.

    B's are those that share when the match is seen from B.
    """
    name = main_criterion(matchings)
    turned = {side: matching.swapped() for side, matching in matchings.items()}
    a, b = (
        shared(found.get("decoder"), found.get("encoder"))[name] for found in (matchings, turned)
    )
    return a, b


def nearest_latents(opened: OpenedMatch, progress: Progress) -> tuple[Columns, Columns]:
    """Return the tables of a match, of A and of B; they are computed once and kept in its folder.

    Args:
        opened: the match.
        progress: told of the phase "nearest", in latents.

    Raises:
        OSError: the tables could not be written.
    """
    source = {"matchings": {side: found.sha256 for side, found in opened.sides.items()}}
    files = [opened.folder / name for name in FILES]
    try:
        tables = [load_table(file, FORMAT) for file in files]
        if all(table.facts["matchings"] == source["matchings"] for table in tables):
            a, b = (table.columns for table in tables)
            return a, b
    except (FileNotFoundError, ValueError):  # they are made anew
        pass
    a, b = _compute(opened, progress)
    for file, columns in zip(files, (a, b), strict=True):
        save_table(file, FORMAT, columns, source)
    return a, b


def _compute(opened: OpenedMatch, progress: Progress) -> tuple[Columns, Columns]:
    matchings = {side: found.matching for side, found in opened.sides.items()}
    shared_a, shared_b = shared_latents(matchings)
    total = sum(found.a.num_latents + found.b.num_latents for found in opened.sides.values())
    done = 0
    progress("nearest", 0, total, "latents")
    tables: tuple[Columns, Columns] = {}, {}
    unmatched_by = "decoder" if "decoder" in matchings else "encoder"
    for side, found in opened.sides.items():
        a, b = (rows.unit(torch.arange(rows.num_latents)).cpu() for rows in (found.a, found.b))
        matching = found.matching
        views = ((a, b, matching, shared_b), (b, a, matching.swapped(), shared_a))
        for table, (rows, others, seen, taken) in zip(tables, views, strict=True):
            packed = pack(others)
            table |= _best(side, rows, packed, seen)
            if side == unmatched_by:
                table |= _unmatched(rows, packed, torch.from_numpy(~taken))
            done += len(rows)
            progress("nearest", done, total, "latents")
    return tables


def _best(side: str, rows: Tensor, others: PackedWeight, matching: Matching) -> Columns:
    partner, cosine = matching.by_row()
    values, indices = _scan(rows, others, min(2, len(matching.col_max)), None)
    first_is_match = indices[:, 0] == partner
    # The first but one is missing where the other SAE has one latent; then nothing competes.
    second = values[:, 1] if values.shape[1] > 1 else np.full(len(partner), -np.inf)
    rival = np.where(first_is_match, second, values[:, 0])
    lead = np.where(np.isfinite(rival), cosine - rival, np.nan)
    return {f"{side}_best": indices[:, 0], f"{side}_lead": lead.astype(np.float32)}


def _unmatched(rows: Tensor, others: PackedWeight, free: Tensor) -> Columns:
    values, indices = _scan(rows, others, 1, free)
    latent = indices[:, 0]
    cosine = np.where(latent < 0, np.nan, values[:, 0]).astype(np.float32)
    return {"unmatched": latent, "unmatched_cosine": cosine}


def _scan(
    rows: Tensor, others: PackedWeight, k: int, mask: Tensor | None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    found = [
        linear_topk(rows[block], others, None, k, floor=-float("inf"), mask=mask)
        for block in slices(len(rows), _ROWS)
    ]
    values = torch.cat([top.values for top in found]).numpy()
    return values, torch.cat([top.indices for top in found]).numpy()
