"""A language model's activations: text in, a store of vectors on disk out."""

from typing import TYPE_CHECKING

from ...common.lazy import lazy_names
from .config import HarvestConfig
from .text import builtin_documents, documents

if TYPE_CHECKING:
    from .harvesting import harvest
    from .language_model import find_module, load_language_model, module_output
    from .shards import Context, Tokens
    from .store import ActivationStore, open_activations
    from .writer import StoreWriter
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "ActivationStore": ".store",
            "Context": ".shards",
            "StoreWriter": ".writer",
            "Tokens": ".shards",
            "find_module": ".language_model",
            "harvest": ".harvesting",
            "load_language_model": ".language_model",
            "module_output": ".language_model",
            "open_activations": ".store",
        },
    )

__all__ = [
    "ActivationStore",
    "Context",
    "HarvestConfig",
    "StoreWriter",
    "Tokens",
    "builtin_documents",
    "documents",
    "find_module",
    "harvest",
    "load_language_model",
    "module_output",
    "open_activations",
]
