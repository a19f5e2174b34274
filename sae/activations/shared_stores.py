"""Stores in a folder that many runs share: who needs the same harvest finds it."""

import fcntl
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ...common.files import StrPath
from ...common.progress import Progress, silent
from .config import HarvestConfig
from .harvesting import harvest
from .hooked_model import arithmetic, harvest_device
from .identity import harvest_identity
from .sources import PACKAGED, locate_model, locate_text
from .store import ActivationStore


def harvest_shared(
    config: HarvestConfig,
    cache: StrPath,
    *,
    shard: tuple[int, int] = (1, 1),
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> dict[str, ActivationStore]:
    """Return the stores of a harvest from a shared folder; what is missing is harvested there.

    The store of a hookpoint is the folder ``cache/<hash>/<hookpoint>``. The hash is of the model,
    the text and the settings: of the paths and the content of files, of the names of what is on
    the Hub. A file that has changed thus makes another store, and nothing is ever deleted. Where
    two processes need the same harvest, the second waits for the first; parts of one do not wait
    for each other. The hash is of the dtype, too: where "auto" is not the same on all machines,
    give one.

    Args:
        config: what to collect.
        cache: the shared folder; it is made if need be.
        shard: as in `harvest`.
        progress: told of the phases "model" and "harvest", and of "waiting" for another process.
        say: as in `harvest`.

    Raises:
        FileNotFoundError, OSError, ValueError: as `harvest`.
    """
    config = _with_whole_paths(config)
    folder = Path(cache) / _hash(config)
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / ".lock", shard[1] > 1, progress or silent):
        return harvest(config, folder, shard=shard, progress=progress, say=say)


def _hash(config: HarvestConfig) -> str:
    dtype = arithmetic(config.dtype, harvest_device())
    identity = harvest_identity(config, dtype=dtype)
    # The paths count, too, because a store says where its activations are from.
    return hashlib.sha256(f"{identity}\n{config.model}\n{config.text}".encode()).hexdigest()[:16]


def _with_whole_paths(config: HarvestConfig) -> HarvestConfig:
    """Return the config with paths that mean the same from every folder."""
    model, text = Path(config.model), locate_text(config.text)
    locate_model(config.model)
    if config.model not in PACKAGED and model.exists():
        config = replace(config, model=str(model.resolve()))
    return config if text is None else replace(config, text=str(text.resolve()))


@contextmanager
def _locked(path: Path, with_others: bool, progress: Progress) -> Iterator[None]:
    """Hold a lock, alone or with others of its kind; it ends with the process, too."""
    kind = fcntl.LOCK_SH if with_others else fcntl.LOCK_EX
    with path.open("w") as file:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting", 0, 1, "harvest")
            fcntl.flock(file, kind)
            progress("waiting", 1, 1, "harvest")
        yield
