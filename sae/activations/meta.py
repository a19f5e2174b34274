"""``meta.json``, a store's description of itself."""

import json
from pathlib import Path
from typing import Any

FORMAT = "twinsae-activations/2"
OLD_FORMAT = "twinsae-activations/1"
META = "meta.json"


def read_meta(folder: Path) -> dict[str, Any] | None:
    """Return the content of a store's ``meta.json``, or None where there is none.

    Raises:
        ValueError: it is not one of this format, or of the one before.
    """
    path = folder / META
    if not path.exists():
        return None
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is corrupt: not JSON ({error})") from error
    if not isinstance(meta, dict) or meta.get("format") not in (FORMAT, OLD_FORMAT):
        raise ValueError(f"{path} is not the description of a store of format {FORMAT!r}")
    return meta
