"""Makes two dictionaries of any size, like those of two seeds, that share known latents."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from ..common.blocks import slices

SHARED, PARTIAL, SPLIT = 0.35, 0.125, 0.125  # parts of the latents of A; the rest is unrelated
SHARED_COSINE, PARTIAL_COSINE = (0.7, 0.99), (0.3, 0.7)
SPLIT_INTO = 3
MEAN_SHARE = 0.2  # part of the squared length of an unrelated latent, along one common direction
SPECTRUM = -0.5  # numbers along the k-th other direction are about k^-0.5
CPU = torch.device("cpu")
_BLOCK = 4096  # rows that are made at a time


@dataclass(frozen=True)
class Planted:
    """Two dictionaries of unit rows, and the relations that were planted between them."""

    a: Tensor
    """(L, D) float32."""
    b: Tensor
    """(L, D) float32."""
    partner: Tensor
    """(L,) int64: the related latent of B for each latent of A, -1 where there is none. Three
    latents of A that split a latent of B share it; all others have one of their own."""
    cosine: Tensor
    """(L,) float32: the cosine to that latent; 0 where there is none."""


@torch.no_grad()
def planted_pair(
    num_latents: int,
    d_in: int,
    seed: int = 0,
    folder: Path | None = None,
    device: torch.device = CPU,
) -> Planted:
    """Make two dictionaries whose relations are known.

    Unrelated latents are random with a common direction and a power-law spectrum: at D = 768 their
    cosines have mean 0.24 and standard deviation 0.13, and the best of 4,000 is about 0.56. Of the
    latents of A, 35 % have a twin in B at a cosine from 0.7 to 0.99, 12.5 % have one at 0.3 to 0.7,
    and 12.5 % split latents of B, three for each, at 0.3 to 0.7. B is shuffled.

    Args:
        num_latents: L of both, 1 or more.
        d_in: D, 2 or more.
        seed: the same seed gives the same numbers.
        folder: holds them as two memory-mapped files; None keeps them in memory.
        device: where they are made, without a folder; each kind of device has its own numbers.

    Raises:
        ValueError: a size is too small.
    """
    if num_latents < 1 or d_in < 2:
        raise ValueError(
            f"expected 1 or more latents of width 2 or more, got {num_latents} x {d_in}"
        )
    random = torch.Generator(device).manual_seed(seed)
    a, b = (_empty(num_latents, d_in, folder and folder / name, device) for name in ("a", "b"))
    for side in (a, b):
        _fill_unrelated(side, random)
    # Where each latent is in the shuffled B.
    place = torch.randperm(num_latents, generator=random, device=device)
    groups = int(SPLIT * num_latents) // SPLIT_INTO
    shared, paired = (int(part * num_latents) for part in (SHARED, SHARED + PARTIAL))
    related = paired + SPLIT_INTO * groups
    partner = torch.full((num_latents,), -1, device=device)
    partner[:paired] = place[:paired]
    partner[paired:related] = place[paired : paired + groups].repeat_interleave(SPLIT_INTO)
    cosine = torch.zeros(num_latents, device=device)
    cosine[:shared].uniform_(*SHARED_COSINE, generator=random)
    cosine[shared:related].uniform_(*PARTIAL_COSINE, generator=random)
    for rows in slices(paired, _BLOCK):
        b[partner[rows]] = _at_cosine(a[rows], b[partner[rows]], cosine[rows])
    for rows in slices(related, _BLOCK, start=paired):
        a[rows] = _at_cosine(b[partner[rows]], a[rows], cosine[rows])
    return Planted(a, b, partner, cosine)


def _empty(num_latents: int, d_in: int, file: Path | None, device: torch.device) -> Tensor:
    if file is None:
        return torch.empty(num_latents, d_in, device=device)
    numbers = torch.from_file(str(file), shared=True, size=num_latents * d_in)
    return numbers.view(num_latents, d_in)


def _fill_unrelated(out: Tensor, random: torch.Generator) -> None:
    num_latents, d_in = out.shape
    lengths = torch.arange(1, d_in, device=out.device).pow(SPECTRUM)
    lengths *= (1 - MEAN_SHARE) ** 0.5 / lengths.norm()
    for rows in slices(num_latents, _BLOCK):
        block = out[rows]
        block[:, 0] = MEAN_SHARE**0.5
        numbers = torch.randn(len(block), d_in - 1, generator=random, device=out.device)
        block[:, 1:] = numbers * lengths
        functional.normalize(block, out=block)


def _at_cosine(unit: Tensor, noise: Tensor, cosine: Tensor) -> Tensor:
    """Return unit rows at the given cosines to ``unit``, turned in the direction of ``noise``."""
    aside = functional.normalize(noise - (noise * unit).sum(1, keepdim=True) * unit)
    return cosine[:, None] * unit + (1 - cosine[:, None].square()).sqrt() * aside
