"""The pool beside the SAEs that it was made from, on held-out tokens."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...common.progress import Progress
from ...sae import SAE
from ...sae.evaluation import Measured, measure
from .groups import Floats, Ints
from .source import Source
from .threshold import Batches
from .tuned import cut, tune


def compare(
    source: Source,
    energy: Sequence[Floats],
    pooled: SAE,
    fitting: Batches,
    held_out: Batches,
    l0: float | None,
    told: Progress,
) -> dict[str, Any]:
    """Give the pool its threshold and decoder bias, and measure it beside the SAEs.

    Args:
        source: the SAEs and groups.
        energy: for each SAE, (L,) as of `fitting.Fitted`.
        pooled: as of `tuned.jumprelu`; changed in place.
        fitting: the tokens for biases.
        held_out: those for thresholds and measures.
        l0: that the pool should have; None: the SAEs' mean.
        told: of the phase "compare", in SAEs.

    Returns:
        ``l0``, ``threshold`` and ``compared``, as `files.pool` says.

    Raises:
        ValueError: the held-out tokens are all the same.
    """
    total, done = 1 + 4 * len(source.saes), 0

    def row(name: str, how: str, sae: SAE) -> dict[str, Any]:
        nonlocal done
        found = _measured(name, sae, held_out)
        done += 1
        told("compare", done, total, "SAEs")
        latents = sae.config.num_latents
        return {"sae": name, "as": how, "latents": latents, "l0": found.l0, "fvu": found.fvu}

    told("compare", 0, total, "SAEs")
    named = list(zip(source.names, source.saes, strict=True))
    trained = [row(name, "as_trained", sae) for name, sae in named]
    wanted = float(np.mean([each["l0"] for each in trained])) if l0 is None else l0
    tune(pooled, fitting, held_out, wanted)
    rows = [row("pool", "pool", pooled)]
    reached = rows[0]["l0"]
    for place, (name, sae) in enumerate(named):
        rows.append(trained[place])
        for how, latents in choices(source.groups.members[:, place], energy[place]):
            made = cut(sae, latents)
            tune(made, fitting, held_out, reached)
            rows.append(row(name, how, made))
    told("compare", total, total, "SAEs")
    assert pooled.threshold is not None
    return {"l0": wanted, "threshold": float(pooled.threshold[0]), "compared": rows}


def choices(members: Ints, energy: Floats) -> Iterator[tuple[str, Ints]]:
    """Yield which latents of an SAE to keep, by the name of the choice, ascending.

    Args:
        members: (P,) the SAE's latents in the groups; -1: none. "members" is left out where all
            are -1.
        energy: (L,).
    """
    yield "all", np.arange(len(energy))
    own = np.sort(members[members >= 0])
    if len(own):
        yield "members", own
    yield "largest", np.sort(np.argsort(-energy, kind="stable")[: len(members)])


def _measured(name: str, sae: SAE, batches: Batches) -> Measured:
    found = measure({name: sae}, ((x, x) for x in batches()))[name]
    if not math.isfinite(found.fvu):
        raise ValueError("the held-out tokens are all the same: their variance is 0")
    return found
