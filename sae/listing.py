"""Which SAEs a folder or a repository of the Hub has, from metadata alone: no weights are read."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

from ..common.files import StrPath
from ..common.progress import silent
from .formats.headers import Header, read_headers
from .formats.layouts import sae_files, sae_places
from .formats.orientation import Sizes, sizes_in
from .formats.registry import find_family
from .formats.source import COMPILED, SIDECARS, Metadata
from .hub.client import HubOptions, Snapshot, download, open_part, read_snapshot
from .hub.names import is_name, parse_name

_LARGEST_SIDECAR = 2**20  # bytes
_AT_ONCE = 8  # SAEs: over the network the time goes by waiting
# Latents and width, as the sidecars of public SAEs name them.
_SIZES = (
    ("d_sae", "d_in"),
    ("d_sae", "d_model"),
    ("num_latents", "d_in"),
    ("dict_size", "activation_dim"),
    ("feature_size", "hidden_size"),
    ("n_latents", "n_inputs"),
)


class Described(NamedTuple):
    """What metadata tell of an SAE; None for what they do not."""

    family: str | None
    num_latents: int | None
    d_in: int | None
    dtype: str | None


class ListedSAE(NamedTuple):
    """One SAE of a folder or repository."""

    path: str
    """In the folder or repository."""
    size: int
    """Bytes of its files."""
    described: Described


class Folder:
    """A folder of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root
        found = (path for path in root.rglob("*") if path.is_file())
        self.sizes = {path.relative_to(root).as_posix(): path.stat().st_size for path in found}

    def open(self, file: str) -> BinaryIO:
        """Return a file at its beginning."""
        return (self._root / file).open("rb")

    def text(self, file: str) -> str:
        """Return what a small file holds."""
        return (self._root / file).read_text(encoding="utf-8")


class Repository:
    """A repository of the Hub at one commit."""

    def __init__(self, repo: str, snapshot: Snapshot, options: HubOptions) -> None:
        self._repo, self._snapshot, self._options = repo, snapshot, options
        self.sizes = {path: file.size for path, file in snapshot.files.items()}

    def open(self, file: str) -> BinaryIO:
        """Return a file at its beginning; parts of it are downloaded when they are read."""
        return open_part(self._repo, self._snapshot, file, self._options)

    def text(self, file: str) -> str:
        """Return what a small file holds, which is downloaded to the Hub's local cache."""
        folder = download(self._repo, self._snapshot, [file], self._options, silent)
        return (folder / file).read_text(encoding="utf-8")


Tree = Folder | Repository


def list_saes(place: StrPath, options: HubOptions | None = None) -> Iterator[ListedSAE]:
    """Yield the SAEs of a folder or a repository, by path.

    What is known comes from small sidecars and from the headers of the files with the weights, of
    which a few blocks of 64 KiB are read.

    Args:
        place: a folder, or the name of a repository, "hf:OWNER/REPO[@REVISION]", or of a place in
            it, with ":PREFIX".
        options: how the Hub is asked.

    Raises:
        FileNotFoundError: there is no such folder or repository, or no SAE in it.
        ValueError: the name is wrong.
        OSError: as for `hub.find_remote`.
    """
    tree: Tree
    if is_name(place):
        name, options = parse_name(str(place)), options or HubOptions()
        snapshot = read_snapshot(name.repo, name.revision, options)
        tree, prefix, called = Repository(name.repo, snapshot, options), name.path, name.repo
    else:
        tree, prefix, called = Folder(Path(place)), "", str(place)
    places = sae_places(tree.sizes, prefix)
    if not places:
        below = f" at or below {prefix!r}" if prefix else ""
        raise FileNotFoundError(f"{called} has no SAE{below}")
    found = [saes for saes in (sae_files(tree.sizes, path) for path in places) if saes is not None]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        described = pool.map(lambda saes: describe(tree, saes.files), found)
        for saes, facts in zip(found, described, strict=True):
            yield ListedSAE(saes.place, sum(tree.sizes[file] for file in saes.files), facts)


def describe(tree: Tree, files: list[str]) -> Described:
    """Return what metadata tell of the SAE that has these files.

    Raises:
        OSError: a file cannot be read.
    """
    sidecar = _sidecar(tree, files)
    try:
        weights, headers = _headers(tree, files)
        shapes = {name: header.shape for name, header in headers.items()}
        metadata = Metadata(weights, shapes, sidecar)
        family = find_family(metadata)
        matrix, num_latents, d_in = metadata.measure(family.names_of(metadata))
    except ValueError:
        return Described(None, *_sizes(sidecar), None)
    return Described(family.name, num_latents, d_in, headers[matrix].dtype)


def _headers(tree: Tree, files: list[str]) -> tuple[str, dict[str, Header]]:
    """Return the first file with weights and the headers of all, which have no name in common."""
    found: dict[str, Header] = {}
    weights = [file for file in files if PurePosixPath(file).suffix not in (".json", ".yaml")]
    for file in weights:
        with tree.open(file) as opened:
            read = read_headers(opened, file)
        headers = {name.removeprefix(COMPILED): header for name, header in read.items()}
        if found.keys() & headers.keys():
            raise ValueError(f"{file} holds another layer")
        found |= headers
    return weights[0], found


def _sidecar(tree: Tree, files: list[str]) -> dict[str, Any]:
    for file in files:
        named = PurePosixPath(file).name in SIDECARS or file.endswith("_cfg.json")
        if named and file.endswith(".json") and tree.sizes[file] <= _LARGEST_SIDECAR:
            try:
                content = json.loads(tree.text(file))
            except (ValueError, RecursionError):
                continue
            if isinstance(content, dict):
                return content
    return {}


def _sizes(sidecar: dict[str, Any]) -> Sizes:
    trainer = sidecar.get("trainer")
    for settings in (sidecar, trainer if isinstance(trainer, dict) else {}):
        for names in _SIZES:
            found = sizes_in(settings, *names)
            if None not in found:
                return found
    return None, None
