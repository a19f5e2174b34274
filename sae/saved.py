"""SAEs to and from the disk: every format is read, ours is written."""

import warnings
from pathlib import Path

from ..common.files import StrPath
from .formats import native, registry
from .formats.orientation import Orientation
from .hub import locate
from .model import SAE


def load_sae(path: StrPath, *, orientation: Orientation | None = None) -> SAE:
    """Return the SAE in a folder or file, of whichever format; its parameters keep their dtype.

    A name, ``hf:OWNER/REPO[@REVISION]:PATH`` or ``saelens:RELEASE/ID``, is downloaded first.

    The manual's page *Formats* lists the layouts. It computes what its owner's code computes from
    raw activations; where a file does not say all that decides this, a warning names what was
    assumed.

    Args:
        path: a folder, a file or a name.
        orientation: which axes of encoder/decoder are latents, such as "DL/LD" for W_enc (D, L) and
            W_dec (L, D), where nothing in the files tells it.

    Raises:
        FileNotFoundError: there is nothing of this kind; the message names what is below.
        ValueError: a file is corrupt, or its SAE computes something that ours cannot: the message
            names the setting; or a name is wrong.
        OSError: the Hub cannot be reached.
    """
    found = locate(path)
    stored = registry.load(found.path, orientation=orientation, **found.settings)
    for what in stored.assumed:
        warnings.warn(f"{found.path}: {what}", stacklevel=2)
    return SAE.from_stored(stored)


def save_sae(sae: SAE, folder: StrPath) -> None:
    """Write ``folder/cfg.json`` and ``folder/sae.safetensors``, each atomically.

    Raises:
        OSError: the write failed; files that were there before are untouched.
    """
    native.save(sae.stored(), Path(folder))
