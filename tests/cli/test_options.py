"""From a dataclass and words to a command, and to its help."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest
from twinsae.cli.help_text import command_help
from twinsae.cli.options import Argument, parse, positive


@dataclass(frozen=True)
class Held:
    """Settings of something."""

    lr: float | None = None
    """Rate; by default a good one."""
    batch_size: int = 10_000
    """Rows of a
    batch."""

    def __post_init__(self) -> None:
        if self.batch_size == 13:
            raise ValueError("batch_size: 13 is unlucky")


@dataclass(frozen=True)
class Base:
    rounds: Annotated[int, Argument(positive)] = 5
    """How often."""


@dataclass(frozen=True)
class Toy(Base):
    """Do something.

    In ``more`` words.
    """

    example: ClassVar[str] = "twinsae toy x"

    a: Annotated[Path, Argument(metavar="A", positional=True)] = field(kw_only=True)
    """The first."""
    rest: Annotated[tuple[str, ...], Argument(metavar="B", positional=True)] = field(kw_only=True)
    """The others."""
    out: Path = field(kw_only=True)
    """Where to."""
    side: Literal["left", "right"] = "left"
    """Which."""
    format: Literal["a long name", "another long name"] | None = None
    """How."""
    seeds: tuple[int, ...] = (0, 1)
    """Some."""
    pair: tuple[int, int] | None = None
    """Two."""
    check: bool = False
    """Whether."""
    skip: bool | None = None
    """Whether or not."""
    held: Held = field(default_factory=Held)


NEEDED = ["a", "b", "--out", "o"]


def test_defaults():
    made = parse(Toy, NEEDED)
    assert made == Toy(a=Path("a"), rest=("b",), out=Path("o"))
    assert made.held == Held(None, 10_000)


def test_every_kind_of_value():
    words = "--seeds 3 -4 --side right --pair 7 8 --check --skip no --rounds 2 --lr 1e-3"
    made = parse(
        Toy, [*NEEDED, "c", *words.split(), "--batch-size=1_000", "--format", "a long name"]
    )
    assert made == Toy(
        a=Path("a"), rest=("b", "c"), out=Path("o"), side="right", format="a long name",
        seeds=(3, -4), pair=(7, 8), check=True, skip=False, rounds=2, held=Held(1e-3, 1000),
    )  # fmt: skip


def test_places_may_stand_between_options():
    made = parse(Toy, ["a", "--out", "o", "b", "--check", "c"])
    assert (made.a, made.rest, made.out) == (Path("a"), ("b", "c"), Path("o"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the following arguments are required: A, B"),
        (["a", "b"], "the following arguments are required: --out"),
        ([*NEEDED, "--sdie", "left"], "there is no option --sdie; did you mean --side?"),
        ([*NEEDED, "--zzz=3"], "there is no option --zzz"),
        ([*NEEDED, "--sid", "left"], "there is no option --sid; did you mean --side?"),
        ([*NEEDED, "--side", "lift"], "--side: expected one of left, right, got 'lift'; did you "
         "mean left?"),
        ([*NEEDED, "--seeds"], "--seeds: expected at least one argument"),
        ([*NEEDED, "--seeds", "1.5"], "--seeds: expected a whole number, got '1.5'"),
        ([*NEEDED, "--pair", "1"], "--pair: expected 2 arguments"),
        ([*NEEDED, "--lr", "fast"], "--lr: expected a number, got 'fast'"),
        ([*NEEDED, "--skip", "perhaps"], "--skip: expected one of yes, no, got 'perhaps'"),
        ([*NEEDED, "--rounds", "0"], "--rounds: expected 1 or more, got 0"),
        ([*NEEDED, "--batch-size", "13"], "batch_size: 13 is unlucky"),
        (["--check=yes", *NEEDED], "--check: ignored explicit argument 'yes'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(words: list[str], message: str):
    with pytest.raises(ValueError, match=r"^[^\n]*$") as caught:
        parse(Toy, words)
    assert str(caught.value) == message


def test_the_help_says_all_that_the_class_says(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "200")
    text = command_help("twinsae toy", Toy, Toy.example)
    assert (
        text
        == """\
example:
  twinsae toy x

usage: twinsae toy A B ... --out PATH [OPTIONS]

Do something.

In `more` words.

arguments:
  A                 The first.
  B ...             The others.

options:
  --rounds N        How often. (default 5)
  --out PATH        Where to. (required)
  --side left|right
                    Which. (default left)
  --format FORMAT   How. (one of a long name, another long name)
  --seeds N ...     Some. (default 0 1)
  --pair N N        Two.
  --check           Whether.
  --skip yes|no     Whether or not.

held options:
  --lr X            Rate; by default a good one.
  --batch-size N    Rows of a batch. (default 10_000)

for every command:
  --help            Show this text.
  --debug           Show the whole traceback of an error."""
    )


@pytest.mark.parametrize("columns", [40, 61, 80])
def test_the_help_is_as_narrow_as_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = command_help("twinsae toy", Toy, Toy.example).splitlines()
    assert max(map(len, lines)) <= columns
