"""How often and how strongly each latent of an SAE fires."""

from typing import TYPE_CHECKING

from ...common.lazy import lazy_names

if TYPE_CHECKING:
    from .counting import fire
    from .known import KnownFiring, known_firing
    from .sums import FiringSums
    from .table import Firing, load_firing
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "Firing": ".table",
            "FiringSums": ".sums",
            "KnownFiring": ".known",
            "fire": ".counting",
            "known_firing": ".known",
            "load_firing": ".table",
        },
    )

__all__ = ["Firing", "FiringSums", "KnownFiring", "fire", "known_firing", "load_firing"]
