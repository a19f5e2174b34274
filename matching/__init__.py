"""Which latents two dictionaries share: exact matching, its proof, and the criteria."""

from .all_seeds import AllSeeds, match_all
from .assignment import (
    Assignment,
    Bounds,
    assignment_bounds,
    centre_prices,
    maximum_matching,
    sparse_assignment,
)
from .certificate import Certificate, verify
from .match import match, match_memory
from .matching import Matching
from .overlap import chance_floor, mmcs, overlap, pw_mcc, shared
from .run import match_files

__all__ = [
    "AllSeeds",
    "Assignment",
    "Bounds",
    "Certificate",
    "Matching",
    "assignment_bounds",
    "centre_prices",
    "chance_floor",
    "match",
    "match_all",
    "match_files",
    "match_memory",
    "maximum_matching",
    "mmcs",
    "overlap",
    "pw_mcc",
    "shared",
    "sparse_assignment",
    "verify",
]
