"""Makes the table of SAELens' registry anew (`make saelens-names`)."""

import gzip
import json
import sys
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Any

from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory


def read_registry() -> dict[str, Any]:
    """What `twinsae.sae.hub.saelens_names.table` returns, from the installed sae-lens."""
    releases = {}
    for release, found in get_pretrained_saes_directory().items():
        entry = {"repo": found.repo_id, "saes": found.saes_map}
        if found.norm_scaling_factor:
            entry["scaling"] = found.norm_scaling_factor
        if found.config_overrides:
            entry["overrides"] = found.config_overrides
        releases[release] = entry
    (licence,) = (f for f in distribution("sae-lens").files or [] if f.name.startswith("LICENSE"))
    return {
        "sae_lens": version("sae-lens"),
        "notice": licence.read_text(),
        "releases": dict(sorted(releases.items())),
    }


if __name__ == "__main__":
    text = json.dumps(read_registry(), ensure_ascii=False, separators=(",", ":"))
    # The same registry makes the same bytes.
    Path(sys.argv[1]).write_bytes(gzip.compress(text.encode(), mtime=0))
