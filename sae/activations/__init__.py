"""A language model's activations: text in, a store of vectors on disk out."""

from typing import TYPE_CHECKING

from ...common.lazy import lazy_names
from .builtin import builtin_documents
from .config import HarvestConfig
from .text import Documents, documents

if TYPE_CHECKING:
    from .batch_source import BatchSource, StoredBatches
    from .harvesting import harvest
    from .language_model import find_modules, load_language_model, module_outputs
    from .parts import HarvestPart, harvest_tasks
    from .shards import Context, Tokens
    from .shared_stores import harvest_shared
    from .store import ActivationStore, open_activations
    from .stream import ActivationStream
    from .writer import StoreWriter
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "ActivationStore": ".store",
            "ActivationStream": ".stream",
            "BatchSource": ".batch_source",
            "Context": ".shards",
            "HarvestPart": ".parts",
            "StoreWriter": ".writer",
            "StoredBatches": ".batch_source",
            "Tokens": ".shards",
            "find_modules": ".language_model",
            "harvest": ".harvesting",
            "harvest_shared": ".shared_stores",
            "harvest_tasks": ".parts",
            "load_language_model": ".language_model",
            "module_outputs": ".language_model",
            "open_activations": ".store",
        },
    )

__all__ = [
    "ActivationStore",
    "ActivationStream",
    "BatchSource",
    "Context",
    "Documents",
    "HarvestConfig",
    "HarvestPart",
    "StoreWriter",
    "StoredBatches",
    "Tokens",
    "builtin_documents",
    "documents",
    "find_modules",
    "harvest",
    "harvest_shared",
    "harvest_tasks",
    "load_language_model",
    "module_outputs",
    "open_activations",
]
