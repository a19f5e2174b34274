"""Finds the command, reads its options, runs it, and turns a user's error into one line.

Nothing here, nor at the top of a command's file, imports torch: help and errors come at once.
"""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from ..common.threads import limit_threads
from .bench.gpu import BenchGpu
from .bench.match import BenchMatch
from .bench.scaling import BenchScaling
from .bench.seeds import BenchSeeds
from .bench.side_by_side import BenchAbove, BenchAll, BenchCandidates, BenchEncode, BenchStep
from .bench.training import BenchTraining
from .certainty import Certainty
from .chain import Chain
from .contexts import Contexts
from .convert import Convert
from .demo import Demo
from .doctor import Doctor
from .evaluate import Evaluate
from .figure.family import ABOUT as ABOUT_FIGURE
from .figure.family import EXAMPLE as EXAMPLE_FIGURE
from .figure.family import FIGURES
from .fire import Fire
from .help_text import command_help, overview
from .list_saes import List
from .match import Match
from .match_all import MatchAll
from .metrics import Metrics
from .null import Null
from .options import first_line, parse, suggestion
from .pool import Pool
from .push import Push
from .report import Report
from .series import Series
from .splitting import Splitting
from .stable import Stable
from .stopping import StoppedBySignal
from .substitute import Substitute
from .sweep import Sweep
from .train import Train
from .validate import Validate

if TYPE_CHECKING:
    from rich.console import Console

# What a user can cause and mend: a bad value, a missing file or package, a full disk.
USER_ERRORS = (ValueError, OSError, ImportError)
HELP = ("-h", "--help")

ABOUT = """\
Find which features two sparse autoencoders (SAEs) share.

Train SAEs of several seeds on a language model's activations, match the latents of any two of them
exactly, and read the result as a page."""
EXAMPLE = """\
twinsae demo
twinsae match runs/demo/layers.15.mlp/seed0 runs/demo/layers.15.mlp/seed1 \\
    --out runs/match"""
ABOUT_BENCH = """\
Time our kernels beside torch and other libraries.

Libraries that are not installed are left out. All results are compared first; then all ways take
turns in one run. Times are medians. The tables are Markdown."""


class Command(Protocol):
    """A dataclass whose fields are the command's options."""

    example: ClassVar[str]

    def run(self, console: "Console") -> int | None:
        """Do the work; return the exit code, None for 0."""


@dataclass(frozen=True)
class Family:
    """Commands that are called by one word more than their family."""

    about: str
    example: str
    commands: Mapping[str, "type[Command] | Family"]


BENCH = Family(
    ABOUT_BENCH,
    "twinsae bench encode --shape 2048 576 20736 32",
    {
        "encode": BenchEncode,
        "above": BenchAbove,
        "step": BenchStep,
        "candidates": BenchCandidates,
        "all": BenchAll,
        "scaling": BenchScaling,
        "match": BenchMatch,
        "training": BenchTraining,
        "seeds": BenchSeeds,
        "gpu": BenchGpu,
    },
)
FIGURE = Family(ABOUT_FIGURE, EXAMPLE_FIGURE, FIGURES)
TWINSAE = Family(
    ABOUT,
    EXAMPLE,
    {
        "demo": Demo,
        "train": Train,
        "evaluate": Evaluate,
        "fire": Fire,
        "contexts": Contexts,
        "match": Match,
        "match-all": MatchAll,
        "stable": Stable,
        "pool": Pool,
        "null": Null,
        "certainty": Certainty,
        "substitute": Substitute,
        "sweep": Sweep,
        "splitting": Splitting,
        "chain": Chain,
        "series": Series,
        "metrics": Metrics,
        "report": Report,
        "validate": Validate,
        "figure": FIGURE,
        "convert": Convert,
        "list": List,
        "push": Push,
        "bench": BENCH,
        "doctor": Doctor,
    },
)


def main(words: Sequence[str] | None = None) -> int:
    """Run the `twinsae` command.

    Args:
        words: the command line without the program's name; None means `sys.argv[1:]`.

    Returns:
        The exit code: 0; 1 if `bench gpu` finds a kernel wrong or `validate` a file; 2 after an
        error that the user can mend; 130 after Ctrl-C, 143 after SIGTERM while it trains.
    """
    words = sys.argv[1:] if words is None else words
    debug = "--debug" in words
    try:
        return _run("twinsae", TWINSAE, [word for word in words if word != "--debug"])
    except USER_ERRORS as error:
        if debug:
            raise
        message = " ".join(str(error).split()) or type(error).__name__
        print(f"error: {message}", file=sys.stderr)
        return 2
    except StoppedBySignal as stop:
        if os.environ.get("RANK", "0") == "0":  # of the processes of torchrun one speaks for all
            print(f"{stop}; {_how_to_go_on(words)}", file=sys.stderr)
        return stop.exit_code
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130


def _run(called: str, family: Family, words: Sequence[str]) -> int:
    if not words or words[0] in HELP:
        print(_overview(called, family))
        return 0 if words else 2
    word, *rest = words
    found = family.commands.get(word)
    name = f"{called} {word}"
    if found is None:
        like = suggestion(word, list(family.commands)) or f"; {called} --help lists all"
        raise ValueError(f"there is no command {name!r}{like}")
    if isinstance(found, Family):
        return _run(name, found, rest)
    if any(flag in rest for flag in HELP):
        print(command_help(name, found, found.example))
        return 0
    command = parse(found, rest)
    limit_threads()
    from rich.console import Console

    return command.run(Console()) or 0


def _how_to_go_on(words: Sequence[str]) -> str:
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return "the same torchrun command goes on"
    return f"to go on, type: {shlex.join(['twinsae', *words])}"


def _overview(called: str, family: Family) -> str:
    lines = {
        word: (found.about if isinstance(found, Family) else first_line(found)).partition("\n")[0]
        for word, found in family.commands.items()
    }
    return overview(called, family.about, family.example, lines)


if __name__ == "__main__":
    sys.exit(main())
