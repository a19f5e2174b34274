"""Runs a language model over text and stores what one of its modules gives."""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...common.files import StrPath
from ...common.progress import Progress, silent
from .config import HarvestConfig
from .language_model import find_module, load_language_model, module_output
from .store import ActivationStore, open_activations, read_meta
from .text import documents
from .tokens import token_batches
from .writer import StoreWriter

SINK_RATIO = 4.0
"""Position 0 is an attention sink where its mean norm is this many times off the others' median."""


def harvest(
    config: HarvestConfig, out: StrPath, *, progress: Progress | None = None
) -> ActivationStore:
    """Fill the store ``out`` with activations and return it.

    Documents are joined, each followed by the end-of-sequence token, and cut in sequences; the
    model runs as far as the hooked module, on the GPU if there is one. Called again after it was
    interrupted, it goes on after the last finished shard, and shards that are gone are made anew;
    a complete store is just opened. ``meta.json`` tells whether position 0 was left out
    (``skip_first``) and whether the text ended before ``tokens`` were stored (``text_ended``).

    Args:
        config: what to collect.
        out: the store's folder.
        progress: told of the phases "model" and "harvest".

    Raises:
        FileNotFoundError: there is no such text, or no such model file.
        OSError: the model cannot be loaded, or a shard cannot be written (finished ones stay).
        ValueError: ``out`` was harvested with other settings; the hookpoint, model or text is
            wrong; the text holds no token; an activation is NaN or infinite (its shard is not
            written).
    """
    out, progress = Path(out), progress or silent
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    meta = read_meta(out)
    settings = _settings(config, device, meta)
    if meta is not None:
        _check_settings(meta, settings, out)
        if meta["complete"] and all((out / shard["file"]).exists() for shard in meta["shards"]):
            return open_activations(out)
    texts = documents(config.text, column=config.text_column, split=config.text_split)
    progress("model", 0, 1, "model")
    model, tokenizer = load_language_model(config.model)
    source = _Source(model.to(device, getattr(torch, settings["dtype"])), config.hookpoint)
    progress("model", 1, 1, "model")
    batches = token_batches(texts, tokenizer, config.context, config.sequences)
    first = next(batches, None)
    if first is None:
        raise ValueError(f"text {config.text!r} has fewer than two tokens")
    if meta is None:
        source.skip_first = _skip_first(config, source, first)
    else:
        source.skip_first = meta["skip_first"]
    facts = {name: settings[name] for name in ("model", "hookpoint", "text", "context")}
    writer = StoreWriter(out, {**facts, "skip_first": source.skip_first, "settings": settings})
    return _fill(writer, config, source, chain([first], batches), progress)


def arithmetic(dtype: str, device: torch.device) -> str:
    """Return the dtype to run a model in: bfloat16 for "auto" where the hardware computes in it."""
    if dtype != "auto":
        return dtype
    if device.type == "cuda":
        fast = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bfloat16" if fast else "float32"


class _Source:
    """A model and its hooked module: token ids in, checked activations out."""

    def __init__(self, model: nn.Module, hookpoint: str) -> None:
        self._model = model
        self._module = find_module(model, hookpoint)
        self._device = next(model.parameters()).device
        self._hookpoint = hookpoint
        self.skip_first = False

    def activations(self, input_ids: Tensor, first_token: int) -> Tensor:
        """(B, T) token ids, of which the first is the text's ``first_token``-th -> (B, T', D).

        T' is T - 1 with `skip_first`, else T.
        """
        output = module_output(self._model, self._module, input_ids.to(self._device))
        finite = torch.isfinite(output).all(dim=-1)
        if not finite.all():
            sequence, position = (int(n) for n in (~finite).nonzero()[0])
            token = first_token + sequence * input_ids.shape[1] + position
            raise ValueError(
                f"{self._hookpoint} gave a NaN or infinite activation at token {token:,} of the "
                f"text, position {position} of its sequence; nothing of its shard was stored"
            )
        return output[:, int(self.skip_first) :].cpu()


def _skip_first(config: HarvestConfig, source: _Source, input_ids: Tensor) -> bool:
    if config.skip_first is not None:
        return config.skip_first
    norms = source.activations(input_ids, 0).float().norm(dim=-1)  # (B, T)
    ratio = norms[:, 0].mean() / norms[:, 1:].median()
    return not 1 / SINK_RATIO <= ratio <= SINK_RATIO


def _fill(
    writer: StoreWriter,
    config: HarvestConfig,
    source: _Source,
    batches: Iterator[Tensor],
    progress: Progress,
) -> ActivationStore:
    """Write the shards that are not there yet, and check that the others are of the same text."""
    per_shard = -(-config.shard_rows // (config.sequences * config.context))
    stored = sum(shard["rows"] for shard in writer.shards.values())
    number = rows = first_token = 0  # of the next shard
    progress("harvest", stored, config.tokens, "tokens")
    while rows < config.tokens and (group := list(islice(batches, per_shard))):
        ids_sha256 = _digest(group)
        if number not in writer.shards:
            parts: list[Tensor] = []
            for part in _parts(source, group, first_token, config.tokens - rows):
                parts.append(part)
                stored += len(part)
                progress("harvest", stored, config.tokens, "tokens")
            writer.add(number, torch.cat(parts), ids_sha256=ids_sha256)
        elif writer.shards[number]["ids_sha256"] != ids_sha256:
            raise ValueError(
                f"text {config.text!r} or the tokenizer is not the one that {writer.folder} was "
                f"begun with (shard {number} had other tokens); use another folder or delete it"
            )
        rows += writer.shards[number]["rows"]
        first_token += sum(input_ids.numel() for input_ids in group)
        number += 1
    text_ended = rows < config.tokens
    if text_ended:
        progress("harvest", rows, rows, "tokens")
    return writer.finish(text_ended=text_ended)


def _parts(source: _Source, group: list[Tensor], first_token: int, limit: int) -> Iterator[Tensor]:
    """Yield the activations of each batch, (rows, D), up to ``limit`` rows in all."""
    for input_ids in group:
        part = source.activations(input_ids, first_token).flatten(0, 1)[:limit]
        yield part
        first_token += input_ids.numel()
        limit -= len(part)
        if limit == 0:
            return


def _digest(group: list[Tensor]) -> str:
    return hashlib.sha256(b"".join(ids.numpy().tobytes() for ids in group)).hexdigest()


def _settings(
    config: HarvestConfig, device: torch.device, meta: dict[str, Any] | None
) -> dict[str, Any]:
    """Return the config with "auto" decided: as in the store begun already, else by the device."""
    if meta is not None and config.dtype == "auto":
        return asdict(config) | {"dtype": meta["dtype"]}
    return asdict(config) | {"dtype": arithmetic(config.dtype, device)}


def _check_settings(meta: dict[str, Any], asked: dict[str, Any], out: Path) -> None:
    if "settings" not in meta:
        raise ValueError(f"{out} holds activations that were not harvested; use another folder")
    for name, value in asked.items():
        stored = meta["settings"].get(name)
        if stored != value:
            raise ValueError(
                f"{out} holds activations harvested with {name}={stored!r}, "
                f"now asked for {value!r}; use another folder or delete this one"
            )
