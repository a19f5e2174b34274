"""The options of a command: the fields of its dataclass, read by argparse.

A field's type says how its text is read, and the docstring under it is its help: bool is a switch;
int, float, str, Path and a Literal of strings take one value, ``tuple[X, ...]`` one or more,
``tuple[X, X]`` so many; ``X | None`` is an X that may be left out. The fields of a field that is a
dataclass are options too. `Argument` says what a type cannot.
"""

import argparse
import ast
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from textwrap import dedent
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NoReturn,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

SHORT = 24  # letters of all choices that stand in place of a metavar

Read = Callable[[str], object]
"""From a word of the command line to a value; a ValueError or OSError says what is wrong."""


@dataclass(frozen=True)
class Argument:
    """What a field's type does not say of it, as in ``Annotated[Path, Argument(sae_path)]``."""

    read: Read | None = None
    """In place of the type's own way."""
    metavar: str = ""
    """What stands for the value in help; by default N, X, TEXT, PATH or the field's name."""
    positional: bool = False
    """Whether it has a place in place of a name."""


@dataclass(frozen=True)
class Option:
    """One option of a command."""

    name: str
    """The field's, and before it those of the dataclasses that hold it: "training.lr"."""
    help: str
    read: Read
    metavar: str
    count: int | Literal["+"] | None
    """Values: so many, one or more, or one (None); 0 for a switch."""
    choices: tuple[str, ...]
    default: object
    """MISSING where it must be given."""
    positional: bool

    @property
    def flag(self) -> str:
        """How it is given: "--batch-size", or the metavar of what is positional."""
        own = self.name.rpartition(".")[2].replace("_", "-")
        return self.metavar if self.positional else f"--{own}"


@dataclass(frozen=True)
class Group:
    """The options that one dataclass of a command holds."""

    title: str
    """The field that holds them; empty for the command's own."""
    options: tuple[Option, ...]


Command = TypeVar("Command")


def parse(command: type[Command], words: Sequence[str]) -> Command:
    """Return the command with the options that ``words`` give.

    Raises:
        ValueError: an option is unknown, missing or superfluous, or a value is wrong.
        OSError: as a field's own `Argument.read`.
    """
    options = [option for group in groups_of(command) for option in group.options]
    _check_names(words, [option.flag for option in options])
    parser = _Parser(add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    for option in options:
        _add(parser, option)
    found = vars(parser.parse_intermixed_args(list(words)))
    missing = [o.flag for o in options if o.default is MISSING and o.name not in found]
    if missing:
        raise ValueError(f"the following arguments are required: {', '.join(missing)}")
    values = {
        name: tuple(value) if isinstance(value, list) else value for name, value in found.items()
    }
    return _build(command, values, "")


def groups_of(command: type) -> list[Group]:
    """Return a command's options: its own first, then those of each dataclass that it holds."""
    return list(_groups(command, "", ""))


def suggestion(word: str, known: Sequence[str]) -> str:
    """Return "; did you mean ...?" if a known word is like this one, else nothing."""
    close = get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def positive(text: str) -> int:
    """Read a whole number of 1 or more."""
    number = _whole(text)
    if number < 1:
        raise ValueError(f"expected 1 or more, got {number}")
    return number


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(message.removeprefix("argument "))


def _add(parser: argparse.ArgumentParser, option: Option) -> None:
    if option.count == 0:
        parser.add_argument(option.flag, dest=option.name, action="store_true")
        return
    settings: dict[str, Any] = {
        "type": _told(option.read),
        "nargs": option.count,
        "metavar": option.metavar,
    }
    if option.positional:
        parser.add_argument(option.name, **settings)
    else:
        parser.add_argument(option.flag, dest=option.name, **settings)


def _told(read: Read) -> Read:
    """Have argparse pass on what is wrong with a value."""

    def told(text: str) -> object:
        try:
            return read(text)
        except (ValueError, OSError) as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return told


def _check_names(words: Sequence[str], known: Sequence[str]) -> None:
    for word in words:
        name = word.partition("=")[0]
        if name.startswith("--") and name not in known:
            raise ValueError(f"there is no option {name}{suggestion(name, known)}")


def _build(command: type[Command], values: dict[str, object], prefix: str) -> Command:
    hints = get_type_hints(command)
    given: dict[str, Any] = {}
    for own in fields(command):  # type: ignore[arg-type]  # it is a dataclass
        name = f"{prefix}{own.name}"
        if is_dataclass(hints[own.name]):
            given[own.name] = _build(hints[own.name], values, f"{name}.")
        elif name in values:
            given[own.name] = values[name]
    return command(**given)


def _groups(command: type, prefix: str, title: str) -> Iterator[Group]:
    hints, docs = get_type_hints(command, include_extras=True), _docstrings(command)
    own = [f for f in fields(command) if not is_dataclass(hints[f.name])]
    yield Group(title, tuple(_option(f, hints[f.name], prefix, docs[f.name]) for f in own))
    for held in fields(command):
        if held not in own:
            kind = hints[held.name]
            yield from _groups(kind, f"{prefix}{held.name}.", held.name)


def _option(field: Field[Any], hint: Any, prefix: str, help_text: str) -> Option:
    argument = Argument()
    if get_origin(hint) is Annotated:
        hint, argument = get_args(hint)
    if get_origin(hint) in (Union, UnionType):  # X | None; of X | Y, `Argument.read` makes either
        hint, *_ = (kind for kind in get_args(hint) if kind is not NoneType)
    count: int | Literal["+"] | None = None
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        hint, count = kinds[0], "+" if kinds[-1] is Ellipsis else len(kinds)
    choices: tuple[str, ...] = get_args(hint) if get_origin(hint) is Literal else ()
    default = field.default if field.default_factory is MISSING else field.default_factory()
    if hint is bool and default is False:
        count = 0
    elif hint is bool:
        choices = ("yes", "no")
    return Option(
        name=f"{prefix}{field.name}",
        help=help_text,
        read=argument.read or _READ.get(hint) or _choice(choices),
        metavar=argument.metavar or _METAVARS.get(hint) or _short(choices) or field.name.upper(),
        count=count,
        choices=choices,
        default=default,
        positional=argument.positional,
    )


def _short(choices: Sequence[str]) -> str:
    listed = "|".join(choices)
    return listed if len(listed) <= SHORT else ""


def _choice(choices: Sequence[str]) -> Read:
    def read(text: str) -> str:
        if text not in choices:
            like = suggestion(text, choices)
            raise ValueError(f"expected one of {', '.join(choices)}, got {text!r}{like}")
        return text

    return read


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"expected a whole number, got {text!r}") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"expected a number, got {text!r}") from None


def _yes_or_no(text: str) -> bool:
    return _choice(("yes", "no"))(text) == "yes"


_METAVARS = {int: "N", float: "X", str: "TEXT", Path: "PATH"}
_READ: dict[type, Read] = {
    int: _whole,
    float: _number,
    str: str,
    Path: Path,
    bool: _yes_or_no,
}


def first_line(command: type) -> str:
    """Return the first line of a class's docstring."""
    return inspect.cleandoc(command.__doc__ or "").partition("\n")[0]


def _docstrings(command: type) -> dict[str, str]:
    """Return the docstring under each field of a dataclass, those of its bases too."""
    found: dict[str, str] = {}
    for base in reversed(command.__mro__):
        if not is_dataclass(base):
            continue
        (tree,) = ast.parse(dedent(inspect.getsource(base))).body
        assert isinstance(tree, ast.ClassDef)
        for line, below in zip(tree.body, tree.body[1:], strict=False):
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                found[line.target.id] = _text(below)
    return found


def _text(node: ast.stmt) -> str:
    """Return the words of a string that stands alone."""
    match node:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return " ".join(text.split())
    return ""
