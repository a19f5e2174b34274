"""`pool`: the pooled stable SAE of several seeds, as an SAE's folder."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...common.files import StrPath, sha256
from ...common.progress import Progress, silent
from ...common.tables import load_table, read_json, save_table
from ...sae import SAE, load_sae, save_sae
from ...sae.activations import ActivationStore
from ...sae.formats.paths import weight_file
from ..match_all import ALL_FORMAT, ALL_SUMMARY
from ..stable import STABLE, STABLE_FORMAT
from .assemble import Split, assemble
from .compare import compare
from .directions import Members, members

FORMAT = "twinsae-pool/1"
POOL = "pool.npz"
_FEWEST_TOKENS = 8


def pool(
    folder: StrPath,
    store: ActivationStore,
    out: StrPath,
    *,
    at_least: int | None = None,
    l0: float | None = None,
    tokens: int = 65_536,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write an SAE with one latent for each group of latents that come back in several seeds.

    Directions are the groups' means (`directions`); scale and bias of each latent are fitted by
    least squares on the first half of the tokens (`fit`), and a group of which no member is active
    there is left out. The SAE is a JumpReLU with one threshold for all latents, which the third
    quarter of the tokens sets so that ``l0`` latents are active on average. The decoder's bias is
    then the mean of what the latents leave, on the first half. The last quarter measures the FVU.

    Args:
        folder: of `match_all`, in which `stable_files` was called too.
        store: activations that all SAEs read.
        out: the folder of the SAE: ``cfg.json``, ``sae.safetensors``, and ``pool.npz`` with one row
            a latent: ``latent``, ``group``, ``size`` (members), ``scale``, ``bias`` and ``active``
            (tokens of the fit on which a member is active). ``pool.json`` has what is returned.
        at_least: the fewest SAEs of a group; None: more than half of them.
        l0: active latents a token; None: as many as the members alone have in their SAEs.
        tokens: of the store, the first; all if it has fewer.
        progress: told of the phases "fit", "threshold" and "measure".

    Returns:
        ``{"latents", "groups_left_out", "at_least", "l0", "threshold", "fvu", "tokens", "seeds":
        [{"name", "latents", "l0", "fvu"}], ...}``; FVU and L0 are of the last quarter. A seed has
        these numbers, too, with ``members_`` before the name: of its own members of the pooled
        groups alone; and, where its k can be set, with ``equal_``: with k as the pooled SAE's L0.

    Raises:
        FileNotFoundError: the folder is not of `match_all` and `stable_files`, or an SAE is gone.
        ValueError: a file is corrupt, an SAE has changed, no group has enough members, the store
            has another width or too few tokens; or an argument is out of range.
        OSError: a file could not be written.
    """
    place, told = Path(folder), progress or silent
    content = _seeds(place)
    table = load_table(place / STABLE, STABLE_FORMAT)
    saes = _load(content["dictionaries"], store)
    least = len(saes) // 2 + 1 if at_least is None else at_least
    found = _members(table.columns, saes, least)
    rows = min(tokens, store.rows)
    if rows < _FEWEST_TOKENS:
        raise ValueError(f"tokens: expected {_FEWEST_TOKENS} or more, got {rows:,}")
    if l0 is not None and not 0 < l0 < float("inf"):
        raise ValueError(f"l0: expected a number above 0, got {l0}")
    made = assemble(saes, found, Split(store, rows), l0, told)
    names = [each["name"] for each in content["dictionaries"]]
    save_sae(made.sae, out)
    facts = {
        "twinsae": version("twinsae"),
        "stable": {"path": str(place / STABLE), "sha256": table.facts["sha256"]},
        "inputs": [{name: each[name] for name in ("name", "path", "sha256")}
                   for each in content["dictionaries"]],
        "activations": {"path": str(store.path), "sha256": store.fingerprint},
        "sae": {"sha256": sha256(weight_file(Path(out)))},
        "at_least": least,
        "tokens": rows,
        "groups_left_out": made.left_out,
        "threshold": made.threshold,
        **compare(made.sae, dict(zip(names, saes, strict=True)), found, Split(store, rows), told),
    }  # fmt: skip
    save_table(Path(out) / POOL, FORMAT, made.columns, facts)
    return facts


def _seeds(folder: Path) -> dict[str, Any]:
    if not (folder / ALL_SUMMARY).is_file():
        raise FileNotFoundError(f"{folder} has no {ALL_SUMMARY}: expected one of `match_all`")
    if not (folder / STABLE).is_file():
        raise FileNotFoundError(f"{folder} has no {STABLE}: run `twinsae stable {folder}` first")
    return read_json(folder / ALL_SUMMARY, ALL_FORMAT)


def _load(dictionaries: Sequence[dict[str, Any]], store: ActivationStore) -> list[SAE]:
    saes = []
    for facts in dictionaries:
        path = Path(facts["path"])
        if sha256(weight_file(path)) != facts["sha256"]:
            raise ValueError(f"{path} has changed since it was matched")
        sae = load_sae(path).to(torch.float32)
        if sae.config.d_in != store.d_in or sae.config.d_out:
            raise ValueError(
                f"{path} reads and makes activations of width {sae.config.d_in:,} and "
                f"{sae.config.out_width:,}, but those of {store.path} have width {store.d_in:,}"
            )
        if sae.config.normalization != "none" or sae.config.skip_connection:
            raise ValueError(
                f"{path}: an SAE that normalises activations, or has a skip connection, is not "
                "pooled"
            )
        saes.append(sae)
    return saes


def _members(columns: dict[str, Any], saes: Sequence[SAE], at_least: int) -> Members:
    if not 1 <= at_least <= len(saes):
        raise ValueError(f"at_least: expected 1 to {len(saes)} SAEs, got {at_least}")
    sizes = [sae.config.num_latents for sae in saes]
    if np.bincount(columns["seed"], minlength=len(saes)).tolist() != sizes:
        raise ValueError(f"{STABLE} is of other SAEs: run `twinsae stable` again")
    found = members(columns["seed"], columns["group"], columns["group_size"], at_least)
    if not len(found.group):
        raise ValueError(f"at_least: no group has latents of {at_least} SAEs")
    return found
