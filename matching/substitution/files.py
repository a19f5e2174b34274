"""`substitute`: the substitution test of a match, from its folder to tables on disk."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from ...common.blocks import slices
from ...common.files import StrPath, sha256
from ...common.memory import check_memory
from ...common.progress import Progress, silent
from ...common.tables import save_table
from ...sae.activations import ActivationStore, HarvestConfig
from ...sae.evaluation.checks import check_saes
from ..criteria.partners import greedy_partners
from ..rows import StoredRows
from .curves import area
from .in_model import many_latents, single_latents
from .model_runs import ModelRuns
from .observed import firings, observe, unit_rows
from .on_store import Columns, curve_table, latent_table, summary
from .pair import Pair, load_pair, load_partners
from .partners import cosines, max_cosine_partners, random_partners
from .replacement import Floats, Ints
from .sampling import STRATA, sample_latents

FORMAT = "twinsae-substitution/1"
LATENTS = "substitution.npz"
CURVES = "substitution-curves.npz"
MODEL_LATENTS = "substitution-model-latents.npz"
MODEL_CURVES = "substitution-model-curves.npz"
TOKENS = 8192

_BATCH = 2048
_ARRAYS = 6  # (N, D) and (L, D) arrays of float64 that are in memory at once


def substitute(
    match: StrPath,
    store: ActivationStore,
    out: StrPath,
    *,
    tokens: int = TOKENS,
    by_activations: StrPath | None = None,
    model: HarvestConfig | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Replace each latent of A by a partner in B, and write what it does to A's reconstruction.

    Writes ``substitution.npz`` (`on_store.latent_table`) and ``substitution-curves.npz``
    (`on_store.curve_table`) into ``out``; with a model also ``substitution-model-latents.npz`` and
    ``substitution-model-curves.npz`` (`in_model`). Beside each lies a JSON file that says what it
    was made from; that of ``substitution.npz`` holds the summary.

    Args:
        match: the folder that `match_files` wrote, with the matching of the decoders.
        store: activations that both SAEs read.
        out: the folder to write to; made if missing.
        tokens: the first so many rows of the store; fewer if it has fewer.
        by_activations: a .npz file with another matching of the same SAEs: its ``rows`` and
            ``cols`` are one choice of partners more, "activations".
        model: the language model, one hookpoint, and the text; None: no model is run.
        seed: of the random partners, and of the latents that are tried within the model.
        progress: told how far each phase has come.

    Returns:
        The summary: ``fvu`` and ``fvu_b``, ``tokens``, ``live`` (latents of A that fire),
        ``choices`` by name (`on_store.summary`), and ``model``, None or what was found there.

    Raises:
        FileNotFoundError: there is no such match, SAE, model or text.
        ValueError: an SAE has changed since the match, is a transcoder, does not fit the
            activations or the model; or ``by_activations`` is no matching of the two.
        OSError: a file could not be written, or the model cannot be loaded.
    """
    told = progress or silent
    pair = load_pair(match)
    check_saes({"A": pair.a, "B": pair.b}, store.d_in, None, where=str(store.path))
    rows = min(tokens, store.rows)
    latents = pair.a.config.num_latents + pair.b.config.num_latents
    check_memory("the substitution test", 8 * _ARRAYS * (rows + latents) * store.d_in, None)
    observed = observe(pair.a, pair.b, store.in_order(_BATCH, rows), total=rows, progress=told)
    units = unit_rows(pair.a), unit_rows(pair.b)
    given = None
    if by_activations is not None:
        sizes = pair.a.config.num_latents, pair.b.config.num_latents
        given = load_partners(by_activations, *sizes)
    choices = _choices(pair, units, given, told)
    live = firings(observed.b) > 0
    with_random = choices | {"random": random_partners(len(units[0]), live, seed)}
    table = latent_table(observed, units, with_random, told)
    curves = curve_table(observed, units, with_random, told)
    found: dict[str, Any] = {
        "tokens": rows,
        "live": int((table["fired"] > 0).sum()),
        "fvu": observed.fvu,
        "fvu_b": observed.fvu_b,
        "choices": summary(table, curves, with_random),
        "model": None,
    }
    tables = {LATENTS: table, CURVES: curves}
    del observed
    if model is not None:
        found["model"], more = _in_model(pair, units, choices, model, seed, told)
        tables |= more
    made_from = {
        "version": version("twinsae"),
        "inputs": pair.inputs,
        "activations": {"path": str(store.path), "fingerprint": store.fingerprint},
        "by_activations": by_activations and {
            "path": str(by_activations), "sha256": sha256(Path(by_activations)),
        },
        "seed": seed,
    }  # fmt: skip
    for name, columns in tables.items():
        told_of = {"summary": found} if name == LATENTS else {}
        save_table(Path(out) / name, FORMAT, columns, made_from | told_of)
    return found


def _choices(
    pair: Pair, units: tuple[Floats, Floats], given: Ints | None, progress: Progress
) -> dict[str, Ints]:
    """Return the partners of all latents by the name of what chose them, except the random ones."""
    progress("partners", 0, 1, "scan")
    choices = {
        "exact": pair.exact,
        "greedy": greedy_partners(StoredRows(units[0], "A"), StoredRows(units[1], "B")),
        "max_cosine": max_cosine_partners(*units),
    }
    progress("partners", 1, 1, "scan")
    return choices if given is None else choices | {"activations": given}


def _in_model(
    pair: Pair,
    units: tuple[Floats, Floats],
    choices: dict[str, Ints],
    config: HarvestConfig,
    seed: int,
    progress: Progress,
) -> tuple[dict[str, Any], dict[str, Columns]]:
    """Return what the summary says of the model, and the tables."""
    runs = ModelRuns(config, progress)
    check_saes({"A": pair.a, "B": pair.b}, runs.x.shape[1], None, where=runs.name)
    batches = (runs.x[rows] for rows in slices(len(runs.x), _BATCH))
    observed = observe(pair.a, pair.b, batches, total=len(runs.x), progress=progress)
    sample = sample_latents(cosines(*units, pair.exact), observed.a, runs.starts, seed)
    latents = single_latents(runs, observed, units, pair.exact, sample, progress)
    curves, facts = many_latents(runs, observed, units, choices, progress)
    areas = {
        name: {
            loss: area(curves[f"quality_{loss}"][curves["choice"] == name]) for loss in ("ce", "kl")
        }
        for name in choices
    }
    found = {
        "name": config.model,
        "hookpoint": runs.name,
        "text": config.text,
        "text_tokens": len(runs.x),
        "fvu": observed.fvu,
        **facts,
        "areas": areas,
        "strata": _strata(latents),
    }
    return found, {MODEL_LATENTS: latents, MODEL_CURVES: curves}


def _strata(table: Columns) -> list[dict[str, Any]]:
    """Return for each stratum its cosines, and the mean changes of its latents."""
    found = []
    for stratum in range(STRATA):
        own = table["stratum"] == stratum
        if not own.any():
            continue
        means = {
            name: float(column[own].mean())
            for name, column in table.items()
            if name.startswith(("ce_", "kl_"))
        }
        cosine = table["cosine"][own]
        limits = {"cosine_from": float(cosine.min()), "cosine_to": float(cosine.max())}
        found.append({"latents": int(own.sum()), **limits, **means})
    return found
