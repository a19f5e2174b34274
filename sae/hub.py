"""SAEs on the Hugging Face Hub, by huggingface_hub's conventions."""

from importlib import import_module
from pathlib import Path
from typing import Any

from ..common.files import StrPath
from .formats.paths import find_saes


def locate(repo_or_dir: StrPath, hookpoint: str | None, **options: Any) -> Path:
    """Return the local path of an SAE; what is not there is downloaded to the Hub's cache.

    Args:
        repo_or_dir: a path if there is one of this name, else a repository.
        hookpoint: the folder or file in it; None: itself.
        options: of ``huggingface_hub.snapshot_download``.

    Raises:
        FileNotFoundError: the repository, or the folder in it, is not there.
        ImportError: huggingface_hub is needed, but not installed.
    """
    root = Path(repo_or_dir)
    if not root.exists():
        root = _download(str(repo_or_dir), hookpoint, options)
    path = root / (hookpoint or "")
    if not path.exists():
        below = ", ".join(str(sae.relative_to(root)) for sae in find_saes(root))
        raise FileNotFoundError(f"{repo_or_dir} has no {hookpoint!r}; SAEs in it: {below or '?'}")
    return path


def _download(repo: str, hookpoint: str | None, options: dict[str, Any]) -> Path:
    try:
        hub = import_module("huggingface_hub")
    except ImportError as error:
        raise ImportError(
            f"{repo!r} is no path; to ask the Hugging Face Hub for it: pip install 'twinsae[hub]'"
        ) from error
    # Nothing but the one SAE: repositories hold dozens, of up to a gigabyte each.
    wanted: dict[str, Any] = {"ignore_patterns": "*/*"}
    if hookpoint is not None:
        wanted = {
            "allow_patterns": [hookpoint, f"{hookpoint}/*"],
            "ignore_patterns": f"{hookpoint}/*/*",
        }
    try:
        return Path(hub.snapshot_download(repo, **wanted, **options))
    except (hub.errors.HfHubHTTPError, hub.errors.HFValidationError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise FileNotFoundError(f"{repo!r} is neither a path nor on the Hub: {reason}") from error
