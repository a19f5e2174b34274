"""Two dictionaries as two seeds give them, of any size, with what they share known."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from ..common.blocks import slices

SHARED, PARTIAL, SPLIT = 0.35, 0.125, 0.125  # parts of A's latents; the rest is independent
SHARED_COSINE, PARTIAL_COSINE = (0.7, 0.99), (0.3, 0.7)
SPLIT_INTO = 3
MEAN_SHARE = 0.2  # of an unrelated latent's squared length, along one direction that all have
SPECTRUM = -0.5  # the k-th of the other directions is k^-0.5 long
_BLOCK = 4096  # rows made at a time


@dataclass(frozen=True)
class Planted:
    """Two dictionaries of unit rows, and the relations that were planted between them."""

    a: Tensor
    """(L, D) float32."""
    b: Tensor
    """(L, D) float32."""
    partner: Tensor
    """(L,) int64: the latent of B that A's latent was made from or for, -1 if it is independent.
    Three latents of A share one of B where they split it; all others have one of their own."""
    cosine: Tensor
    """(L,) float32: the similarity to that partner; 0 without one."""


@torch.no_grad()
def planted_pair(num_latents: int, d_in: int, seed: int = 0, folder: Path | None = None) -> Planted:
    """Make two dictionaries of which much is known.

    Unrelated latents are random with a common direction and a power-law spectrum: at D = 768 their
    cosines have mean 0.24 and standard deviation 0.13, and the best of 4,000 is about 0.56. Of A's
    latents 35 % have a twin in B at a cosine from 0.7 to 0.99, 12.5 % one at 0.3 to 0.7, and 12.5 %
    split, by three, a latent of B at 0.3 to 0.7. B is shuffled.

    Args:
        num_latents: L of both.
        d_in: D, 2 or more.
        seed: the same seed gives the same numbers.
        folder: where to make them as two memory-mapped files; None: in memory.

    Raises:
        ValueError: a size is too small.
    """
    if num_latents < 1 or d_in < 2:
        raise ValueError(
            f"expected 1 or more latents of width 2 or more, got {num_latents} x {d_in}"
        )
    random = torch.Generator().manual_seed(seed)
    a, b = (_empty(num_latents, d_in, folder and folder / name) for name in ("a", "b"))
    for side in (a, b):
        _fill_unrelated(side, random)
    place = torch.randperm(num_latents, generator=random)  # of each latent in the shuffled B
    groups = int(SPLIT * num_latents) // SPLIT_INTO
    shared, paired = (int(part * num_latents) for part in (SHARED, SHARED + PARTIAL))
    related = paired + SPLIT_INTO * groups
    partner = torch.full((num_latents,), -1)
    partner[:paired] = place[:paired]
    partner[paired:related] = place[paired : paired + groups].repeat_interleave(SPLIT_INTO)
    cosine = torch.zeros(num_latents)
    cosine[:shared].uniform_(*SHARED_COSINE, generator=random)
    cosine[shared:related].uniform_(*PARTIAL_COSINE, generator=random)
    for rows in slices(paired, _BLOCK):
        b[partner[rows]] = _at_cosine(a[rows], b[partner[rows]], cosine[rows])
    for rows in slices(related, _BLOCK, start=paired):
        a[rows] = _at_cosine(b[partner[rows]], a[rows], cosine[rows])
    return Planted(a, b, partner, cosine)


def _empty(num_latents: int, d_in: int, file: Path | None) -> Tensor:
    if file is None:
        return torch.empty(num_latents, d_in)
    numbers = torch.from_file(str(file), shared=True, size=num_latents * d_in)
    return numbers.view(num_latents, d_in)


def _fill_unrelated(out: Tensor, random: torch.Generator) -> None:
    num_latents, d_in = out.shape
    lengths = torch.arange(1, d_in).pow(SPECTRUM)
    lengths *= (1 - MEAN_SHARE) ** 0.5 / lengths.norm()
    for rows in slices(num_latents, _BLOCK):
        block = out[rows]
        block[:, 0] = MEAN_SHARE**0.5
        block[:, 1:] = torch.randn(len(block), d_in - 1, generator=random) * lengths
        functional.normalize(block, out=block)


def _at_cosine(unit: Tensor, noise: Tensor, cosine: Tensor) -> Tensor:
    """Return unit rows at given cosines from ``unit``, in the direction of ``noise``."""
    aside = functional.normalize(noise - (noise * unit).sum(1, keepdim=True) * unit)
    return cosine[:, None] * unit + (1 - cosine[:, None].square()).sqrt() * aside
