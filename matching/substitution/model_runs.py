"""A language model run on a text's sequences with something in place of a module's output."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ...common.blocks import slices
from ...common.progress import Progress
from ...sae.activations import HarvestConfig
from ...sae.evaluation.causal_model import CausalModel
from ...sae.evaluation.splice import Predictions, Sums, logits_with, replacing
from .replacement import Floats, Ints

_TOGETHER = 8  # sequences in one forward pass


class ModelRuns:
    """A language model with one hookpoint, and a text.

    Args:
        config: the model, one hookpoint, and the text.
        progress: told of the phases "model" and "read", in sequences.

    Attributes:
        sequences: (1, T) int64 each, on the CPU.
        x: (N, D) float32: the activations at all positions that are replaced.
        starts: (S + 1,): sequence s has the rows starts[s] to starts[s + 1] - 1 of x.
        name: the hookpoint.

    Raises:
        FileNotFoundError, OSError, ValueError: as for `sae.evaluation.evaluate_model`.
    """

    def __init__(self, config: HarvestConfig, progress: Progress) -> None:
        progress("model", 0, 1, "model")
        self._hooked = CausalModel(config, None)
        progress("model", 1, 1, "model")
        (self.name,), (self._module,) = self._hooked.names, self._hooked.modules
        self.sequences: list[Tensor] = []
        rows: list[Tensor] = []
        total = sum(map(len, self._hooked.batches))
        progress("read", 0, total, "sequences")
        for batch in self._hooked.batches:
            (outputs,) = self._hooked.outputs(batch)
            for number, positions in enumerate(self._hooked.positions(batch)):
                self.sequences.append(batch[number : number + 1])
                rows.append(outputs[number][positions].float().cpu())
            progress("read", len(rows), total, "sequences")
        self.x = torch.cat(rows)
        self.starts: Ints = np.cumsum([0, *map(len, rows)])

    def losses(self, sequence: int, errors: Sequence[Floats]) -> tuple[int, list[Sums]]:
        """Return the losses in one sequence with reconstructions of these errors.

        Args:
            sequence: its number.
            errors: (n, D) each: what is put in place of the sequence's n rows of x, less these.

        Returns:
            How many tokens' prediction counts; and for each of ``errors`` the sums over these of
            the cross-entropy, and of the KL from the model as it is, in nats.
        """
        model, ids = self._hooked.model, self.sequences[sequence]
        positions = self._hooked.positions(ids).to(model.device)
        ids = ids.to(model.device)
        predictions = Predictions(ids, positions)
        original = logits_with(model, ids, {})
        x = self.x[slice(*self.starts[sequence : sequence + 2])].double().numpy()
        found: list[Sums] = []
        for part in slices(len(errors), _TOGETHER):
            some = errors[part]
            rows = torch.from_numpy(np.concatenate([x + error for error in some]))
            change = replacing(positions.expand(len(some), -1), rows.to(model.device))
            changed = logits_with(model, ids.expand(len(some), -1), {self._module: change})
            found += [predictions.losses(original, logits[None]) for logits in changed]
        return len(predictions), found
