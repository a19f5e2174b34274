"""`pool`: the latents that seeds share, from a folder of matches to an SAE on disk."""

from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...common.blocks import slices
from ...common.files import StrPath, sha256
from ...common.progress import Progress, silent
from ...common.tables import save_table
from ...sae import save_sae
from ...sae.activations import ActivationStore
from ...sae.evaluation.checks import check_saes
from ...sae.formats.layouts import WEIGHT_FILES
from ...sae.formats.paths import weight_file
from .compare import compare
from .fitting import Fitted, array, fit, members_of
from .groups import Directions, Groups, mean_directions
from .source import read_source
from .threshold import Batches
from .tuned import jumprelu

FORMAT = "twinsae-pool/1"
POOL = "pool.npz"

_BATCH = 1024


def pool(
    stable: StrPath,
    store: ActivationStore,
    out: StrPath,
    *,
    seeds_at_least: int | None = None,
    l0: float | None = None,
    tokens: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write one SAE made of the latents that several SAEs share, and measure it beside them.

    Each group of linked latents becomes one latent: `groups.mean_directions` has its rows of
    encoder and decoder, `fitting` its scale and bias. The pool is a JumpReLU SAE with one threshold
    for all latents, set so that its mean L0 is that of the SAEs (`threshold.set_l0`), and with a
    decoder bias by least squares (`tuned`). The first half of the tokens is for fitting; threshold,
    L0 and FVU are of the second.

    Beside it each SAE is measured ``as_trained``, and three times as a JumpReLU SAE with a
    threshold and a decoder bias made in the same way for the pool's L0: with ``all`` latents, with
    its own ``members`` of the groups alone, and with as many latents as the pool has, those that
    contribute the most squared length on the fitting tokens (``largest``).

    Writes the SAE to ``out``, and ``out/pool.npz`` with ``out/pool.json``: one row a latent, and
    what it was made from. Columns: ``group``; ``size``, its members; ``latent_0`` ..., the member
    in each SAE or -1; ``decoder_agreement`` and ``encoder_agreement``, the lengths of the mean unit
    rows; ``tokens`` of the fitting half on which a member was active; ``scale`` and ``bias``.

    Args:
        stable: a folder of `match_all` in which `stable_files` has grouped the latents.
        store: activations that all the SAEs read.
        out: the SAE's folder; made if missing.
        seeds_at_least: pool the groups with latents of so many SAEs; None: of all.
        l0: mean number of active latents of a token; None: the mean of the SAEs' own.
        tokens: the first so many rows of the store; None: all.
        progress: told of the phase "fit" in tokens, and of "compare" in SAEs.

    Returns:
        ``{"latents", "seeds_at_least", "l0": the one wanted, "threshold", "compared": [{"sae",
        "as", "latents", "l0", "fvu"}], of which the first is the pool, "tokens": {"fit",
        "held_out"}, "never_active": latents of which no member was active on the fitting half,
        "members_l0": {name: mean number of the SAE's members that are active on a token of it},
        "agreement": {"decoder", "encoder": means}}``.

    Raises:
        FileNotFoundError: a file of the folder, or an SAE, is not there.
        ValueError: the SAEs are others now, are no plain SAEs of `train`'s architectures, or do
            not fit the activations; no group is large enough; a number is out of range; or ``out``
            holds another SAE.
        OSError: a file could not be written.
    """
    told, out = progress or silent, Path(out)
    _check_out(out)
    source = read_source(Path(stable), seeds_at_least)
    saes = dict(zip(source.names, source.saes, strict=True))
    check_saes(saes, store.d_in, None, where=str(store.path))
    rows = _rows(store, tokens)
    half = rows // 2
    fitting, held_out = _batches(store, 0, half), _batches(store, half, rows)
    encoder = mean_directions(source.groups, (array(sae.encoder.weight) for sae in source.saes))
    decoder = mean_directions(source.groups, (array(sae.W_dec) for sae in source.saes))
    members = members_of(source.saes, source.groups, decoder.units)
    fitted = fit(members, source.groups, encoder.units, _told(fitting(), half, told))
    pooled = jumprelu(
        encoder.units * fitted.affine.scale[:, None], fitted.affine.bias, decoder.units
    )
    found = compare(source, fitted.energy, pooled, fitting, held_out, l0, told)
    summary = {
        "latents": len(source.groups.group),
        "seeds_at_least": seeds_at_least or len(source.saes),
        **found,
        "tokens": {"fit": half, "held_out": rows - half},
        "never_active": int((fitted.tokens == 0).sum()),
        "members_l0": dict(zip(source.names, fitted.l0, strict=True)),
        "agreement": {
            "decoder": float(decoder.agreement.mean()),
            "encoder": float(encoder.agreement.mean()),
        },
    }
    save_sae(pooled, out)
    facts = {
        "version": version("twinsae"),
        **source.facts,
        "activations": {"path": str(store.path), "fingerprint": store.fingerprint},
        "weights": sha256(weight_file(out)),
        "summary": summary,
    }
    save_table(out / POOL, FORMAT, _columns(source.groups, fitted, encoder, decoder), facts)
    return summary


def _check_out(out: Path) -> None:
    described = out / Path(POOL).with_suffix(".json")
    if not described.is_file() and any((out / name).exists() for name in WEIGHT_FILES):
        raise ValueError(f"out: {out} holds an SAE that is no pool; choose another folder")


def _rows(store: ActivationStore, tokens: int | None) -> int:
    rows = store.rows if tokens is None else min(tokens, store.rows)
    if rows < 2:
        raise ValueError(f"tokens: expected 2 or more, to fit and to hold out, got {rows}")
    return rows


def _batches(store: ActivationStore, start: int, stop: int) -> Batches:
    def read() -> Iterator[Tensor]:
        for rows in slices(stop, _BATCH, start=start):
            yield store.gather(np.arange(rows.start, rows.stop))

    return read


def _told(batches: Iterable[Tensor], total: int, told: Progress) -> Iterator[Tensor]:
    """Pass on the batches, and tell how many rows are done when the next is asked for."""
    done = 0
    told("fit", 0, total, "tokens")
    for x in batches:
        yield x
        done += len(x)
        told("fit", done, total, "tokens")


def _columns(
    groups: Groups, fitted: Fitted, encoder: Directions, decoder: Directions
) -> dict[str, NDArray[Any]]:
    return {
        "group": groups.group,
        "size": groups.size,
        **{f"latent_{seed}": own for seed, own in enumerate(groups.members.T)},
        "decoder_agreement": decoder.agreement,
        "encoder_agreement": encoder.agreement,
        "tokens": fitted.tokens,
        "scale": fitted.affine.scale,
        "bias": fitted.affine.bias,
    }
