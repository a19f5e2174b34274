"""The help of the command and of its sub-commands, at most 80 columns wide."""

import inspect
import shutil
from collections.abc import Mapping
from dataclasses import MISSING
from textwrap import wrap

from .options import Group, Option, groups_of

MOST_COLUMNS = 80
_INDENT = "  "
_HELP_COLUMN = 20
_EVERY_COMMAND = (
    ("--help", "Show this text."),
    ("--debug", "Show the whole traceback of an error."),
)


def command_help(name: str, command: type, example: str) -> str:
    """Return the help of one command.

    Args:
        name: how it is called, such as "twinsae bench match".
        command: its dataclass.
        example: a call of it; further lines are printed as they are.
    """
    groups = groups_of(command)
    options = [option for group in groups for option in group.options]
    needed = [option for option in options if option.default is MISSING]
    usage = " ".join([f"usage: {name}", *map(_call, needed), "[OPTIONS]"])
    places = [option for option in options if option.positional]
    parts = [_example(example), _filled(usage, hanging=_INDENT * 2), *_paragraphs(command)]
    if places:
        parts.append("\n".join(["arguments:", *map(_entry, places)]))
    parts += [_named(group) for group in groups]
    parts.append("\n".join(["for every command:", *(_row(*entry) for entry in _EVERY_COMMAND)]))
    return "\n\n".join(part for part in parts if part)


def overview(called: str, about: str, example: str, commands: Mapping[str, str]) -> str:
    """Return the help of several commands, each in one line.

    Args:
        called: what stands before their names, such as "twinsae bench".
        about: what they are for; paragraphs.
        example: calls; printed as they are.
        commands: {name: line}.
    """
    rows = [_row(name, line) for name, line in commands.items()]
    return "\n\n".join(
        [
            _example(example),
            f"usage: {called} COMMAND [OPTIONS]",
            *map(_filled, about.split("\n\n")),
            "\n".join(["commands:", *rows]),
            _filled(f"{called} COMMAND --help explains a command and its options."),
        ]
    )


def _columns() -> int:
    return min(MOST_COLUMNS, shutil.get_terminal_size().columns)


def _filled(text: str, first: str = "", hanging: str = "") -> str:
    lines = wrap(
        " ".join(text.split()),
        _columns(),
        initial_indent=first,
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines)


def _example(lines: str) -> str:
    return "\n".join(["example:", *(_INDENT + line for line in lines.splitlines())])


def _paragraphs(command: type) -> list[str]:
    text = inspect.cleandoc(command.__doc__ or "").replace("``", "`")
    return [_filled(paragraph) for paragraph in text.split("\n\n")]


def _named(group: Group) -> str:
    rows = [_entry(option) for option in group.options if not option.positional]
    title = f"{group.title} options:".lstrip()
    return "\n".join([title, *rows]) if rows else ""


def _entry(option: Option) -> str:
    notes = []
    if option.choices and option.metavar != "|".join(option.choices):
        notes.append(f"one of {', '.join(option.choices)}")
    if option.default is MISSING and not option.positional:
        notes.append("required")
    if option.default not in (MISSING, None, False, ()):
        notes.append(f"default {_said(option.default)}")
    note = f" ({'; '.join(notes)})" if notes else ""
    return _row(_call(option), f"{option.help.replace('``', '`')}{note}")


def _call(option: Option) -> str:
    """Return how an option is given: "--seeds SEEDS ..."."""
    if option.count == "+":
        values = f"{option.metavar} ..."
    elif option.count is None or " " in option.metavar:
        values = option.metavar
    else:
        values = " ".join([option.metavar] * option.count)
    return values if option.positional else f"{option.flag} {values}".rstrip()


def _said(default: object) -> str:
    if isinstance(default, tuple):
        return " ".join(map(_said, default))
    if isinstance(default, bool):
        return "yes" if default else "no"
    if isinstance(default, int):
        return f"{default:_}" if default >= 10_000 else str(default)
    return f"{default:g}" if isinstance(default, float) else str(default)


def _row(name: str, text: str) -> str:
    """Return a name and its explanation, in two columns."""
    hanging = " " * _HELP_COLUMN
    head = f"{_INDENT}{name}"
    if len(head) + 2 <= _HELP_COLUMN:
        return _filled(text, first=head.ljust(_HELP_COLUMN), hanging=hanging)
    return f"{head}\n{_filled(text, first=hanging, hanging=hanging)}"
