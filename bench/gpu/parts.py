"""Stage parts: the milliseconds of our kernels one by one, and of every tile of the encoder."""

from collections.abc import Callable
from dataclasses import astuple
from functools import cache, partial
from typing import Any

import torch

from ...kernels.backends import Backend, interpreting
from ..problem import Problem
from .gate import CHECKS, OURS
from .ours import JOBS, encode
from .records import Record
from .setting import Setting
from .steps import Steps
from .times import redone
from .timing import by_kernel

Part = tuple[str, Callable[[Problem], Any]]
"""The job, and a call of a kernel of ours."""


def run(setting: Setting, steps: Steps) -> None:
    """Run the stage."""
    for shape in setting.shapes:
        problem = cache(partial(setting.problem, shape))
        for name, part in parts(setting).items():
            steps.run(f"D {shape.d_in} {name}", partial(measure, setting, problem, part))


def measure(setting: Setting, problem: Callable[[], Problem], part: Part) -> Record:
    """Check a part, then time it and its kernels."""
    job, call = part
    found = call(problem())
    CHECKS[job](problem(), found, OURS)
    return redone(found) | by_kernel(setting, lambda: call(problem()))


def parts(setting: Setting) -> dict[str, Part]:
    """Return {name: part}: the encoder by each tile, and the other kernels."""
    own = setting.backend
    found: dict[str, Part] = {}
    if own == "triton":
        for place, tile in enumerate(_tiles(setting.device)):
            name = "{}x{}x{} warps {} stages {}".format(*astuple(tile))
            name += " described" if tile.described else ""
            found[name] = "encode", partial(_encode_by_tile, own, place)
    else:
        found["encode"] = "encode", partial(_call, "encode", own)
    for job in ("above", "decode", "dot", "error", "grads", "compressed", "autoencode"):
        found[job] = job, partial(_call, job, own)
    return found


def _call(job: str, backend: Backend, p: Problem) -> Any:
    return JOBS[job](p, backend)


def _encode_by_tile(backend: Backend, place: int, p: Problem) -> Any:
    """Encode by the tile at a place of `_tiles`, which is listed first meanwhile."""
    from ...kernels.topk.triton.tiles import HALF_TILES

    listed = HALF_TILES["linear_topk"]
    HALF_TILES["linear_topk"] = (_tiles(p.x.device)[place], *listed)
    try:
        return encode(p, backend)
    finally:
        HALF_TILES["linear_topk"] = listed


def _tiles(device: torch.device) -> list[Any]:
    """Return the tiles that the encoder may take on a device; the usual one comes first."""
    from ...kernels.topk.triton import tiles

    if interpreting():
        return [tiles.INTERPRETED]
    arch = tiles.capability(device)
    return [t for t in tiles.HALF_TILES["linear_topk"] if not t.archs or arch in t.archs]
