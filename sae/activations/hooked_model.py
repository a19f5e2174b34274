"""A language model with hooked modules: documents in, checked activations out."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import torch
from torch import Tensor

from .config import HarvestConfig
from .language_model import find_modules, load_language_model, module_outputs
from .limits import check_context, check_token_ids
from .text import Document
from .tokens import bos_token, first_of_text, token_batches

SINK_RATIO = 4.0
"""A first token is an attention sink where its mean norm is this many times off the median."""


class HookedModel:
    """The model that a harvest asks for, its tokenizer and the modules at its hookpoints.

    Args:
        config: what to collect.

    Attributes:
        names: the hookpoints' names in the order asked for, patterns in that of the model.
        bos: the token that every sequence begins with and that is not stored, or None.

    Raises:
        FileNotFoundError: there is no such model file.
        OSError: the model cannot be loaded.
        ValueError: a hookpoint, the model or its tokenizer is wrong, or the context is too long
            for the model or too short for a BOS.
    """

    def __init__(self, config: HarvestConfig) -> None:
        self._config = config
        self._model, self._tokenizer = load_language_model(config.model)
        self._modules = find_modules(self._model, config.hookpoint)
        self.names = list(self._modules)
        check_context(self._model, config.context)
        self.bos = bos_token(self._tokenizer, config.bos)
        if self.bos is not None and config.context < 3:
            raise ValueError(f"context must be at least 3 with a BOS, got {config.context}")

    def move(self, device: torch.device, dtype: str) -> None:
        """Let the model run on a device and in a dtype, such as "bfloat16"."""
        self._model.to(device, getattr(torch, dtype))

    def token_batches(self, texts: Iterable[Document]) -> tuple[Tensor, Iterator[Tensor]]:
        """Return the first batch of token ids, (B, T) int64, and all of them: see `token_batches`.

        Raises:
            ValueError: the text has fewer than two tokens.
        """
        config = self._config
        batches = token_batches(
            texts, self._tokenizer, config.context, config.sequences, config.bos
        )
        first = next(batches, None)
        if first is None:
            raise ValueError(f"text {config.text!r} has fewer than two tokens")
        return first, chain([first], batches)

    def activations(
        self, names: Sequence[str], input_ids: Tensor, first_token: int
    ) -> dict[str, Tensor]:
        """Run the model as far as the last of some hookpoints.

        Args:
            names: the hookpoints.
            input_ids: (B, T) int64 token ids.
            first_token: the place in the text of the first of them, for messages.

        Returns:
            (B, T, D) on the CPU for each name; where a sequence is padded, they mean nothing.

        Raises:
            ValueError: a token id is out of range, or an activation is NaN or infinite.
        """
        check_token_ids(input_ids, self._model, self._tokenizer)
        modules = {name: self._modules[name] for name in names}
        device = next(self._model.parameters()).device
        outputs = module_outputs(self._model, modules, input_ids.to(device))
        for name, output in outputs.items():
            wrong = ~torch.isfinite(output).all(dim=-1).cpu() & (input_ids >= 0)
            if wrong.any():
                sequence, position = (int(n) for n in wrong.nonzero()[0])
                token = first_token + sequence * input_ids.shape[1] + position
                raise ValueError(
                    f"{name} gave a NaN or infinite activation at token {token:,} of the "
                    f"text, position {position} of its sequence; it was not stored"
                )
        return {name: output.cpu() for name, output in outputs.items()}


def is_sink(output: Tensor, input_ids: Tensor, bos: int | None) -> bool:
    """Return whether the first tokens' norms are far off those of the others (`SINK_RATIO`).

    Args:
        output: (B, T, D), activations.
        input_ids: (B, T), of the same tokens.
        bos: a token at the beginning of sequences that is passed over.
    """
    norms = output.float().norm(dim=-1)  # (B, T)
    first = first_of_text(input_ids, bos)[:, None]  # (B, 1)
    others = norms[(input_ids >= 0) & (torch.arange(norms.shape[1]) > first)]
    ratio = norms.gather(1, first).mean() / others.median() if len(others) else 1
    return not 1 / SINK_RATIO <= ratio <= SINK_RATIO


def arithmetic(dtype: str, device: torch.device) -> str:
    """Return the dtype to run a model in: bfloat16 for "auto" where the hardware computes in it."""
    if dtype != "auto":
        return dtype
    if device.type == "cuda":
        fast = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bfloat16" if fast else "float32"


def harvest_device() -> torch.device:
    """Return where a model runs: on the GPU if torch finds one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
