"""Which latents two dictionaries share: exact matching, its proof, and the criteria."""

from .assignment import (
    Assignment,
    Bounds,
    assignment_bounds,
    centre_prices,
    maximum_matching,
    sparse_assignment,
)
from .criteria import chance_floor, mmcs, overlap, pw_mcc, shared
from .match import match, match_memory
from .match_all import AllSeeds, match_all
from .match_files import match_files
from .matching import Matching
from .proof import Certificate, verify
from .series import Given, series

__all__ = [
    "AllSeeds",
    "Assignment",
    "Bounds",
    "Certificate",
    "Given",
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
    "series",
    "shared",
    "sparse_assignment",
    "verify",
]
