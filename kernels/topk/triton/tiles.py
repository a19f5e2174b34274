"""How products are cut on a GPU, and the cuts that a call may choose from."""

from dataclasses import dataclass

import torch

from ...backends import interpreting


@dataclass(frozen=True)
class Tile:
    """How a product is cut. All have one `depth`, so that they give equal bits."""

    rows: int
    cols: int
    depth: int
    warps: int
    stages: int
    archs: tuple[int, ...] = ()
    """Compute capabilities (90 is sm_90) that it is for; () for all."""
    described: bool = False
    """Whether `scan_groups` reads by tensor descriptors, where rows are whole 16 bytes."""


# The first of a list that is for a GPU is taken where nothing was measured. They are for the GPUs
# for which `make aot` found neither spills nor too much shared memory; each list has one for all.
LISTED = (80, 90, 100, 120)
HALF_TILES = {
    "linear_topk": (
        Tile(128, 256, 64, 8, 3, (90,), described=True), Tile(128, 128, 64, 8, 3),
        Tile(128, 128, 64, 8, 4, LISTED), Tile(128, 256, 64, 8, 3, (90, 100)),
    ),
    "mutual_topk": (Tile(128, 128, 64, 16, 3, (90,)), Tile(128, 128, 64, 8, 3)),
    "pairs_above": (Tile(128, 64, 64, 8, 3),),
}  # fmt: skip
"""For bfloat16 and float16, on tensor cores; scans of float32 inputs, which propose, read float16.
Times of the cuts on an H100: docs/benchmarks-gpu.md."""
FLOAT_TILE, PAIRS_FLOAT_TILE = Tile(64, 128, 32, 8, 3), Tile(64, 64, 32, 8, 3)
"""For scores in float32, without tensor cores."""
INTERPRETED = Tile(32, 256, 64, 4, 1)  # its time goes by the number of tiles
BAND = 8  # row tiles that take turns on one column tile, so that both stay in the L2 cache


def tiles_for(op: str, arch: int) -> list[Tile]:
    """Return the cuts of an op's scans on a GPU."""
    if interpreting():
        return [INTERPRETED]
    return [tile for tile in HALF_TILES[op] if not tile.archs or arch in tile.archs]


def full_tile(op: str, dtype: torch.dtype) -> Tile:
    """Return how products are cut where every score counts as it is."""
    if interpreting():
        return INTERPRETED
    if dtype != torch.float32:
        return next(tile for tile in HALF_TILES[op] if not tile.archs)
    return PAIRS_FLOAT_TILE if op == "pairs_above" else FLOAT_TILE
