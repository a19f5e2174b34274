"""Two SAEs of different models or layers, compared through a map learned from activations."""

from .learn import LinearMap, learn_map
from .match_mapped import match_mapped

__all__ = ["LinearMap", "learn_map", "match_mapped"]
