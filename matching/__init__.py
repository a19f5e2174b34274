"""Which latents two dictionaries share: exact matching, its proof, and the criteria."""

from .certificate import Certificate, verify
from .match import match
from .matching import Matching
from .overlap import chance_floor, mmcs, overlap, pw_mcc, shared
from .run import match_files

__all__ = [
    "Certificate",
    "Matching",
    "chance_floor",
    "match",
    "match_files",
    "mmcs",
    "overlap",
    "pw_mcc",
    "shared",
    "verify",
]
