"""SAEs to and from the disk: every format is read, ours is written."""

from pathlib import Path

from ..common.files import StrPath
from .formats import native, registry
from .hub import locate
from .model import SAE


def load_sae(path: StrPath) -> SAE:
    """Return the SAE in a folder or file, of whichever format; its parameters keep their dtype.

    A name, ``hf:OWNER/REPO[@REVISION]:PATH`` or ``saelens:RELEASE/ID``, is downloaded first.

    Folders: ours and sparsify's (memory-mapped), SAELens', dictionary_learning's. Files: openai's
    and dictionary_learning's ``.pt``; bare arrays in .safetensors, .npz or .pt, with ``k``.

    Raises:
        FileNotFoundError: there is nothing of this kind; the message names what is below.
        ValueError: a file is corrupt, or its SAE computes something that ours cannot: the message
            names the setting; or a name is wrong.
        ImportError: a name needs huggingface_hub, which is not installed.
        OSError: the Hub cannot be reached.
    """
    return SAE.from_stored(registry.load(locate(path).path))


def save_sae(sae: SAE, folder: StrPath) -> None:
    """Write ``folder/cfg.json`` and ``folder/sae.safetensors``, each atomically.

    Raises:
        OSError: the write failed; files that were there before are untouched.
    """
    native.save(sae.stored(), Path(folder))
