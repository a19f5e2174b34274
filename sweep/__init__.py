"""Sweeps: a grid of SAEs by one command, each trained, counted, matched and drawn."""

from typing import TYPE_CHECKING

from ..common.lazy import lazy_names

if TYPE_CHECKING:
    from ..common.running import Outcome
    from .grid import Grid, read_grid
    from .planning import Plan, plan
    from .results import finish
    from .running import Sweep
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "Grid": ".grid",
            "Outcome": "..common.running",
            "Plan": ".planning",
            "Sweep": ".running",
            "finish": ".results",
            "plan": ".planning",
            "read_grid": ".grid",
        },
    )

__all__ = ["Grid", "Outcome", "Plan", "Sweep", "finish", "plan", "read_grid"]
