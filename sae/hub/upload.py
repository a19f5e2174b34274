"""What is written to the Hugging Face Hub, by its own client, with errors in one line."""

import hashlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ...common.errors import first_line
from ...common.files import sha256
from .client import HubOptions, hub_api, hub_client
from .names import is_repository

Kind = Literal["model", "space"]
Content = Path | bytes
"""A file to push: where it is, or what it holds."""

CARD = "README.md"

_FILES_A_COMMIT = 100
"""The Hub's documentation asks for no more (huggingface.co/docs/hub/storage-limits)."""
_BY_STATUS = {
    401: "the Hub does not accept the token: log in again by `hf auth login`, or set HF_TOKEN",
    403: "the token may not write to {repo}: look at the owner's name and the token's permissions",
    404: "the Hub has no repository {repo} that the token may write to",
    409: "{repo} is being changed by somebody else: push again",
    412: "{repo} was changed by somebody else meanwhile: push again",
    429: "the Hub was asked too often: wait a while and push again",
}


class RemoteFile(NamedTuple):
    """What a repository tells of a file's content."""

    hash: str
    large: bool
    """Whether it is the SHA-256, as of large files; else the SHA-1 that git gives."""


class Remote(NamedTuple):
    """A repository that is on the Hub."""

    private: bool
    commit: str
    files: dict[str, RemoteFile]
    """By their paths."""


def check_writable(repo: str, options: HubOptions) -> None:
    """Raise for what is wrong before the Hub is asked.

    Raises:
        ValueError: the repository's name is wrong.
        PermissionError: there is no token.
    """
    if not is_repository(repo):
        raise ValueError(f"expected a repository OWNER/NAME, got {repo!r}")
    if not _token(options):
        raise PermissionError(
            "pushing needs a token: log in by `hf auth login`, or set HF_TOKEN, with one that may "
            "write"
        )


def read_remote(repo: str, kind: Kind, options: HubOptions) -> Remote | None:
    """Return what is on the Hub; None if there is no such repository that the token may see.

    Raises:
        OSError, ValueError: as for `commit`.
    """
    errors = hub_client("errors")
    with _told(repo, options):
        api = hub_api(options)
        try:
            info = api.repo_info(repo, repo_type=kind)
        except errors.GatedRepoError:
            raise
        except errors.RepositoryNotFoundError:
            return None
        tree = api.list_repo_tree(repo, recursive=True, revision=info.sha, repo_type=kind)
        found = [file for file in tree if isinstance(file, hub_client("hf_api").RepoFile)]
        return Remote(bool(info.private), info.sha, {file.path: _hash(file) for file in found})


def read_card(repo: str, kind: Kind, remote: Remote, options: HubOptions) -> str:
    """Return README.md of a repository that has one.

    Raises:
        OSError, ValueError: as for `commit`.
    """
    with _told(repo, options):
        path = hub_api(options).hf_hub_download(
            repo, CARD, repo_type=kind, revision=remote.commit, cache_dir=options.cache_dir
        )
        return Path(path).read_text(encoding="utf-8", errors="replace")


def create(repo: str, kind: Kind, *, public: bool, options: HubOptions) -> None:
    """Make an empty repository; a Space is of plain files.

    Raises:
        OSError, ValueError: as for `commit`; there is one already.
    """
    sdk = {"space_sdk": "static"} if kind == "space" else {}
    with _told(repo, options):
        hub_api(options).create_repo(repo, private=not public, repo_type=kind, **sdk)


def is_same(content: Content, remote: RemoteFile | None) -> bool:
    """Whether a file is on the Hub as it is here."""
    if remote is None:
        return False
    if remote.large:
        found = sha256(content) if isinstance(content, Path) else _sha256(content)
    else:  # such a file is small
        data = content.read_bytes() if isinstance(content, Path) else content
        found = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    return found == remote.hash


def commit(
    repo: str, kind: Kind, files: Mapping[str, Content], message: str, options: HubOptions
) -> None:
    """Write files to a repository that is there, in commits of at most 100 files.

    The card comes first, because the Hub checks it before anything is uploaded. Files that arrived
    before an error are not sent again by the next call.

    Raises:
        ValueError: the Hub refuses the card, or the repository's name.
        OSError: it cannot be reached, refuses the token or fails; the message says what to do.
    """
    add = hub_client().CommitOperationAdd
    with _told(repo, options), _bars_on_a_terminal():
        api = hub_api(options)
        ordered = iter(sorted(files, key=lambda path: (path != CARD, path)))
        while some := list(islice(ordered, _FILES_A_COMMIT)):
            operations = [add(path_in_repo=path, path_or_fileobj=files[path]) for path in some]
            api.create_commit(repo, operations, commit_message=message, repo_type=kind)


@contextmanager
def _bars_on_a_terminal() -> Iterator[None]:
    """Let the client draw its own bars on a terminal alone: in a file they are noise."""
    utils = hub_client("utils")
    if sys.stderr.isatty() or utils.are_progress_bars_disabled():
        yield
        return
    utils.disable_progress_bars()
    try:
        yield
    finally:
        utils.enable_progress_bars()


def _hash(file: Any) -> RemoteFile:
    return RemoteFile(file.lfs.sha256, True) if file.lfs else RemoteFile(file.blob_id, False)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _token(options: HubOptions) -> str | None:
    if isinstance(options.token, str):
        return options.token
    return None if options.token is False else hub_client().get_token()


@contextmanager
def _told(repo: str, options: HubOptions) -> Iterator[None]:
    """Turn the client's many errors into one line of ours, without the token."""
    errors = hub_client("errors")
    try:
        yield
    except errors.HFValidationError as error:
        raise ValueError(f"{repo!r} cannot be a repository: {first_line(error)}") from error
    except ValueError as error:  # the client's own: the Hub does not take the card's header
        raise ValueError(_hidden(f"{repo}: {error}", options)) from error
    except Exception as error:  # of whichever HTTP library the client uses, or of the disk
        raise OSError(_hidden(_of_status(repo, error), options)) from error


def _of_status(repo: str, error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in _BY_STATUS:
        return _BY_STATUS[status].format(repo=repo)
    if status is not None and status >= 500:
        return f"the Hub fails (HTTP {status}): push again later; what arrived is not sent again"
    said = getattr(error, "server_message", None) or first_line(error)
    return f"{repo} could not be pushed: {said}; what arrived is not sent again"


def _hidden(message: str, options: HubOptions) -> str:
    token = _token(options)
    text = " ".join(message.split())
    return text.replace(token, "<token>") if token else text
