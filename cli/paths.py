"""Paths that a user gives, checked before anything slow is imported."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..common.files import StrPath
from ..sae.activations import HarvestConfig
from ..sae.activations.sources import check_model, check_text
from ..sae.formats.layouts import WEIGHT_FILES
from ..sae.formats.paths import find_saes, no_sae, split_layer, weight_file
from ..sae.hub.names import HUB, is_name, parse_name


def existing(text: str) -> Path:
    """Read the path of a file or folder that is there.

    Raises:
        FileNotFoundError: there is none.
    """
    path = Path(text)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    return path


def sae(text: str) -> StrPath:
    """Read the path of an SAE, a folder of any format or one file, or its name on the Hub.

    Raises:
        FileNotFoundError: there is no SAE.
        ValueError: the file's ending is not one that is read, or the name is wrong.
    """
    if is_name(text):
        parse_name(text)
        return text
    path = Path(text)
    weight_file(path)
    return path


def place_of_saes(text: str) -> StrPath:
    """Read the path of a folder, or the name of a repository of the Hub, or of a place in it.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: the name is not hf:OWNER/REPO, perhaps with @REVISION or :PREFIX.
    """
    if text.startswith(HUB):
        parse_name(text)
        return text
    if is_name(text) or not Path(text).is_dir():
        raise FileNotFoundError(
            f"expected a folder or hf:OWNER/REPO[@REVISION][:PREFIX], got {text!r}"
        )
    return Path(text)


def saes(text: str) -> StrPath:
    """Read the path or name of an SAE, or the path of a folder with some below it.

    Raises:
        FileNotFoundError: there is none.
        ValueError: the name is wrong.
    """
    if is_name(text):
        return sae(text)
    path = Path(text)
    if not saes_at(path):
        raise no_sae(path)
    return path


def saes_at(place: StrPath) -> list[StrPath]:
    """Return the SAE that a path or name is, or those below a folder; nothing is read."""
    path = Path(place)
    if is_name(place) or split_layer(path)[0].is_file():
        return [place]
    if any((path / name).is_file() for name in WEIGHT_FILES):
        return [path]
    return [*find_saes(path)]


def all_saes(given: Sequence[StrPath]) -> list[StrPath]:
    """Return the single SAEs of several paths and names, as `saes_at` finds them."""
    return [place for each in given for place in saes_at(each)]


def named_sae(text: str) -> tuple[str | None, StrPath]:
    """Read the path of an SAE, as PATH or NAME=PATH, and return its name, if any, and its path.

    Raises:
        FileNotFoundError: there is no SAE.
        ValueError: the name cannot be a folder's, or the file's ending is not one that is read.
    """
    name, equals, rest = text.partition("=")
    if not equals or is_name(text) or Path(text).exists():
        return None, sae(text)
    if name != Path(name).name:
        raise ValueError(f"{name!r} cannot name a folder: expected NAME=PATH, got {text!r}")
    return name, sae(rest)


def named_place(text: str) -> tuple[str | None, Path]:
    """Read the path of a file or folder, as PATH or NAME=PATH; return its name, if any, and it.

    Raises:
        FileNotFoundError: there is none.
    """
    name, equals, rest = text.partition("=")
    if not equals or Path(text).exists():
        return None, existing(text)
    return name, existing(rest)


MATCH, RUN, MANY, STABLE = "summary.json", "log.jsonl", "seeds.json", "stable.json"
_WRITERS = {
    MATCH: "`twinsae match`",
    RUN: "`twinsae train`",
    MANY: "`twinsae match-all`",
    STABLE: "`twinsae stable`",
}


def match_folder(text: str) -> Path:
    """Read the path of a folder that `twinsae match` wrote; raise as `_written` does."""
    return _written(text, MATCH)


def reportable(text: str) -> Path:
    """Read the path of a folder that `twinsae report` can draw, or of one with matches in it.

    Raises:
        FileNotFoundError: there is no such folder, or nothing to draw in it.
    """
    path = existing(text)
    if any((path / file).is_file() for file in _WRITERS) or any(path.rglob(MATCH)):
        return path
    raise FileNotFoundError(
        f"no {MATCH}, {MANY} or {RUN} in {path}, and no match below it: expected a folder of "
        "`twinsae match`, `twinsae match-all` or `twinsae train`, or one with matches in it"
    )


def pushable(text: str) -> Path:
    """Read the path of a folder with an SAE at or below it, or with a report.

    Raises:
        FileNotFoundError: there is no such folder, or neither in it.
    """
    path = existing(text)
    reports = (path / "index.html", path / "report" / "index.html")
    if path.is_dir() and (find_saes(path) or any(page.is_file() for page in reports)):
        return path
    raise FileNotFoundError(
        f"no SAE and no report in {path}: expected a folder of `twinsae train`, or one in which "
        "`twinsae report` wrote"
    )


def matches(text: str) -> Path:
    """Read the path of a folder that `twinsae match` or `twinsae match-all` wrote, likewise."""
    return _written(text, MATCH, MANY)


def grid(text: str) -> Path:
    """Return a grid's file: a path, or the name of one that comes with twinsae.

    Raises:
        ValueError: there is neither.
    """
    shipped = Path(__file__).parent.parent / "sweep" / "grids"
    for path in (Path(text), shipped / f"{text}.yaml"):
        if path.is_file():
            return path
    names = ", ".join(sorted(path.stem for path in shipped.glob("*.yaml")))
    raise ValueError(f"{text} is no file, and no grid of twinsae: these are {names}")


def many_matches(text: str) -> Path:
    """Read the path of a folder that `twinsae match-all` wrote, likewise."""
    return _written(text, MANY)


def stable_latents(text: str) -> Path:
    """Read the path of a folder in which `twinsae stable` has run, likewise."""
    return _written(text, STABLE)


def has_matches(path: Path) -> bool:
    """Return whether `twinsae match` or `twinsae match-all` wrote this folder."""
    return any((path / file).is_file() for file in (MATCH, MANY))


def _written(text: str, *files: str) -> Path:
    """Read the path of a folder in which one of these files tells which command wrote it.

    Raises:
        FileNotFoundError: there is no such folder, or none of the files in it.
    """
    path = existing(text)
    if not any((path / file).is_file() for file in files):
        writers = " or ".join(_WRITERS[file] for file in files)
        raise FileNotFoundError(
            f"no {' or '.join(files)} in {path}: expected a folder of {writers}"
        )
    return path


class Shard(NamedTuple):
    """Part ``part``, 1 to ``parts``, of so many equal parts."""

    part: int
    parts: int


def shard(text: str) -> Shard:
    """Read a part of a whole, "i/n".

    Raises:
        ValueError: it is not two whole numbers with 1 <= i <= n.
    """
    part, slash, parts = text.partition("/")
    if not slash or not part.isdecimal() or not parts.isdecimal():
        raise ValueError(f"expected i/n, such as 1/8, got {text!r}")
    if not 1 <= int(part) <= int(parts):
        raise ValueError(f"expected i/n with 1 <= i <= n, got {text!r}")
    return Shard(int(part), int(parts))


def check_harvest(config: HarvestConfig, stores: Path) -> None:
    """Raise if a harvest that is to begin in ``stores`` cannot read its model or its text.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ImportError: a package is not installed.
    """
    begun = [stores, *(stores / hookpoint for hookpoint in config.hookpoint)]
    if not any((folder / "meta.json").exists() for folder in begun):
        check_model(config.model)
        check_text(config.text)
