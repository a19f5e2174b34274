"""`twinsae bench scaling`: times how an encoding grows with latents and tokens."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from ..options import Argument, positive

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class BenchScaling:
    """Time the encoder per latent and per token, at growing sizes."""

    example: ClassVar[str] = "twinsae bench scaling"

    rounds: Annotated[int, Argument(positive)] = 5
    """How often each size is timed."""

    def run(self, console: "Console") -> None:
        """Time, and print one table."""
        from ...bench.scaling import LATENTS, TOKENS, bench_growth
        from .tables import growth_table, print_table

        with console.status("scaling"):
            by_latent = bench_growth("L", LATENTS, self.rounds)
            by_token = bench_growth("N", TOKENS, self.rounds)
        print_table(console, growth_table([by_latent, by_token]))
