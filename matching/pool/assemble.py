"""The pooled SAE itself: directions, scale and bias, threshold, and the decoder's bias."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...common.blocks import slices
from ...common.progress import Progress
from ...sae import SAE, SAEConfig
from ...sae.activations import ActivationStore
from ...sae.evaluation.activations import measure
from ...sae.formats.stored import StoredSAE
from .directions import Members, along, mean_directions
from .fit import fit_sums
from .threshold import threshold_for

_BATCH = 2048


class Split(NamedTuple):
    """The first rows of a store: half to fit on, a quarter for the threshold, one to measure on."""

    store: ActivationStore
    rows: int

    def fit(self) -> Iterator[Tensor]:
        """Yield the first half, (B, D) at a time."""
        return self._batches(0, self.rows // 2)

    def held_out(self) -> Iterator[Tensor]:
        """Yield the third quarter."""
        return self._batches(self.rows // 2, 3 * self.rows // 4)

    def test(self) -> Iterator[Tensor]:
        """Yield the last quarter."""
        return self._batches(3 * self.rows // 4, self.rows)

    def _batches(self, start: int, stop: int) -> Iterator[Tensor]:
        for rows in slices(stop, _BATCH, start=start):
            yield self.store.gather(np.arange(rows.start, rows.stop))


class Pooled(NamedTuple):
    """What was made."""

    sae: SAE
    columns: dict[str, NDArray[Any]]
    """One row a latent; see `pool`."""
    threshold: float
    left_out: int
    """Groups that no latent was made of."""


@torch.no_grad()
def assemble(
    saes: Sequence[SAE], found: Members, split: Split, l0: float | None, progress: Progress
) -> Pooled:
    """Make the pooled SAE; see `pool`.

    Raises:
        ValueError: of no group a member is active on the tokens of the fit.
    """
    decoder = mean_directions([sae.W_dec.detach() for sae in saes], found)
    encoder = mean_directions([sae.encoder.weight.detach() for sae in saes], found)
    progress("fit", 0, 2, "passes")
    sums = fit_sums(split.fit(), saes, found, encoder, along(saes, found, decoder))
    progress("fit", 1, 2, "passes")
    scale, bias = sums.solve()
    kept = np.flatnonzero(scale > 0)  # others would be always active, or never
    if not len(kept):
        raise ValueError("store: no pooled latent could be fitted: no member is active there")
    chosen = torch.from_numpy(kept)
    weight = (torch.from_numpy(scale)[:, None] * encoder)[chosen].float()
    bias_of = torch.from_numpy(bias)[chosen].float()
    progress("threshold", 0, 1, "passes")
    wanted = l0 or _mean_l0(saes, found, split)
    threshold, _ = threshold_for(list(split.held_out()), weight, bias_of, wanted)
    progress("threshold", 1, 1, "passes")
    sae = _sae(weight, bias_of, decoder[chosen], threshold)
    _centre(sae, split.fit())
    progress("fit", 2, 2, "passes")
    columns = {
        "latent": np.arange(len(kept)),
        "group": found.group[kept],
        "size": found.size[kept],
        "scale": scale[kept],
        "bias": bias[kept],
        "active": sums.count[kept].astype(np.int64),
    }
    return Pooled(sae, columns, threshold, len(scale) - len(kept))


def _mean_l0(saes: Sequence[SAE], found: Members, split: Split) -> float:
    """Return how many members of the groups are active in an SAE of these alone, on average."""
    alone = {
        str(number): only(sae, np.flatnonzero(place >= 0))
        for number, (sae, place) in enumerate(zip(saes, found.place, strict=True))
        if (place >= 0).any()
    }
    measured = measure(alone, ((x, x) for x in split.held_out()))
    return fmean(each.l0 for each in measured.values())


def only(sae: SAE, latents: NDArray[np.int64]) -> SAE:
    """Return the SAE with some of its latents alone, and at most as many active as before."""
    stored = sae.stored()
    chosen = torch.from_numpy(latents)
    tensors = {
        name: tensor[chosen] if name != "b_dec" else tensor
        for name, tensor in stored.tensors.items()
    }
    config = replace(
        stored.config,
        num_latents=len(latents),
        k=min(stored.config.k, len(latents)),
        prefixes=(),
    )
    return SAE.from_stored(StoredSAE(config, tensors))


def _sae(weight: Tensor, bias: Tensor, decoder: Tensor, threshold: float) -> SAE:
    latents, width = weight.shape
    tensors = {
        "encoder.weight": weight,
        "encoder.bias": bias,
        "W_dec": decoder,
        "b_dec": torch.zeros(width),
        "threshold": torch.full((latents,), threshold),
    }
    return SAE.from_stored(StoredSAE(SAEConfig(width, latents, activation="jumprelu"), tensors))


def _centre(sae: SAE, batches: Iterator[Tensor]) -> None:
    """Let the decoder's bias be the mean of what the latents leave; they stay what they are."""
    total = torch.zeros(sae.config.d_in, dtype=torch.float64)
    tokens = 0
    for x in batches:
        total += (x.double() - sae(x).reconstruction.double()).sum(dim=0)
        tokens += len(x)
    sae.b_dec.copy_(total / tokens)
    # The encoder reads x - b_dec.
    sae.encoder.bias.add_(sae.encoder.weight @ sae.b_dec)
