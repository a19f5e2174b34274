"""Runs a language model over text and stores what some of its modules give."""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path

from torch import Tensor

from ...common.files import StrPath
from ...common.progress import Progress, silent
from .config import HarvestConfig
from .filling import Filling
from .groups import batches_of_shard, ids_digest
from .hooked_model import HookedModel, harvest_device
from .language_model import is_pattern
from .plan import Plan
from .store import ActivationStore
from .text import documents


def harvest(
    config: HarvestConfig,
    out: StrPath,
    *,
    shard: tuple[int, int] = (1, 1),
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> dict[str, ActivationStore]:
    """Fill a store with the activations of each hookpoint, in one pass over the text.

    The store of a hookpoint is the folder ``out/<hookpoint>``; one that an earlier version left in
    ``out`` itself is used, too. Texts are joined, each followed by the end-of-sequence token, and
    cut in sequences (`token_batches`); the model runs as far as the last hooked module, on the GPU
    if there is one. Called again after it was interrupted, it goes on after the last finished
    shard, and shards that are gone are made anew; complete stores are just opened, and other
    hookpoints can be added. Several machines that share ``out`` can harvest one part each, at any
    time and in any order; who finds all shards there completes the store, which is the same to the
    byte as if one process had made it.

    A store's ``meta.json`` tells, besides the settings: ``bos``, the token that sequences begin
    with and that is not stored; ``skip_first``, whether the first token after it was left out;
    ``text_ended``, whether the text ended before ``tokens`` were stored; ``skipped_rows`` of the
    text, ``blank`` and ``null``; and the spread of ``norms``.

    Args:
        config: what to collect.
        out: the folder of the stores.
        shard: (i, n): make only part i, 1 to n, of n about equal parts: of the files with
            ``shard_rows`` rows each, the i-th and every n-th after it. The model runs for these
            only; all text is tokenised.
        progress: told of the phases "model" and "harvest"; of several stores, the least full.
        say: told in one line, before anything is written, how much disk it may take, and for
            each store that is left to other parts, how many of its shards are there.

    Returns:
        The stores by the hookpoints' names, in the order asked for, patterns in that of the model;
        those that wait for other parts are left out.

    Raises:
        FileNotFoundError: there is no such text, or no such model file.
        OSError: the model cannot be loaded, the disk has too little room, or a shard cannot be
            written (finished ones stay).
        ValueError: ``shard`` is not (i, n) with 1 <= i <= n; a store was harvested with other
            settings; a hookpoint, the model, its
            tokenizer or the text is wrong; the context is longer than the model's; a token id is
            out of range; the text holds no token; an activation is NaN or infinite (its shard is
            not written).
    """
    out, progress, say = Path(out), progress or silent, say or (lambda _line: None)
    device = harvest_device()
    if not any(map(is_pattern, config.hookpoint)):
        plan = Plan(config, config.hookpoint, out, device, shard)
        if not plan.unfinished:
            return plan.open(say)
    texts = documents(config.text, column=config.text_column, split=config.text_split)
    progress("model", 0, 1, "model")
    model = HookedModel(config)
    progress("model", 1, 1, "model")
    plan = Plan(config, model.names, out, device, shard)
    if not plan.unfinished:
        return plan.open(say)
    model.move(device, plan.dtype)
    first, batches = model.token_batches(texts)
    stores = plan.begin(model, first, say)
    if stores is None:  # The model is loaded anew: one that was rounded cannot be taken back.
        return harvest(config, out, shard=shard, progress=progress, say=say)
    _fill(stores, config, shard[1], model, batches, texts.skipped, progress)
    for store in stores:
        store.end(config.tokens, texts.skipped)
    return Plan(config, model.names, out, device, shard).open(say)


def _fill(
    stores: list[Filling],
    config: HarvestConfig,
    parts: int,
    model: HookedModel,
    batches: Iterator[Tensor],
    skipped: Mapping[str, int],
    progress: Progress,
) -> None:
    """Write the shards that are to be made, and check that the others are of the same text."""
    per_shard = batches_of_shard(config)
    total = -(-config.tokens // parts)
    number = first_token = 0  # of the next shard

    def report() -> None:
        progress("harvest", min(total, *(s.made for s in stores)), total, "tokens")

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
            store.passed(group, config.tokens, skipped)
        number += 1
    least = min(s.made for s in stores)
    if least < total:
        progress("harvest", least, least, "tokens")
