"""The substitution test within a language model: what single latents lose there, and many.

A's reconstruction takes the place of a module's output, with latents replaced. Cross-entropy and KL
are those of `sae.evaluation.Spliced`, in nats. A single latent is replaced in the first sequence of
the text in which it fires: no other sequence, and nothing before it fires, would change.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...common.progress import Progress
from ...sae.evaluation.splice import Sums
from .curves import RANKS, by_cosine, cuts, quality
from .model_runs import ModelRuns
from .observed import Observed, firings
from .on_store import KINDS, Columns, replacement
from .partners import cosines
from .replacement import Floats, Ints, cumulative_errors, removed
from .sampling import Sample

CURVE_TOKENS = 512
"""Tokens, about, on which many latents are replaced: the first whole sequences of a text."""


def single_latents(
    runs: ModelRuns,
    observed: Observed,
    units: tuple[Floats, Floats],
    partner: Ints,
    sample: Sample,
    progress: Progress,
) -> Columns:
    """Return one row for each latent of a sample: what the model loses when it alone is replaced.

    Args:
        runs: the model and its text.
        observed: the SAEs A and B on the text's activations.
        units: (L_A, D) and (L_B, D), their decoder rows at length 1.
        partner: (L_A,), latents of B.
        sample: which latents are tried, and where.
        progress: told of the phase "single latents".

    Returns:
        Columns: ``latent``, ``stratum``, ``partner``, ``cosine``, ``firings`` in the sequence, and
        for "removed", "direction" and "activation" the change per firing of the losses summed over
        the sequence, ``ce_KIND`` and ``kl_KIND``.
    """
    made = {"removed": removed(observed.a, units[0])} | {
        kind: replacement(kind, observed, units, partner) for kind in KINDS
    }
    changed = np.zeros((len(sample.latent), len(made), 2))
    done = 0
    progress("single latents", 0, len(changed), "latents")
    for sequence in np.unique(sample.sequence):
        tokens = slice(*runs.starts[sequence : sequence + 2])
        places = np.flatnonzero(sample.sequence == sequence)
        errors = [observed.error[tokens]]
        for latent in sample.latent[places]:
            for m, w in made.values():
                column = m[:, [latent]].toarray()[tokens]  # (n, 1)
                errors.append(errors[0] + column * w[latent])
        _, (base, *losses) = runs.losses(int(sequence), errors)
        change = np.array(losses) - np.array(base)
        changed[places] = change.reshape(len(places), len(made), 2)
        done += len(places)
        progress("single latents", done, len(changed), "latents")
    latent, firing = sample.latent, sample.firings
    table: Columns = {
        "latent": latent,
        "stratum": sample.stratum,
        "partner": partner[latent],
        "cosine": cosines(*units, partner)[latent],
        "firings": firing,
    }
    for number, kind in enumerate(made):
        for place, loss in enumerate(Sums._fields):
            table[f"{loss}_{kind}"] = changed[:, number, place] / firing
    return table


def many_latents(
    runs: ModelRuns,
    observed: Observed,
    units: tuple[Floats, Floats],
    choices: Mapping[str, Ints],
    progress: Progress,
) -> tuple[Columns, dict[str, Any]]:
    """Replace the directions of more and more latents, by falling cosine, at `RANKS` points.

    Arguments as for `single_latents`; ``choices`` are partners (L_A,) by name, and progress is told
    of the phase "many latents".

    Returns:
        Columns ``choice``, ``replaced`` (latents), ``share`` (of those that fire in the text),
        ``ce`` and ``kl`` (means over the tokens), ``quality_ce`` and ``quality_kl`` (see
        `curves.quality`); and the losses without any replaced, ``ce_sae`` and ``kl_sae``, with the
        mean of the activations, ``ce_mean`` and ``kl_mean``, of how many ``tokens``.

    Raises:
        ValueError: no token's prediction counts.
    """
    sequences = _first_sequences(runs.starts)
    rows = int(runs.starts[len(sequences)])
    mean = runs.x.double().mean(dim=0) - runs.x[:rows].double()  # (rows, D)
    errors = [observed.error[:rows], mean.numpy()]
    names, replaced, share = [], [], []
    for name, partner in choices.items():
        order = by_cosine(cosines(*units, partner), firings(observed.a) > 0)
        numbers = cuts(len(order))
        made = replacement("direction", observed, units, partner)
        made = made._replace(coefficients=made.coefficients[:rows])
        errors += [e.copy() for e in cumulative_errors(made, errors[0], order, numbers)]
        names += [name] * RANKS
        replaced += numbers
        share += [number / max(len(order), 1) for number in numbers]
    total, tokens = np.zeros((len(errors), 2)), 0
    progress("many latents", 0, len(sequences), "sequences")
    for sequence in sequences:
        own = slice(*runs.starts[sequence : sequence + 2])
        counted, losses = runs.losses(sequence, [error[own] for error in errors])
        total, tokens = total + np.array(losses), tokens + counted
        progress("many latents", sequence + 1, len(sequences), "sequences")
    if not tokens:
        raise ValueError("text: no token is replaced and followed by another")
    first, worst, *points = total / tokens
    table: Columns = {
        "choice": np.array(names),
        "replaced": np.array(replaced),
        "share": np.array(share),
    }
    facts: dict[str, Any] = {"tokens": tokens}
    for place, loss in enumerate(Sums._fields):
        table[loss] = np.array(points)[:, place]
        facts |= {f"{loss}_sae": float(first[place]), f"{loss}_mean": float(worst[place])}
        table[f"quality_{loss}"] = quality(table[loss], first[place], worst[place])
    return table, facts


def _first_sequences(starts: Ints) -> range:
    """Return the first sequences that together have `CURVE_TOKENS` rows, or all."""
    return range(min(int(np.searchsorted(starts, CURVE_TOKENS)), len(starts) - 1))
