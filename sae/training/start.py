"""Another SAE, by path or name, whose weights training begins with."""

import warnings
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from ...common.files import StrPath, sha256
from ...common.progress import Progress
from ..config import SAEConfig
from ..formats import registry
from ..formats.paths import weight_file
from ..hub import locate
from ..model import SAE


class Start(NamedTuple):
    """The SAE that training begins with."""

    config: SAEConfig
    tensors: Mapping[str, Tensor]
    """The parameters by their names in `SAE`."""
    facts: dict[str, str | None]
    """Where it came from, as `cfg.json` of what it becomes says it: ``path``, ``sha256`` of the
    file with its weights, and of a name on the Hub ``name``, ``repo`` and ``commit``."""

    @torch.no_grad()
    def copy_to(self, sae: SAE) -> None:
        """Give ``sae``, which has the same shape, the weights of this one in its own dtype."""
        for name, parameter in sae.named_parameters():
            parameter.copy_(self.tensors[name])


def open_start(given: StrPath, *, progress: Progress | None = None) -> Start:
    """Return the SAE that training is to begin with.

    A name, ``hf:OWNER/REPO[@REVISION]:PATH`` or ``saelens:RELEASE/ID``, is downloaded first.

    Args:
        given: a folder or file of any layout that `load_sae` reads, or a name.
        progress: told of the phase "download", in bytes.

    Raises:
        ValueError: it is not an SAE that can be trained, or holds weights that are not finite; or
            as for `load_sae`.
        FileNotFoundError, OSError: as for `load_sae`.
    """
    found = locate(given, progress=progress)
    stored = registry.load(found.path, **found.settings)
    if not stored.config.trainable:
        raise ValueError(f"start: {given}: an SAE like this cannot be trained: {stored.config}")
    for name, tensor in stored.tensors.items():
        if not tensor.isfinite().all():
            raise ValueError(f"start: {given}: {name!r} holds numbers that are not finite")
    for what in stored.assumed:
        warnings.warn(f"{found.path}: {what}", stacklevel=2)
    digest = sha256(weight_file(found.path))
    facts = {"path": str(found.path.resolve()), **found.facts, "sha256": digest}
    return Start(stored.config, stored.tensors, facts)
