"""The training log in TensorBoard or Weights & Biases, under SAELens' names.

Nothing here imports torch or one of these packages before it is asked for.
"""

import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol

from ..common.files import atomic_write
from ..common.packages import is_installed, need

LogTo = Literal["tensorboard", "wandb"]

Record = Mapping[str, Any]

_PACKAGES: dict[LogTo, tuple[str, ...]] = {
    "tensorboard": ("tensorboard", "tensorboardX"),
    "wandb": ("wandb",),
}
"""Any one of them will do; the first is what a user is told to install."""
_SENT = "sent.json"
_HELD_OUT = "held_out_"
_NO_VALUES = ("step", "sae", "hookpoint", "seed")
_KEYS = {
    "fvu": "metrics/fvu",
    "l0": "metrics/l0",
    "dead": "sparsity/dead_features",
    "tokens": "details/n_training_samples",
    "lr": "details/current_learning_rate",
    "sparsity": "details/sparsity_coefficient",
    "dense_share": "details/dense_share",
    "auxk_loss": "losses/auxiliary_reconstruction_loss",
}


class Sink(Protocol):
    """Where records go."""

    def write(self, sae: str, step: int, values: Mapping[str, float]) -> None:
        """Take one step of one SAE; ``values`` by `peer_keys`."""

    def flush(self) -> None:
        """Return when all that was written is in the operating system's hands."""

    def close(self) -> None:
        """Write what is left; nothing comes after."""


def check_installed(names: Sequence[LogTo]) -> None:
    """Raise ModuleNotFoundError, saying what to install, unless all of these can be logged to."""
    for name in names:
        _package(name)


def peer_keys(record: Record) -> dict[str, float]:
    """Return a record's numbers under the names that SAELens logs them by.

    FVU, which SAELens logs as 1 - FVU, is there in both forms. What SAELens has no name for goes
    into its groups; a term of the loss is ``losses/<name>``, what was measured on held-out
    activations is ``held_out/<name>``.
    """
    values = {_key(name): float(value) for name, value in record.items() if name not in _NO_VALUES}
    return values | {"metrics/explained_variance": 1 - float(record["fvu"])}


def _key(name: str) -> str:
    if name.startswith(_HELD_OUT):
        return f"held_out/{name.removeprefix(_HELD_OUT)}"
    return _KEYS.get(name, f"losses/{name}")


@contextmanager
def open_sinks(names: Sequence[LogTo], run: Path) -> Iterator[Callable[[Sequence[Record]], None]]:
    """Yield a function that sends records on; those that an earlier process sent are passed over.

    Args:
        names: where to.
        run: the folder of the training run. Files go into ``run/tensorboard`` and ``run/wandb``;
            ``sent.json`` there holds the last step of each SAE that was sent.

    Raises:
        ModuleNotFoundError: a package is missing.
    """
    with ExitStack() as stack:
        mirrors = [_Mirror(run / name, _OPEN[name]) for name in dict.fromkeys(names)]
        for mirror in mirrors:
            stack.callback(mirror.sink.close)

        def send(records: Sequence[Record]) -> None:
            for mirror in mirrors:
                mirror.send(records)

        yield send


class _Mirror:
    """A sink, and what it has been sent so far."""

    def __init__(self, folder: Path, open_sink: Callable[[Path, str], Sink]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / _SENT
        self._state: dict[str, Any] = {"id": secrets.token_hex(4), "steps": {}}
        if self._path.is_file():
            self._state = json.loads(self._path.read_text(encoding="utf-8"))
        self.sink = open_sink(folder, self._state["id"])

    def send(self, records: Sequence[Record]) -> None:
        steps = self._state["steps"]
        new = [each for each in records if each["step"] > steps.get(each["sae"], -1)]
        new = [each for each in new if "failure" not in each]
        for record in new:
            self.sink.write(record["sae"], record["step"], peer_keys(record))
            steps[record["sae"]] = record["step"]
        if new:
            self.sink.flush()
            with atomic_write(self._path) as temporary:
                temporary.write_text(json.dumps(self._state, indent=1) + "\n", encoding="utf-8")


class _TensorBoard:
    """One TensorBoard run an SAE, so that a chart shows all SAEs."""

    def __init__(self, folder: Path, _: str) -> None:
        package = _package("tensorboard")
        name = "torch.utils.tensorboard" if package == "tensorboard" else package
        self._module = import_module(name)
        self._folder = folder
        self._writers: dict[str, Any] = {}

    def write(self, sae: str, step: int, values: Mapping[str, float]) -> None:
        if sae not in self._writers:
            self._writers[sae] = self._module.SummaryWriter(str(self._folder / sae))
        for key, value in values.items():
            self._writers[sae].add_scalar(key, value, step)

    def flush(self) -> None:
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()


class _Wandb:
    """One run for all SAEs, each key after its SAE's name, as SAELens has it for several."""

    def __init__(self, folder: Path, run_id: str) -> None:
        _package("wandb")
        self._run = import_module("wandb").init(
            project=os.environ.get("WANDB_PROJECT", "twinsae"),
            name=folder.parent.resolve().name,
            id=run_id,
            resume="allow",
            dir=str(folder.parent),
        )
        # wandb's own step must never fall, but an SAE may be added to a finished run.
        self._run.define_metric("*", step_metric="step")

    def write(self, sae: str, step: int, values: Mapping[str, float]) -> None:
        self._run.log({"step": step} | {f"{sae}/{key}": value for key, value in values.items()})

    def flush(self) -> None:
        """Nothing to do: wandb hands all to its own process at once."""

    def close(self) -> None:
        self._run.finish()


_OPEN: dict[LogTo, Callable[[Path, str], Sink]] = {"tensorboard": _TensorBoard, "wandb": _Wandb}


def _package(name: LogTo) -> str:
    package = next(filter(is_installed, _PACKAGES[name]), _PACKAGES[name][0])
    need(f"log_to: {name}", package)
    return package
