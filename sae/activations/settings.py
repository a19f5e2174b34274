"""What a store was harvested with, which a later call must ask for, too."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from .config import HarvestConfig


def settings_of(config: HarvestConfig, hookpoint: str, dtype: str) -> dict[str, Any]:
    """Return the settings of one hookpoint's store, with "auto" decided for its dtype."""
    return asdict(config) | {"hookpoint": hookpoint, "dtype": dtype}


def check_settings(meta: dict[str, Any], asked: dict[str, Any], folder: Path) -> None:
    """Raise if a store was harvested with other settings than those asked for.

    Raises:
        ValueError: it was, or it was not harvested at all.
    """
    if "settings" not in meta:
        raise ValueError(f"{folder} holds activations that were not harvested; use another folder")
    # A setting that the store's version did not have is what its default says.
    settings = settings_of(HarvestConfig(), asked["hookpoint"], "auto") | meta["settings"]
    for name, value in asked.items():
        if settings[name] != value:
            raise ValueError(
                f"{folder} holds activations harvested with {name}={settings[name]!r}, "
                f"now asked for {value!r}; use another folder or delete this one"
            )
