"""Checks a matching against its dictionaries, with nothing of the solver: a test ensures that."""

from .activations import verify_activations
from .certificate import Certificate, verify

__all__ = ["Certificate", "verify", "verify_activations"]
