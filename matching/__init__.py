"""Which latents two dictionaries share: exact matching, its proof, and the criteria."""

from .assignment import (
    Assignment,
    Bounds,
    assignment_bounds,
    centre_prices,
    maximum_matching,
    sparse_assignment,
)
from .by_activations import (
    active_together,
    agreement,
    encode_store,
    match_activation_files,
    match_activations,
)
from .codes import Codes
from .criteria import chance_floor, mmcs, overlap, pw_mcc, shared
from .match import match, match_memory
from .match_all import AllSeeds, match_all
from .match_files import match_files
from .matching import Matching
from .proof import Certificate, verify, verify_activations
from .series import Given, series

__all__ = [
    "AllSeeds",
    "Assignment",
    "Bounds",
    "Certificate",
    "Codes",
    "Given",
    "Matching",
    "active_together",
    "agreement",
    "assignment_bounds",
    "centre_prices",
    "chance_floor",
    "encode_store",
    "match",
    "match_activation_files",
    "match_activations",
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
    "verify_activations",
]
