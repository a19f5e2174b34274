"""SAEs measured on a language model's text, and within the model."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ...common.progress import Progress, silent
from ..activations import HarvestConfig
from ..model import SAE
from .activations import MAX_NORM, measures_of, reconstruct
from .causal_model import CausalModel
from .checks import check_saes
from .measures import Measured
from .splice import Change, Predictions, Spliced, Sums, logits_with, replacing, spliced


class ModelEvaluation(NamedTuple):
    """What `evaluate_model` found."""

    measured: dict[str, Measured]
    """By the SAEs' names, of the positions that were replaced."""
    spliced: dict[str, Spliced]
    """By the SAEs' names."""
    facts: dict[str, Any]
    """``dtype`` of the model; ``bos``, the token that sequences begin with and that was not
    replaced; ``skip_first``, whether the first token after it was not replaced either."""


def evaluate_model(
    saes: Mapping[str, SAE],
    config: HarvestConfig,
    *,
    target: str | None = None,
    max_norm: float = MAX_NORM,
    progress: Progress | None = None,
) -> ModelEvaluation:
    """Measure SAEs on a language model's text, and what the model loses with each spliced in.

    The model runs on the GPU if there is one. It first runs over the text as far as the hookpoint,
    for the mean and the median norm of its output; then, batch by batch, as it is, with zeros, with
    the mean, and once for each SAE. `Spliced` says which positions are replaced and counted.

    Args:
        saes: by name; they compute in their own dtype, on their own device.
        config: the model, one hookpoint, and the text. Whole sequences are taken until ``tokens``
            positions are replaced. ``shard_rows`` is not used.
        target: the hookpoint whose output transcoders reconstruct from that of the first, and in
            whose place the reconstruction is put; None: the same.
        max_norm: tokens whose target's norm is over so many times the median are outliers.
        progress: told of the phases "model", "mean" and "evaluate".

    Raises:
        FileNotFoundError: there is no such text, or no such model file.
        OSError: the model cannot be loaded.
        ValueError: the model predicts no next token; a hookpoint, the model's tokenizer or the text
            is wrong; the context is longer than the model's; an SAE does not fit the activations;
            an activation or a reconstruction is NaN or infinite.
    """
    progress = progress or silent
    progress("model", 0, 1, "model")
    hooked = CausalModel(config, target)
    progress("model", 1, 1, "model")
    width, *others = hooked.widths
    check_saes(saes, width, others[0] if others else None, where=hooked.names[0])
    total = sum(int(hooked.positions(ids).sum()) for ids in hooked.batches)
    if not any(len(Predictions(ids, hooked.positions(ids))) for ids in hooked.batches):
        raise ValueError(
            f"context: in sequences of {config.context:,} tokens none is replaced and followed by "
            "another"
        )
    mean, median = _survey(hooked, total, progress)
    runs = _Runs(saes, hooked, mean, max_norm * median)
    done = 0
    progress("evaluate", 0, total, "tokens")
    for input_ids in hooked.batches:
        done += runs.add(input_ids)
        progress("evaluate", done, total, "tokens")
    facts = {"dtype": hooked.dtype, "bos": hooked.bos, "skip_first": hooked.skip_first}
    return ModelEvaluation(runs.measured(), runs.spliced(), facts)


def _survey(hooked: CausalModel, total: int, progress: Progress) -> tuple[Tensor, float]:
    """Return the mean (D,) float64 and the median norm of what is to be replaced."""
    norms: list[Tensor] = []
    mean = torch.zeros(hooked.widths[-1], dtype=torch.float64)
    progress("mean", 0, total, "tokens")
    for input_ids in hooked.batches:
        rows = hooked.outputs(input_ids)[-1].cpu()[hooked.positions(input_ids)].double()  # (n, D)
        mean += rows.sum(dim=0) / total
        norms.append(torch.linalg.vector_norm(rows, dim=1))
        progress("mean", sum(map(len, norms)), total, "tokens")
    return mean, float(np.median(torch.cat(norms).numpy()))


class _Runs:
    """The sums of all ways to run the model, and the measures of the SAEs."""

    def __init__(
        self, saes: Mapping[str, SAE], hooked: CausalModel, mean: Tensor, outlier_norm: float
    ) -> None:
        self._saes, self._hooked, self._mean = saes, hooked, mean
        self._measures = {name: measures_of(sae, outlier_norm) for name, sae in saes.items()}
        self._sums = [Sums()] * (3 + len(saes))  # as the model is, with zeros, with the mean, SAEs
        self._counted = 0

    def add(self, input_ids: Tensor) -> int:
        """Run the model on token ids (B, T) in all ways; return how many positions are replaced."""
        model, modules = self._hooked.model, self._hooked.modules
        positions = self._hooked.positions(input_ids).to(model.device)
        input_ids = input_ids.to(model.device)
        kept: dict[nn.Module, Tensor] = {}  # (n, D): what is replaced, and what SAEs read

        def keep(module: nn.Module, output: Tensor) -> Tensor:
            kept[module] = output[positions]
            return output

        watched: dict[nn.Module, Change] = {module: partial(keep, module) for module in modules}
        original = logits_with(model, input_ids, watched)
        predictions = Predictions(input_ids, positions)
        self._counted += len(predictions)
        self._sums[0] = self._sums[0].plus(predictions.losses(original, original))
        for place, rows in enumerate(self._rows(kept[modules[0]], kept[modules[-1]]), 1):
            change = replacing(positions, rows)
            changed = logits_with(model, input_ids, {modules[-1]: change})
            self._sums[place] = self._sums[place].plus(predictions.losses(original, changed))
        return int(positions.sum())

    def _rows(self, x: Tensor, target: Tensor) -> Iterator[Tensor]:
        """Yield what takes the place of ``target`` (n, D) in each way but the first."""
        yield torch.zeros_like(target)
        yield self._mean.expand(target.shape)
        for name, sae in self._saes.items():
            yield reconstruct(name, sae, x, target, self._measures[name])

    def measured(self) -> dict[str, Measured]:
        """Return the measures by the SAEs' names."""
        return {name: measures.result() for name, measures in self._measures.items()}

    def spliced(self) -> dict[str, Spliced]:
        """Return the losses by the SAEs' names."""
        original, zero, mean, *sums = self._sums
        return {
            name: spliced(self._counted, original, zero, mean, sae)
            for name, sae in zip(self._saes, sums, strict=True)
        }
