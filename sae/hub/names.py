"""Names of SAEs on the Hugging Face Hub: ``hf:OWNER/REPO[@REVISION]:PATH`` and ``saelens:...``.

Nothing is asked for here and nothing heavy is imported, so that a wrong name is told at once.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from ...common.files import StrPath
from . import saelens_names

HUB, SAELENS = "hf:", "saelens:"

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class HubName:
    """One place in one repository of the Hub."""

    text: str
    """As it was given."""
    repo: str
    """OWNER/REPO."""
    revision: str | None
    """Branch, tag or commit; None: the main branch."""
    path: str
    """Folder or file in it; "": the repository itself."""
    overrides: dict[str, Any] = field(default_factory=dict)
    """Settings that SAELens' registry gives in place of those in ``cfg.json``."""
    scaling: float | None = None
    """By what SAELens' registry says that activations are multiplied before its SAE reads them."""


def is_name(given: StrPath) -> bool:
    """Whether this is a name, not a path: a prefix is never tried as a path."""
    return isinstance(given, str) and given.startswith((HUB, SAELENS))


def is_repository(text: str) -> bool:
    """Whether the text has the form OWNER/REPO."""
    return _REPOSITORY.fullmatch(text) is not None


def parse_name(text: str) -> HubName:
    """Read ``hf:OWNER/REPO[@REVISION][:PATH]`` or ``saelens:RELEASE/ID``.

    Raises:
        ValueError: it is neither, or SAELens' registry does not have it; the message says what was
            expected, or which names are near.
    """
    if text.startswith(SAELENS):
        return _from_registry(text)
    head, _, path = text.removeprefix(HUB).partition(":")
    repo, at, revision = head.partition("@")
    path = path.strip("/")
    wrong = not is_repository(repo) or (at and not revision) or ".." in path.split("/")
    if not text.startswith(HUB) or wrong:
        raise ValueError(f"expected hf:OWNER/REPO[@REVISION]:PATH, got {text!r}")
    return HubName(text, repo, revision or None, path)


def _from_registry(text: str) -> HubName:
    release, slash, sae_id = text.removeprefix(SAELENS).partition("/")
    if not slash or not release or not sae_id:
        raise ValueError(f"expected saelens:RELEASE/ID, got {text!r}")
    entry = saelens_names.find(release, sae_id)
    return HubName(text, entry.repo, None, entry.path, entry.overrides, entry.scaling)
