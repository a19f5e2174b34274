"""`encode_store`: an SAE's codes of stored activations."""

import numpy as np
import torch

from ...common.progress import Progress, silent
from ...sae import SAE
from ...sae.activations import ActivationStore
from ..codes import Codes

_BATCH = 2048


@torch.no_grad()
def encode_store(
    sae: SAE,
    store: ActivationStore,
    *,
    tokens: int | None = None,
    progress: Progress | None = None,
) -> Codes:
    """Return which latents of an SAE are active on stored activations, and how strongly.

    Args:
        sae: of any architecture; it computes in its own dtype, on its own device.
        store: (rows, d_in) activations, taken in order.
        tokens: take the first so many rows; None: all.
        progress: told of the phase "encode", in tokens.

    Returns:
        The codes, 8 bytes for each active latent of a token.

    Raises:
        ValueError: the SAE does not fit the activations, there are none, a shard is damaged, or an
            activation is NaN or infinite.
    """
    if sae.config.d_in != store.d_in:
        raise ValueError(
            f"the SAE reads activations of width {sae.config.d_in:,}, but those of {store.path} "
            f"have width {store.d_in:,}"
        )
    rows = store.rows if tokens is None else min(tokens, store.rows)
    if rows < 1:
        raise ValueError(f"{store.path}: expected one token or more, got {rows}")
    told = progress or silent
    told("encode", 0, rows, "tokens")
    counts, latents, values = [np.zeros(1, dtype=np.int64)], [], []
    done = 0
    for batch in store.in_order(_BATCH, rows):
        top = sae.encode(batch.to(sae.b_dec.device))
        active = (top.indices >= 0) & (top.values != 0)
        counts.append(active.sum(dim=1).cpu().numpy())
        latents.append(top.indices[active].int().cpu().numpy())
        values.append(top.values[active].float().cpu().numpy())
        done += len(batch)
        told("encode", done, rows, "tokens")
    offsets = np.cumsum(np.concatenate(counts))
    return Codes(offsets, np.concatenate(latents), np.concatenate(values), sae.config.num_latents)
