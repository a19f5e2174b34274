"""A language model's activations: text in, a store of vectors on disk out."""

from .harvest import HarvestConfig, harvest
from .language_model import find_module, load_language_model, module_output
from .store import ActivationStore, open_activations
from .text import builtin_documents, documents
from .writer import StoreWriter

__all__ = [
    "ActivationStore",
    "HarvestConfig",
    "StoreWriter",
    "builtin_documents",
    "documents",
    "find_module",
    "harvest",
    "load_language_model",
    "module_output",
    "open_activations",
]
