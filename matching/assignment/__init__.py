"""The assignment problem, sparse or dense, exact and with dual prices. It knows nothing of SAEs."""

from .api import (
    Assignment,
    Bounds,
    assignment_bounds,
    centre_prices,
    maximum_matching,
    sparse_assignment,
)

__all__ = [
    "Assignment",
    "Bounds",
    "assignment_bounds",
    "centre_prices",
    "maximum_matching",
    "sparse_assignment",
]
