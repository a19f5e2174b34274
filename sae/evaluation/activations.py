"""Several SAEs measured on the same activations, which are read once."""

import math
from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor

from ...common.progress import Progress, silent
from ..activations import ActivationStore
from ..model import SAE
from .checks import check_saes
from .measures import Measured, Measures

MAX_NORM = 10.0
"""Tokens whose norm is over so many times the median are outliers."""

_BATCH = 2048


def evaluate_store(
    saes: Mapping[str, SAE],
    store: ActivationStore,
    *,
    target: ActivationStore | None = None,
    tokens: int | None = None,
    max_norm: float = MAX_NORM,
    progress: Progress | None = None,
) -> dict[str, Measured]:
    """Measure SAEs on stored activations, which are read once for all.

    Special tokens and other positions that the store does not have count nowhere: `harvest` leaves
    out BOS, and a first token that is an attention sink.

    Args:
        saes: by name; they compute in their own dtype, on their own device.
        store: (rows, d_in) activations, taken in order.
        target: (rows, d_out) activations that transcoders are to reconstruct from the same rows of
            ``store``; None: what they read.
        tokens: measure the first so many rows; None: all.
        max_norm: rows whose target's norm is over so many times the median of all are outliers.
        progress: told of the phase "evaluate", in tokens.

    Returns:
        The measures by the SAEs' names.

    Raises:
        ValueError: an SAE does not fit the activations; the stores differ in length; a shard is
            damaged; an activation or a reconstruction is NaN or infinite.
    """
    width = None if target is None else target.d_in
    check_saes(saes, store.d_in, width, where=str(store.path))
    if target is not None and target.rows != store.rows:
        raise ValueError(
            f"target: {target.path} has {target.rows:,} rows, but {store.path} has {store.rows:,}"
        )
    rows = store.rows if tokens is None else min(tokens, store.rows)
    median = (target or store).norm_spread["median"]
    batches = _told(_pairs(store, target, rows), rows, progress or silent)
    return measure(saes, batches, outlier_norm=max_norm * median)


def measure(
    saes: Mapping[str, SAE],
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    outlier_norm: float = math.inf,
) -> dict[str, Measured]:
    """Measure SAEs on batches of activations.

    Args:
        saes: by name; gradients are not recorded.
        batches: pairs (N, d_in) and (N, d_out): what the SAEs read and what they are to
            reconstruct, which is the same tensor unless they are transcoders.
        outlier_norm: a target with a larger norm is an outlier.

    Returns:
        The measures by the SAEs' names.

    Raises:
        ValueError: there are no tokens, or a target or reconstruction is NaN or infinite; the
            message names the SAE.
    """
    measures = {name: measures_of(sae, outlier_norm) for name, sae in saes.items()}
    for x, target in batches:
        for name, sae in saes.items():
            reconstruct(name, sae, x, target, measures[name])
    return {name: found.result() for name, found in measures.items()}


def measures_of(sae: SAE, outlier_norm: float) -> Measures:
    """Return measures, still of no token, for one SAE."""
    config = sae.config
    return Measures(
        config.num_latents, config.out_width, outlier_norm=outlier_norm, device=sae.b_dec.device
    )


def reconstruct(name: str, sae: SAE, x: Tensor, target: Tensor, measures: Measures) -> Tensor:
    """Return the reconstruction (N, d_out) of ``x`` (N, d_in), and measure it.

    Raises:
        ValueError: as for `measure`.
    """
    device = sae.b_dec.device
    with torch.no_grad():
        out = sae(x.to(device))
        try:
            measures.add(target.to(device), out.reconstruction, out.values, out.indices)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    reconstruction: Tensor = out.reconstruction
    return reconstruction


def _pairs(
    store: ActivationStore, target: ActivationStore | None, rows: int
) -> Iterator[tuple[Tensor, Tensor]]:
    inputs = store.in_order(_BATCH, rows)
    if target is None:
        yield from ((x, x) for x in inputs)
    else:
        yield from zip(inputs, target.in_order(_BATCH, rows), strict=True)


def _told(
    batches: Iterable[tuple[Tensor, Tensor]], rows: int, progress: Progress
) -> Iterator[tuple[Tensor, Tensor]]:
    """Pass on the batches, and tell how many rows are done when the next is asked for."""
    done = 0
    progress("evaluate", 0, rows, "tokens")
    for batch in batches:
        yield batch
        done += len(batch[0])
        progress("evaluate", done, rows, "tokens")
