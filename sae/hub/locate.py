"""From the name of an SAE to its files on this machine."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ...common.files import StrPath
from ...common.progress import Progress, silent
from ..formats.layouts import sae_files, sae_places
from ..formats.paths import find_saes
from .client import HubOptions, Snapshot, download, is_cached, read_snapshot
from .names import HUB, HubName, is_name, is_repository, parse_name

_MOST_NAMED = 10


class RemoteSAE(NamedTuple):
    """An SAE on the Hub: which files of which commit."""

    name: HubName
    snapshot: Snapshot
    files: list[str]
    """Paths of what is read of it, ascending."""

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(self.snapshot.files[file].size for file in self.files)

    def missing_size(self, options: HubOptions) -> int:
        """Return the bytes that are not in the local cache."""
        commit = self.snapshot.commit
        return sum(
            self.snapshot.files[file].size
            for file in self.files
            if not is_cached(self.name.repo, commit, file, options)
        )


class LocatedSAE(NamedTuple):
    """An SAE on this machine, and where it came from."""

    path: Path
    """Its folder or file."""
    name: HubName | None = None
    """What it is called on the Hub; None for a path."""
    commit: str | None = None
    """The repository's commit, 40 hexadecimal digits."""

    @property
    def settings(self) -> dict[str, Any]:
        """What SAELens' registry says of it, as `formats.registry.load` takes it."""
        if self.name is None:
            return {}
        return {"overrides": self.name.overrides, "scaling": self.name.scaling}

    @property
    def facts(self) -> dict[str, Any]:
        """What a summary says of where it came from; {} for a path."""
        if self.name is None:
            return {}
        return {"name": self.name.text, "repo": self.name.repo, "commit": self.commit}


def find_remote(name: HubName, options: HubOptions) -> RemoteSAE:
    """Return which files an SAE on the Hub has; nothing is downloaded.

    Raises:
        FileNotFoundError: there is no such repository or SAE; the message names those that are
            there.
        OSError: the Hub cannot be reached.
    """
    snapshot = read_snapshot(name.repo, name.revision, options)
    found = sae_files(snapshot.files, name.path)
    if found is None and not name.path:
        places = sae_places(snapshot.files)
        found = sae_files(snapshot.files, places[0]) if len(places) == 1 else None
    if found is None:
        raise FileNotFoundError(_no_sae(name, snapshot))
    return RemoteSAE(replace(name, path=found.place), snapshot, found.files)


def fetch(remote: RemoteSAE, options: HubOptions, progress: Progress | None = None) -> LocatedSAE:
    """Download an SAE's files to the Hub's local cache, where they are not there yet.

    Raises:
        FileNotFoundError, OSError: as for `find_remote`; or the disk is full.
    """
    commit = remote.snapshot.commit
    folder = download(remote.name.repo, remote.snapshot, remote.files, options, progress or silent)
    return LocatedSAE(folder / remote.name.path, remote.name, commit)


def locate(
    given: StrPath | LocatedSAE,
    options: HubOptions | None = None,
    progress: Progress | None = None,
) -> LocatedSAE:
    """Return an SAE's place on this machine: a path as it is, a name downloaded if need be.

    Args:
        given: a path, or a name as `parse_name` reads it; or what this returned before.
        options: how the Hub is asked.
        progress: told of the phase "download", in bytes.

    Raises:
        ValueError: the name is wrong.
        FileNotFoundError, OSError: as for `find_remote`. A path is not looked at.
    """
    if isinstance(given, LocatedSAE):
        return given
    if not is_name(given):
        return LocatedSAE(Path(given))
    options = options or HubOptions()
    return fetch(find_remote(parse_name(str(given)), options), options, progress)


def locate_pretrained(
    repo_or_dir: StrPath, hookpoint: str | None, revision: str | None, options: HubOptions
) -> LocatedSAE:
    """Return the place of an SAE that is given as `SAE.from_pretrained` takes it.

    Args:
        repo_or_dir: a name as `parse_name` reads it; a path if there is one; else OWNER/REPO.
        hookpoint: the folder or file in it; None: itself.
        revision: branch, tag or commit of a repository.
        options: how the Hub is asked.

    Raises:
        FileNotFoundError, OSError: as for `find_remote`.
        ValueError: a name is wrong, or comes with a hookpoint or revision beside its own.
    """
    if is_name(repo_or_dir):
        if hookpoint is not None or revision is not None:
            raise ValueError(f"{repo_or_dir}: its hookpoint and revision are in the name already")
        return locate(repo_or_dir, options)
    root = Path(repo_or_dir)
    path = root / (hookpoint or "")
    if path.exists():
        return LocatedSAE(path)
    if root.exists():
        below = ", ".join(str(sae.relative_to(root)) for sae in find_saes(root))
        raise FileNotFoundError(f"{root} has no {hookpoint!r}; SAEs in it: {below or 'none'}")
    if not is_repository(str(repo_or_dir)):
        raise FileNotFoundError(f"{str(repo_or_dir)!r} is neither a path nor OWNER/REPO")
    text = f"{HUB}{repo_or_dir}:{hookpoint or ''}"
    name = HubName(text, str(repo_or_dir), revision, (hookpoint or "").strip("/"))
    return fetch(find_remote(name, options), options)


def _no_sae(name: HubName, snapshot: Snapshot) -> str:
    folder = name.path
    places: list[str] = []
    while folder and not places:
        places = sae_places(snapshot.files, folder)
        folder = folder.rpartition("/")[0]
    places = places or sae_places(snapshot.files)
    named = ", ".join(places[:_MOST_NAMED]) or "none"
    more = f", {len(places) - _MOST_NAMED:,} more" if len(places) > _MOST_NAMED else ""
    what = f"no SAE {name.path!r}" if name.path else "more than one SAE, or none, at its root"
    return f"{name.repo} has {what}; SAEs in it: {named}{more}"
