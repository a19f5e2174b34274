"""What `twinsae train` says of the activations that it trains on."""

import json
from collections.abc import Iterator
from pathlib import Path

from ..common.files import atomic_write
from ..sae.activations import ActivationStore
from ..sae.activations.norms import OUTLIER_RATIO


def describe(store: ActivationStore) -> Iterator[str]:
    """Yield lines: how many rows, of what norms, and what was left out."""
    meta, norms = store.meta, store.norm_spread
    if len(shape := meta.get("shape", ())) > 2:
        yield f"the array of shape {tuple(shape)} is read as {store.rows:,} rows"
    if any(skipped := meta.get("skipped_rows", {}).values()):
        blank, null = skipped
        yield f"{blank:,} blank and {null:,} null rows of the text were skipped"
    if meta.get("bos") is not None:
        yield f"sequences begin with BOS (token {meta['bos']}), which is not stored"
    if meta.get("dropped") is not None:
        yield (
            f"{meta['dropped']:,} of {meta['dropped'] + store.rows:,} activations are left out, "
            f"with a norm over {meta['max_norm']:g} times the median"
        )
    yield (
        f"{store.rows:,} activations, norm {norms['min']:.4g} to {norms['max']:.4g}, "
        f"median {norms['median']:.4g}, 99.9th percentile {norms['p99.9']:.4g}"
    )
    if norms["max"] > OUTLIER_RATIO * norms["median"] > 0:
        yield (
            f"warning: the largest norm is {norms['max'] / norms['median']:,.0f} times the median; "
            "such tokens rule the loss and the FVU, and --max-norm 10 leaves them out"
        )


def record(store: ActivationStore, path: Path) -> None:
    """Write which activations SAEs were trained on, and how many were left out."""
    facts = {
        "activations": str(store.path),
        "rows": store.rows,
        "norms": store.norm_spread,
        "max_norm": store.meta.get("max_norm"),
        "dropped": store.meta.get("dropped", 0),
    }
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
