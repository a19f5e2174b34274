"""The language model that SAEs are evaluated in: its hookpoints, its tokens."""

from collections.abc import Iterable, Iterator
from itertools import chain

import torch
from torch import Tensor

from ..activations import HarvestConfig, documents, find_modules, module_outputs
from ..activations.hooked_model import arithmetic, harvest_device, is_sink
from ..activations.language_model import is_pattern, load_language_model
from ..activations.limits import check_context, check_token_ids
from ..activations.tokens import bos_token, stored_positions, token_batches


class CausalModel:
    """A causal language model with one or two hookpoints, on the GPU if there is one.

    Args:
        config: which model, which text, and how they are used.
        target: the second hookpoint; None: there is one only.

    Attributes:
        model: the transformers model.
        dtype: of its arithmetic, such as "float32".
        names: the hookpoints.
        modules: theirs.
        bos: the token that sequences begin with and that is not replaced, or None.
        skip_first: whether the first token after it is not replaced either.
        batches: token ids (B, T) int64, on the CPU: as many sequences as ``tokens`` asks for.
        widths: of the hookpoints' outputs.

    Raises:
        FileNotFoundError, OSError, ValueError: as for `evaluate_model`.
    """

    def __init__(self, config: HarvestConfig, target: str | None) -> None:
        self.names = _hookpoints(config, target)
        texts = documents(config.text, column=config.text_column, split=config.text_split)
        self.model, self._tokenizer = load_language_model(config.model)
        if self.model.get_output_embeddings() is None:
            raise ValueError(
                f"model {config.model!r} predicts no next token: expected a causal language model"
            )
        found = find_modules(self.model, self.names)
        self.modules = [found[name] for name in self.names]
        check_context(self.model, config.context)
        device = harvest_device()
        self.dtype = arithmetic(config.dtype, device)
        self.model.to(device, getattr(torch, self.dtype))
        self.bos = bos_token(self._tokenizer, config.bos)
        self.skip_first = bool(config.skip_first)
        batches = token_batches(
            texts, self._tokenizer, config.context, config.sequences, config.bos
        )
        first = next(batches, None)
        if first is None:
            raise ValueError(f"text {config.text!r} has fewer than two tokens")
        outputs = self.outputs(first)
        self.widths = [output.shape[-1] for output in outputs]
        if config.skip_first is None:
            self.skip_first = is_sink(outputs[-1].cpu(), first, self.bos)
        self.batches = list(self._chosen(chain([first], batches), config.tokens))

    def outputs(self, input_ids: Tensor) -> list[Tensor]:
        """Return what the hookpoints give, (B, T, D) each, on the model's device.

        Raises:
            ValueError: a token id is out of range, or one of a real token is NaN or infinite.
        """
        check_token_ids(input_ids, self.model, self._tokenizer)
        modules = dict(zip(self.names, self.modules, strict=True))
        found = module_outputs(self.model, modules, input_ids.to(self.model.device))
        for name, output in found.items():
            wrong = ~output.isfinite().all(dim=-1).cpu() & (input_ids >= 0)
            if wrong.any():
                position = int(wrong.nonzero()[0, 1])
                raise ValueError(
                    f"{name} gave a NaN or infinite activation at position {position} of a sequence"
                )
        return [found[name] for name in self.names]

    def positions(self, input_ids: Tensor) -> Tensor:
        """Return which positions are replaced and measured, (B, T) bool, on the CPU."""
        return stored_positions(input_ids, self.bos, self.skip_first)

    def _chosen(self, batches: Iterable[Tensor], tokens: int) -> Iterator[Tensor]:
        """Yield whole sequences until there are so many positions."""
        for input_ids in batches:
            if tokens <= 0:
                return
            counts = self.positions(input_ids).sum(dim=1).cumsum(dim=0)
            needed = int((counts < tokens).sum()) + 1
            yield input_ids[:needed]
            tokens -= int(counts[:needed][-1])


def _hookpoints(config: HarvestConfig, target: str | None) -> list[str]:
    names = [*config.hookpoint, *([] if target is None else [target])]
    if len(config.hookpoint) > 1 or any(map(is_pattern, names)):
        raise ValueError(f"hookpoint: expected the name of one module, got {' '.join(names)}")
    return names
