"""What a push would change on the Hub, told before it is done, and then done."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from ...common.units import counted
from .card import MARK
from .client import HubOptions, hub_api
from .upload import (
    CARD,
    Content,
    Kind,
    Remote,
    check_writable,
    commit,
    create,
    is_same,
    read_card,
    read_remote,
)

_OF_THE_HUB = "huggingface.co/docs/hub/spaces-config-reference"
"""In the card that the Hub gives to a new Space."""
_MOST_NAMED = 5


class Upload(NamedTuple):
    """What is to be pushed."""

    files: Mapping[str, Content]
    """By their paths in the repository; README.md is among them if its owner wrote one."""
    card: str
    """README.md as it is where nobody wrote one."""
    left_out: Mapping[str, int]
    """Files beside them that are not pushed, with their bytes."""
    notes: Sequence[str] = ()
    """What else a user should know."""


class Push(NamedTuple):
    """What a push changes."""

    repo: str
    kind: Kind
    exists: bool
    private: bool
    """Whether the repository is private, or will be."""
    public_asked: bool
    changed: Mapping[str, Content]
    """Files that are new on the Hub, or other there."""
    same: int
    """How many files are there already."""
    upload: Upload
    card: Literal["written", "yours", "kept"]
    """README.md is written by us, is that of the folder, or stays as it is on the Hub."""

    def lines(self) -> Iterator[str]:
        """Yield what a user should know before it is done."""
        yield f"{self.repo} {self._visibility()}"
        sizes = {path: _size(content) for path, content in sorted(self.changed.items())}
        for path, size in sizes.items():
            yield f"  {path}  {size:,} bytes"
        told = f"to push: {counted(len(sizes), 'file')}, {sum(sizes.values()):,} bytes"
        yield f"{told}; there already: {counted(self.same, 'file')}"
        if self.upload.left_out:
            yield _left_out(self.upload.left_out)
        yield from self.upload.notes
        if self.card == "yours":
            yield f"card: your own {CARD}; --new-card pushes ours in its place"
        if self.card == "kept":
            yield f"card: {CARD} on the Hub was written by somebody, and stays; --new-card replaces"

    def _visibility(self) -> str:
        if not self.exists:
            return f"is new, and will be {'private' if self.private else 'public'}"
        if self.private and self.public_asked:
            return "is there, is private and stays so: its page on the Hub can make it public"
        return f"is there, and is {'private' if self.private else 'public'}"


def prepare(
    upload: Upload, repo: str, kind: Kind, options: HubOptions, *, public: bool, new_card: bool
) -> Push:
    """Return what a push would change; nothing is written.

    Args:
        upload: what is to be pushed.
        repo: OWNER/NAME.
        kind: what sort of repository it is.
        options: how the Hub is asked.
        public: whether a new repository is public, and a public one may be pushed to.
        new_card: whether our card takes the place of one that somebody wrote.

    Raises:
        ValueError: the repository is public, and ``public`` is not set; or its name is wrong.
        PermissionError: there is no token.
        OSError: as for `upload.commit`.
    """
    check_writable(repo, options)
    remote = read_remote(repo, kind, options)
    if remote is not None and not remote.private and not public:
        raise ValueError(
            f"{repo} is public, so what is pushed would be: allow it by --public (public=True), or "
            "give another repository"
        )
    files, card = dict(upload.files), _whose_card(upload, repo, kind, remote, options, new_card)
    if card == "written":
        files[CARD] = upload.card.encode()
    there = {} if remote is None else remote.files
    changed = {path: files[path] for path in files if not is_same(files[path], there.get(path))}
    private = remote.private if remote is not None else not public
    return Push(
        repo, kind, remote is not None, private, public, changed, len(files) - len(changed),
        upload, card,
    )  # fmt: skip


def carry_out(push: Push, options: HubOptions) -> str:
    """Do what was prepared; return the address of the repository's page.

    Raises:
        ValueError: the Hub refuses the card.
        OSError: as for `upload.commit`.
    """
    if not push.exists:
        create(push.repo, push.kind, public=not push.private, options=options)
    commit(push.repo, push.kind, push.changed, "Push with twinsae", options)
    page = f"spaces/{push.repo}" if push.kind == "space" else push.repo
    return f"{hub_api(options).endpoint}/{page}"


def _whose_card(
    upload: Upload,
    repo: str,
    kind: Kind,
    remote: Remote | None,
    options: HubOptions,
    new_card: bool,
) -> Literal["written", "yours", "kept"]:
    if new_card:
        return "written"
    if CARD in upload.files:
        return "yours"
    if remote is None or CARD not in remote.files:
        return "written"
    if is_same(upload.card.encode(), remote.files[CARD]):
        return "written"
    found = read_card(repo, kind, remote, options)
    return "written" if MARK in found or _OF_THE_HUB in found else "kept"


def _left_out(files: Mapping[str, int]) -> str:
    largest = sorted(files, key=lambda path: (-files[path], path))
    named = ", ".join(largest[:_MOST_NAMED])
    more = f" and {len(files) - _MOST_NAMED:,} more" if len(files) > _MOST_NAMED else ""
    return f"left out: {counted(len(files), 'file')}, {sum(files.values()):,} bytes: {named}{more}"


def _size(content: Content) -> int:
    return content.stat().st_size if isinstance(content, Path) else len(content)
