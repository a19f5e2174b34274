"""Says how a call is scanned on a GPU. Sizes, dtype and GPU decide, and no measurement does."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .scheme import Scheme, choose_scheme, contenders
from .select import MOST
from .tiles import Tile, scan_tile


@dataclass(frozen=True)
class Plan:
    """How the scan of a call runs."""

    tile: Tile
    scheme: Scheme
    decides: bool
    """Whether the scan's scores are the result's. If not, they propose: see bound.py."""


def plan_for(op: str, x: Tensor, latents: int, k: int, masked: bool = False) -> Plan | None:
    """Return the plan of a call, or None if all its scores have to be computed and sorted.

    That is so if k is large, or if groups of so few latents would prove too few rows.

    Args:
        op: "linear_topk" or "mutual_topk".
        x: (N, D).
        latents: the number of latents that each row's k best are among; of two sides, the smaller.
        k: how many of them are wanted.
        masked: whether a mask leaves out latents.

    """
    if k > MOST or x.shape[0] == 0:
        return None
    decides = x.dtype != torch.float32
    # With a slack and a mask, the largest tile takes more registers than there are.
    tile = scan_tile(op, x, small=masked and not decides)
    widest = tile.cols if op == "linear_topk" else min(tile.rows, tile.cols)
    scheme = choose_scheme(latents, contenders(k, decides), widest)
    return None if scheme is None else Plan(tile, scheme, decides)
