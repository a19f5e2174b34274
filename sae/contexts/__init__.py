"""The contexts in which each latent of an SAE fires, and the corpus that they point into."""

from typing import TYPE_CHECKING

from ...common.lazy import lazy_names

if TYPE_CHECKING:
    from .collecting import collect_contexts
    from .corpus import Corpus, load_corpus
    from .lens import LogitLens, logit_lens
    from .table import Contexts, load_contexts
    from .vocabulary import Vocabulary, vocabulary_of
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "Contexts": ".table",
            "Corpus": ".corpus",
            "LogitLens": ".lens",
            "Vocabulary": ".vocabulary",
            "collect_contexts": ".collecting",
            "load_contexts": ".table",
            "load_corpus": ".corpus",
            "logit_lens": ".lens",
            "vocabulary_of": ".vocabulary",
        },
    )

__all__ = [
    "Contexts",
    "Corpus",
    "LogitLens",
    "Vocabulary",
    "collect_contexts",
    "load_contexts",
    "load_corpus",
    "logit_lens",
    "vocabulary_of",
]
