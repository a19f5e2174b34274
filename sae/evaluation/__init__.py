"""How good SAEs are: measured on activations, and within their language model."""

from typing import TYPE_CHECKING

from ...common.lazy import lazy_names

if TYPE_CHECKING:
    from .activations import evaluate_store, measure
    from .language_model import ModelEvaluation, evaluate_model
    from .measures import Measured, Measures
    from .splice import Spliced
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "Measured": ".measures",
            "Measures": ".measures",
            "ModelEvaluation": ".language_model",
            "Spliced": ".splice",
            "evaluate_model": ".language_model",
            "evaluate_store": ".activations",
            "measure": ".activations",
        },
    )

__all__ = [
    "Measured",
    "Measures",
    "ModelEvaluation",
    "Spliced",
    "evaluate_model",
    "evaluate_store",
    "measure",
]
