"""Runs a language model over text and stores what some of its modules give."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...common.files import StrPath
from ...common.progress import Progress, silent
from ...common.units import format_bytes
from .config import HarvestConfig
from .disk import check_disk, most_tokens, row_bytes
from .filling import Filling
from .groups import batches_of_shard, ids_digest
from .hooked_model import HookedModel, arithmetic, harvest_device, is_sink
from .language_model import is_pattern
from .settings import check_settings, settings_of
from .store import ActivationStore, open_activations, read_meta
from .text import documents


def harvest(
    config: HarvestConfig,
    out: StrPath,
    *,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> dict[str, ActivationStore]:
    """Fill a store with the activations of each hookpoint, in one pass over the text.

    The store of a hookpoint is the folder ``out/<hookpoint>``; one that an earlier version left in
    ``out`` itself is used, too. Texts are joined, each followed by the end-of-sequence token, and
    cut in sequences (`token_batches`); the model runs as far as the last hooked module, on the GPU
    if there is one. Called again after it was interrupted, it goes on after the last finished
    shard, and shards that are gone are made anew; complete stores are just opened, and other
    hookpoints can be added.

    A store's ``meta.json`` tells, besides the settings: ``bos``, the token that sequences begin
    with and that is not stored; ``skip_first``, whether the first token after it was left out;
    ``text_ended``, whether the text ended before ``tokens`` were stored; ``skipped_rows`` of the
    text, ``blank`` and ``null``; and the spread of ``norms``.

    Args:
        config: what to collect.
        out: the folder of the stores.
        progress: told of the phases "model" and "harvest"; of several stores, the least full.
        say: told in one line, before anything is written, how much disk it may take.

    Returns:
        The stores by the hookpoints' names, in the order asked for, patterns in that of the model.

    Raises:
        FileNotFoundError: there is no such text, or no such model file.
        OSError: the model cannot be loaded, the disk has too little room, or a shard cannot be
            written (finished ones stay).
        ValueError: a store was harvested with other settings; a hookpoint, the model, its
            tokenizer or the text is wrong; the context is longer than the model's; a token id is
            out of range; the text holds no token; an activation is NaN or infinite (its shard is
            not written).
    """
    out, progress = Path(out), progress or silent
    device = harvest_device()
    if not any(map(is_pattern, config.hookpoint)):
        plan = _Plan(config, config.hookpoint, out, device)
        if not plan.unfinished:
            return plan.open()
    texts = documents(config.text, column=config.text_column, split=config.text_split)
    progress("model", 0, 1, "model")
    model = HookedModel(config)
    progress("model", 1, 1, "model")
    plan = _Plan(config, model.names, out, device)
    if not plan.unfinished:
        return plan.open()
    model.move(device, plan.dtype)
    first, batches = model.token_batches(texts)
    stores = plan.begin(model, first, say or (lambda _line: None))
    _fill(stores, config, model, batches, progress)
    for store in stores:
        store.finish(config.tokens, texts.skipped)
    return plan.open()


class _Plan:
    """Which stores there are, which are to be filled, and in what dtype the model runs."""

    def __init__(
        self, config: HarvestConfig, names: Sequence[str], out: Path, device: torch.device
    ) -> None:
        self._config = config
        self._out = out
        self._folders = {name: _folder(out, name) for name in names}
        metas = {name: read_meta(folder) for name, folder in self._folders.items()}
        self.unfinished = {
            name: meta for name, meta in metas.items() if not _complete(self._folders[name], meta)
        }
        begun = [meta["dtype"] for meta in self.unfinished.values() if meta and "dtype" in meta]
        # A harvest goes on in the dtype in which it was begun.
        wanted = begun[0] if begun and config.dtype == "auto" else config.dtype
        self.dtype = arithmetic(wanted, device)
        for name, meta in metas.items():
            if meta is not None:
                done = config.dtype == "auto" and name not in self.unfinished
                dtype = meta["dtype"] if done else self.dtype
                check_settings(meta, settings_of(config, name, dtype), self._folders[name])

    def open(self) -> dict[str, ActivationStore]:
        """Open the stores, which are complete."""
        return {name: open_activations(folder) for name, folder in self._folders.items()}

    def begin(self, model: HookedModel, first: Tensor, say: Callable[[str], None]) -> list[Filling]:
        """Begin or take up the unfinished stores; ``first`` is the first batch of token ids."""
        outputs = model.activations(list(self.unfinished), first, 0)
        say(self._check_disk({name: output.shape[-1] for name, output in outputs.items()}))
        skip = {name: meta["skip_first"] for name, meta in self.unfinished.items() if meta}
        for name in self.unfinished.keys() - skip.keys():
            asked = self._config.skip_first
            skip[name] = is_sink(outputs[name], first, model.bos) if asked is None else asked
        return [
            Filling(
                name,
                self._folders[name],
                settings_of(self._config, name, self.dtype),
                model.bos,
                skip[name],
            )
            for name in self.unfinished
        ]

    def _check_disk(self, widths: dict[str, int]) -> str:
        """Return what is about to be written, and raise OSError if there is no room for it."""
        rows = min(self._config.tokens, most_tokens(self._config.text) or self._config.tokens)
        itemsize = getattr(torch, self.dtype).itemsize
        needed = sum(
            max(0, rows - _rows_on_disk(self._folders[name], meta))
            * row_bytes(widths[name], itemsize)
            for name, meta in self.unfinished.items()
        )
        free = check_disk(self._out, needed)
        return (
            f"{', '.join(widths)}: up to {rows:,} activations each take up to "
            f"{format_bytes(needed)} more in {self._out}, where {format_bytes(free)} are free"
        )


def _folder(out: Path, hookpoint: str) -> Path:
    """Return the folder of a hookpoint's store; before there were several, it was ``out``."""
    former = read_meta(out)
    if former is not None and former.get("hookpoint") == hookpoint:
        return out
    return out / hookpoint


def _rows_on_disk(folder: Path, meta: dict[str, Any] | None) -> int:
    shards = meta["shards"] if meta else []
    return sum(shard["rows"] for shard in shards if (folder / shard["file"]).exists())


def _complete(folder: Path, meta: dict[str, Any] | None) -> bool:
    return (
        meta is not None
        and bool(meta["complete"])
        and all((folder / shard["file"]).exists() for shard in meta["shards"])
    )


def _fill(
    stores: list[Filling],
    config: HarvestConfig,
    model: HookedModel,
    batches: Iterator[Tensor],
    progress: Progress,
) -> None:
    """Write the shards that are not there yet, and check that the others are of the same text."""
    per_shard = batches_of_shard(config)
    number = first_token = 0  # of the next shard

    def report() -> None:
        progress("harvest", min(s.made for s in stores), config.tokens, "tokens")

    report()
    while (waiting := [s for s in stores if s.rows < config.tokens]) and (
        group := list(islice(batches, per_shard))
    ):
        digest = ids_digest(group)
        lacking = [s for s in waiting if s.lacks(number, digest, config.text)]
        for input_ids in group:
            short = [s for s in lacking if s.wants(config.tokens)]
            if short:
                names = [s.name for s in short]
                outputs = model.activations(names, input_ids, first_token)
                for store in short:
                    store.take(outputs[store.name], input_ids, config.tokens)
                report()
            first_token += input_ids.numel()
        for store in lacking:
            store.write(number, group, digest)
        for store in waiting:
            store.passed(number)
        number += 1
    if any(s.rows < config.tokens for s in stores):
        least = min(s.rows for s in stores)
        progress("harvest", least, least, "tokens")
