"""Which stores a harvest has to fill, and which are there."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ...common.parts import part_of
from ...common.units import format_bytes
from .begun import delete_descriptions, look
from .config import HarvestConfig
from .disk import check_disk, most_tokens, row_bytes
from .filling import Filling
from .hooked_model import HookedModel, arithmetic, is_sink
from .meta import read_meta
from .settings import check_settings, settings_of
from .store import ActivationStore, open_activations
from .writer import StoreWriter


class Plan:
    """Which stores a part of a harvest has to go on with, and in what dtype the model runs.

    Args:
        config: what to collect.
        names: the hookpoints.
        out: the folder of the stores.
        device: where the model runs.
        part: (i, n): part i of n is to be harvested.

    Attributes:
        unfinished: the names of the stores of which this part's shards are not all there.
        dtype: of the model.

    Raises:
        ValueError: ``part`` is not (i, n) with 1 <= i <= n, or a store was harvested with other
            settings.
    """

    def __init__(
        self,
        config: HarvestConfig,
        names: Sequence[str],
        out: Path,
        device: torch.device,
        part: tuple[int, int],
    ) -> None:
        self._config, self._out, self._parts = config, out, part[1]
        self._own = part_of(range(sys.maxsize), part)
        self._folders = {name: store_folder(out, name) for name in names}
        self._found = {name: look(folder) for name, folder in self._folders.items()}
        open_ones = [each.meta for each in self._found.values() if not each.is_complete]
        begun = [meta["settings"]["dtype"] for meta in open_ones if meta and "settings" in meta]
        # A harvest goes on in the dtype in which it was begun.
        wanted = begun[0] if begun and config.dtype == "auto" else config.dtype
        self.dtype = arithmetic(wanted, device)
        for name, found in self._found.items():
            if found.meta is not None:
                done = config.dtype == "auto" and found.is_complete
                dtype = found.meta["dtype"] if done else self.dtype
                check_settings(found.meta, settings_of(config, name, dtype), self._folders[name])
        self.unfinished = [n for n, each in self._found.items() if each.missing(part) != []]

    def open(self, say: Callable[[str], None]) -> dict[str, ActivationStore]:
        """Open the stores whose shards are all there, and say what others wait for.

        What a process that was killed had left to do to complete a store is done first.
        """
        stores = {}
        for name, folder in self._folders.items():
            found = self._found[name]
            missing = found.missing()
            if missing:
                say(f"{name}: {_left(missing, len(found.shards), self._parts)}")
            elif found.is_complete:
                if found.end is not None:  # it was written when another process was done
                    delete_descriptions(folder)
                stores[name] = open_activations(folder)
            else:
                facts = found.end["facts"] if found.end else {}
                stores[name] = StoreWriter(folder, {}).finish(**facts)
        return stores

    def begin(
        self, model: HookedModel, first: Tensor, say: Callable[[str], None]
    ) -> list[Filling] | None:
        """Begin or take up the unfinished stores.

        Args:
            model: that of the harvest.
            first: the first batch of token ids.
            say: told how much disk they may take.

        Returns:
            The stores, or None if at the same moment another process began one in another dtype.
        """
        outputs = model.activations(self.unfinished, first, 0)
        say(self._check_disk({name: output.shape[-1] for name, output in outputs.items()}))
        stores = []
        for name in self.unfinished:
            skip = self._config.skip_first
            if skip is None:
                skip = is_sink(outputs[name], first, model.bos)
            settings = settings_of(self._config, name, self.dtype)
            store = Filling(name, self._folders[name], settings, model.bos, skip, self._own)
            if store.dtype != self.dtype:
                return None
            stores.append(store)
        return stores

    def _check_disk(self, widths: dict[str, int]) -> str:
        """Return what is about to be written, and raise OSError if there is no room for it."""
        rows = min(self._config.tokens, most_tokens(self._config.text) or self._config.tokens)
        itemsize = getattr(torch, self.dtype).itemsize
        needed = 0
        for name, width in widths.items():
            there = sum(shard["rows"] for shard in self._found[name].shards.values())
            needed += max(0, rows - there) * row_bytes(width, itemsize)
        free = check_disk(self._out, needed)
        return (
            f"{', '.join(widths)}: up to {rows:,} activations each take up to "
            f"{format_bytes(needed)} more in {self._out}, where {format_bytes(free)} are free"
        )


def store_folder(out: Path, hookpoint: str) -> Path:
    """Return the folder of a hookpoint's store; before there were several, it was ``out``."""
    former = read_meta(out)
    if former is not None and former.get("hookpoint") == hookpoint:
        return out
    return out / hookpoint


def _left(missing: Sequence[int], there: int, parts: int) -> str:
    left = sorted({number % parts + 1 for number in missing})
    named = " ".join(f"{part}/{parts}" for part in left)
    return (
        f"{there:,} of {there + len(missing):,} shards are there; "
        f"parts {named} are left to other jobs"
    )
