"""How sure each matched pair is: how much the optimum falls if the pair is forbidden."""

from .bounds import Certainty, certainty
from .files import certainty_files

__all__ = ["Certainty", "certainty", "certainty_files"]
