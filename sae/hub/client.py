"""What is asked of the Hugging Face Hub, by its own client, with errors in one line."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ...common.errors import first_line
from ...common.progress import Progress
from .ranges import BLOCK, RangeFile


class HubFile(NamedTuple):
    """One file of a repository."""

    path: str
    size: int
    """In bytes."""


class Snapshot(NamedTuple):
    """A repository at one commit."""

    revision: str
    """As it was asked for: a branch, a tag or the commit."""
    commit: str
    """40 hexadecimal digits."""
    files: dict[str, HubFile]
    """All files by their paths; without the network those that the cache has."""


class HubOptions(NamedTuple):
    """How the Hub is asked; the names are huggingface_hub's."""

    cache_dir: str | None = None
    """The Hub's local cache; None: its usual place."""
    token: str | bool | None = None
    """For private and gated repositories; None: the one that was saved by logging in."""
    local_files_only: bool = False
    """Never ask the Hub, take what the cache has."""

    @property
    def offline(self) -> bool:
        """Whether only the cache answers: by this option or by the client's HF_HUB_OFFLINE."""
        return self.local_files_only or bool(hub_client("constants").HF_HUB_OFFLINE)


def read_snapshot(repo: str, revision: str | None, options: HubOptions) -> Snapshot:
    """Return a repository's commit and files.

    Raises:
        FileNotFoundError: there is no such repository or revision, or it may not be read.
        OSError: the Hub cannot be reached.
    """
    hub, revision = hub_client(), revision or "main"
    with _told(repo, revision):
        if options.offline:
            folder = hub.snapshot_download(
                repo, revision=revision, cache_dir=options.cache_dir, local_files_only=True
            )
            return _cached(Path(folder), revision)
        api = hub_api(options)
        commit = api.repo_info(repo, revision=revision).sha
        tree = api.list_repo_tree(repo, recursive=True, revision=commit)
        files = [
            HubFile(f.path, f.size) for f in tree if isinstance(f, hub_client("hf_api").RepoFile)
        ]
        return Snapshot(revision, commit, {file.path: file for file in files})


def open_part(repo: str, snapshot: Snapshot, file: str, options: HubOptions) -> BinaryIO:
    """Return a file of a repository, of which only what is read is downloaded.

    Raises:
        FileNotFoundError: without the network, if the local cache has not got the file.
        OSError: when it is read: the Hub cannot be reached, or may not be.
    """
    cached = _cached_file(repo, snapshot.commit, file, options)
    if cached is not None:
        return cached.open("rb")
    if options.offline:
        raise FileNotFoundError(f"{repo}:{file} is not in the local cache")
    hub = hub_client()
    url = hub.hf_hub_url(repo, file, revision=snapshot.commit, endpoint=_endpoint())
    headers = hub_client("utils").build_hf_headers(token=options.token)

    def fetch(start: int, end: int) -> bytes:
        with _told(repo, snapshot.revision):
            part = headers | {"Range": f"bytes={start}-{end - 1}"}
            response = hub_client("utils").get_session().get(url, headers=part)
            hub_client("utils").hf_raise_for_status(response)
            content = bytes(response.content)
            if len(content) != end - start:
                raise OSError(
                    f"{file}: {end - start:,} bytes were asked for, {len(content):,} came"
                )
            return content

    whole = RangeFile(snapshot.files[file].size, fetch, f"{repo}:{file}")
    return io.BufferedReader(whole, BLOCK)


def is_cached(repo: str, commit: str, file: str, options: HubOptions) -> bool:
    """Whether the local cache has a file of this commit."""
    return _cached_file(repo, commit, file, options) is not None


def _cached_file(repo: str, commit: str, file: str, options: HubOptions) -> Path | None:
    found = hub_client().try_to_load_from_cache(
        repo, file, revision=commit, cache_dir=options.cache_dir
    )
    return Path(found) if isinstance(found, str) else None


def download(
    repo: str, snapshot: Snapshot, files: list[str], options: HubOptions, progress: Progress
) -> Path:
    """Return the folder of the commit in the local cache, with these files in it.

    A connection that is cut is taken up again where it was.

    Args:
        repo: OWNER/REPO.
        snapshot: what `read_snapshot` returned.
        files: paths in it.
        options: as for `read_snapshot`.
        progress: told of the phase "download", in bytes of the files that are not in the cache.

    Raises:
        As for `read_snapshot`; OSError: a file cannot be written.
    """
    hub = hub_client()
    missing = [file for file in files if not is_cached(repo, snapshot.commit, file, options)]
    total = sum(snapshot.files[file].size for file in missing)
    done = 0
    if missing:
        progress("download", 0, total, "bytes")

    def told(size: float) -> None:
        nonlocal done
        done += int(size)
        progress("download", min(done, total), total, "bytes")

    folder = Path()
    for file in files:
        bar = _bar(told) if file in missing else _bar(lambda _: None)
        # By the revision's name, so that the cache learns which commit it stands for.
        with _told(repo, snapshot.revision):
            found = hub.hf_hub_download(
                repo,
                file,
                revision=snapshot.revision,
                cache_dir=options.cache_dir,
                token=options.token,
                local_files_only=options.offline,
                endpoint=_endpoint(),
                tqdm_class=bar,
            )
        folder = Path(found).parents[file.count("/")]
        if folder.name != snapshot.commit:
            raise OSError(f"{repo}@{snapshot.revision} has changed meanwhile; ask again")
    return folder


def hub_client(module: str = "") -> Any:
    """Return the client, or one of its modules, which is imported only now: it takes a while."""
    return import_module(f"huggingface_hub.{module}".rstrip("."))


def hub_api(options: HubOptions) -> Any:
    """Return what the Hub is asked by, under these options."""
    return hub_client().HfApi(endpoint=_endpoint(), token=options.token)


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT")


def _cached(folder: Path, revision: str) -> Snapshot:
    found = (path for path in folder.rglob("*") if path.is_file())
    files = [HubFile(path.relative_to(folder).as_posix(), path.stat().st_size) for path in found]
    return Snapshot(revision, folder.name, {file.path: file for file in files})


def _bar(told: Any) -> type:
    """Return a silent kind of the client's progress bar, which tells how many bytes came."""
    tqdm: Any = import_module("tqdm.std").tqdm

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)
            super().__init__(*args, **kwargs | {"disable": True})

        def update(self, n: float = 1) -> None:
            told(n)

    return Bar


@contextmanager
def _told(repo: str, revision: str) -> Iterator[None]:
    """Turn the client's many errors into one line of ours."""
    errors = hub_client("errors")
    where = f"{repo}@{revision}"
    try:
        yield
    except errors.GatedRepoError as error:
        raise FileNotFoundError(
            f"{repo} is gated: accept its licence on its page on the Hub, and log in by "
            "`hf auth login` or give a token in HF_TOKEN"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"the Hub has no repository {repo}, or it is private: then log in by `hf auth login`"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise FileNotFoundError(f"{repo} has no revision {revision!r}") from error
    except errors.LocalEntryNotFoundError as error:
        raise FileNotFoundError(
            f"{where} is not in the local cache, and the Hub was not or could not be asked"
        ) from error
    except errors.HFValidationError as error:
        raise ValueError(f"{repo!r} cannot be a repository: {first_line(error)}") from error
    except Exception as error:  # of whichever HTTP library the client uses, or of the disk
        raise OSError(f"{where} could not be read from the Hub: {first_line(error)}") from error
