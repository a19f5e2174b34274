"""Parses the command line, runs one command, and turns a user's error into one line."""

import sys
from dataclasses import dataclass
from typing import Annotated

import tyro
from rich.console import Console
from tyro.conf import (
    CascadeSubcommandArgs,
    FlagCreatePairsOff,
    OmitArgPrefixes,
    OmitSubcommandPrefixes,
    subcommand,
)

from .bench import Bench
from .convert import Convert
from .demo import Demo
from .doctor import Doctor
from .match import Match
from .match_all import MatchAll
from .report import Report
from .train import Train

# What a user can cause and mend: a bad value, a missing file or package, a full disk.
USER_ERRORS = (ValueError, OSError, ImportError)

Command = (
    Annotated[Demo, subcommand("demo")]
    | Annotated[Train, subcommand("train")]
    | Annotated[Match, subcommand("match")]
    | Annotated[MatchAll, subcommand("match-all")]
    | Annotated[Report, subcommand("report")]
    | Annotated[Convert, subcommand("convert")]
    | Annotated[Bench, subcommand("bench")]
    | Annotated[Doctor, subcommand("doctor")]
)


@dataclass(frozen=True)
class Twinsae:
    """Find which features two sparse autoencoders share.

    Train SAEs of several seeds on a language model's activations, match the latents of any two of
    them exactly, and read the result as a page.
    """

    command: Command
    debug: bool = False
    """Show the whole traceback of an error."""


def main(args: list[str] | None = None) -> int:
    """Run the `twinsae` command.

    Args:
        args: the command line without the program's name; None means `sys.argv[1:]`.

    Returns:
        The exit code: 0; 1 if `bench gpu` finds a kernel wrong; 2 after an error that the user can
        mend; 130 after Ctrl-C.
    """
    cli = tyro.cli(
        Twinsae,
        prog="twinsae",
        args=args,
        config=(
            CascadeSubcommandArgs,
            FlagCreatePairsOff,
            OmitArgPrefixes,
            OmitSubcommandPrefixes,
        ),
    )
    errors = Console(stderr=True)
    try:
        return cli.command.run(Console()) or 0
    except USER_ERRORS as error:
        if cli.debug:
            raise
        message = " ".join(str(error).split()) or type(error).__name__
        errors.print(f"error: {message}", markup=False, highlight=False, soft_wrap=True)
        return 2
    except KeyboardInterrupt:
        errors.print("stopped; the same command goes on from the last checkpoint")
        return 130


if __name__ == "__main__":
    sys.exit(main())
