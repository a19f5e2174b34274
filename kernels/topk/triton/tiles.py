"""Says how the product of a scan is cut into tiles on a GPU."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...backends import interpreting


@dataclass(frozen=True)
class Tile:
    """The size of a tile and how it runs. All for one dtype have one depth, for equal bits."""

    rows: int
    cols: int
    depth: int
    warps: int
    stages: int
    archs: tuple[int, ...] = ()
    """Compute capabilities of the GPUs that it is for (90 is sm_90); () for all."""
    described: bool = False
    """Whether `scan_groups` reads by tensor descriptors, if rows are multiples of 16 bytes."""


# A scan takes the first tile of its list that is for the GPU. A tile is for the GPUs where
# `make aot` finds no spills and not too much shared memory. The last tile of each is for all.
LISTED = (80, 90, 100, 120)
HALF_TILES = {
    "linear_topk": (Tile(128, 256, 64, 8, 3, (90,), described=True), Tile(128, 128, 64, 8, 3)),
    "mutual_topk": (Tile(128, 128, 64, 16, 3, (90,)), Tile(128, 128, 64, 8, 3)),
    "pairs_above": (Tile(128, 64, 64, 8, 3),),
}
"""For bfloat16 and float16, on tensor cores. Scans that propose for float32 inputs read float16.
docs/benchmarks-gpu.md has the times of these tiles on an H100."""
FLOAT_TILE, PAIRS_FLOAT_TILE = Tile(64, 128, 32, 8, 3), Tile(64, 64, 32, 8, 3)
"""For scores in float32, without tensor cores."""
ODD_ROWS = 64
"""Of a tile, if the width is not a multiple of 16: then numbers are read one by one, which takes so
many registers that `make aot` finds spills in larger tiles."""
INTERPRETED = Tile(32, 256, 64, 4, 1)  # large, because the interpreter takes the same time for any
BAND = 8  # row tiles that share a column tile one after another, so that both stay in the L2 cache


def scan_tile(op: str, x: Tensor, small: bool = False) -> Tile:
    """Return the tile of an op's scans of x (N, D) in half precision; if small, the one for all."""
    if interpreting():
        return INTERPRETED
    if small or x.shape[1] % 16:
        return _tile_for_all(op, x)
    arch = capability(x.device)
    return next(tile for tile in HALF_TILES[op] if not tile.archs or arch in tile.archs)


def capability(device: torch.device) -> int:
    """Return a GPU's compute capability as in sm_90; 0 for a CPU."""
    if device.type != "cuda":
        return 0
    major, minor = torch.cuda.get_device_capability(device)
    return 10 * major + minor


def full_tile(op: str, x: Tensor) -> Tile:
    """Return the tile of a scan of x (N, D) whose scores are the result's."""
    if interpreting():
        return INTERPRETED
    if x.dtype != torch.float32:
        return _tile_for_all(op, x)
    return PAIRS_FLOAT_TILE if op == "pairs_above" else FLOAT_TILE


def _tile_for_all(op: str, x: Tensor) -> Tile:
    tile = HALF_TILES[op][-1]
    return replace(tile, rows=ODD_ROWS) if x.shape[1] % 16 else tile
