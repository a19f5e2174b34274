"""What the folder of a training run tells of an SAE, for the card of a repository.

What is not there is left out. Paths become names: a card tells nothing of the machine.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from ..common.files import sha256
from .activations.sources import BUILTIN, DATASET
from .activations.store import read_meta
from .firing.known import KnownFiring, known_firing
from .formats.paths import weight_file
from .formats.registry import load
from .formats.tensors import map_file
from .hub.card import Quality, shape_facts
from .hub.names import is_repository
from .train_config import TrainConfig
from .training.checkpoint import CHECKPOINT
from .training.log import Record, find_run, read_log

Json = Mapping[str, Any]

Evaluation = Mapping[Path, Quality]
"""How good SAEs are, by their folders with all links followed."""

_OWN_LINES = ("optimizer", "lr", "batch_size", "epochs")
"""Settings of training that a card always names."""


class RunFacts(NamedTuple):
    """What is known of one SAE."""

    facts: dict[str, str]
    """As a card shows them."""
    quality: Quality | None
    base_model: str | None
    """The language model, if it is on the Hub."""
    dataset: str | None
    """Where the text is from, if that is on the Hub."""
    log: list[Record]
    """Its lines in the log of its run."""
    sha256: str
    """Of the file with its weights."""


class Given(NamedTuple):
    """What a user tells, in place of what the run's folder does."""

    model: str | None = None
    text: str | None = None
    evaluation: Evaluation | None = None
    """What `twinsae evaluate` found; None: what RUN/evaluation.json tells, if it is there."""
    license: str | None = None


def run_facts(folder: Path, given: Given) -> RunFacts:
    """Return what is known of the SAE in a folder.

    Raises:
        ValueError: one of the run's files is corrupt.
    """
    config = load(folder).config
    run = find_run(folder)
    log = [] if run is None else read_log(run).get(folder.relative_to(run).as_posix(), [])
    settings = _settings(folder)
    harvest = dict(_harvest(run, log))
    harvest |= {name: text for name in ("model", "text") if (text := getattr(given, name))}
    facts = {
        **_source(harvest, log, settings),
        **shape_facts(config),
        **_training(settings, log),
    }
    model, text = harvest.get("model", ""), harvest.get("text", "")
    dataset = text.removeprefix(DATASET).partition(":")[0] if text.startswith(DATASET) else None
    evaluation = given.evaluation
    if evaluation is None and run is not None and (run / "evaluation.json").is_file():
        evaluation = read_evaluation(run / "evaluation.json")
    digest = sha256(weight_file(folder))
    measured = None if evaluation is None else evaluation.get(folder.resolve())
    return RunFacts(
        facts,
        measured or _quality(log, known_firing(folder, digest, config.num_latents)),
        model if is_repository(model) and not Path(model).exists() else None,
        dataset,
        log,
        digest,
    )


def read_evaluation(path: Path) -> Evaluation:
    """Return what the file says that `twinsae evaluate --out` wrote.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is not such a file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"evaluation: {path} does not exist")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        found = {}
        for sae in document["saes"].values():
            measured, folder = sae["measured"], Path(sae["path"]).resolve()
            on = f"{measured['tokens']:,} tokens of {_measured_on(document, folder)}"
            found[folder] = Quality(measured["fvu"], measured["l0"], measured["dead"], on, "them")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not what `twinsae evaluate` writes: {error}") from error
    return found


def _measured_on(evaluation: Json, folder: Path) -> str:
    if "model" in evaluation:
        return text_name(evaluation["model"]["text"])
    store, run = Path(evaluation["activations"]), find_run(folder)
    if run is not None and run / "activations" in store.resolve().parents:
        return "the activations of its own training"
    return f"the activations {_code(short_name(str(store)))}"


def short_name(text: str) -> str:
    """Return a name as it is, and of a path that may be of this machine its last part alone."""
    path = PurePath(text)
    local = path.is_absolute() or text.startswith((".", "~")) or len(path.parts) > 2
    return path.name if local or path.suffix == ".gguf" or Path(text).exists() else text


def _harvest(run: Path | None, log: list[Record]) -> Json:
    """Return what the description of the activations says; {} if it is not there."""
    if run is None or not log:
        return {}
    hookpoint = log[-1]["hookpoint"]
    stores = [run / "activations" / hookpoint, run / "activations"]
    noted = run / hookpoint / "activations.json"
    if noted.is_file():
        stores.insert(0, Path(json.loads(noted.read_text(encoding="utf-8"))["activations"]))
    return next((meta for store in stores if (meta := read_meta(store))), {})


def _settings(folder: Path) -> Json:
    """Return the settings that the SAE's checkpoint tells; {} without one."""
    path = folder / CHECKPOINT
    if not path.is_file():
        return {}
    found = json.loads(map_file(path).metadata.get("settings", "{}"))
    return dict(found)


def _source(harvest: Json, log: list[Record], settings: Json) -> dict[str, str]:
    hookpoint = log[-1]["hookpoint"] if log else harvest.get("hookpoint", "")
    text = harvest.get("text", "")
    context = harvest.get("context")
    rows = f"{harvest['rows']:,}" if "rows" in harvest else ""
    facts = {
        "model": _code(short_name(harvest.get("model", ""))),
        "hookpoint": _code(hookpoint),
        "reconstructs": _code(settings.get("target", "")),
        "text": text_name(text),
        "tokens": rows + (f", in sequences of {context:,}" if rows and context else ""),
    }
    return {name: told for name, told in facts.items() if told}


def text_name(text: str) -> str:
    """Return what a card calls a text that `train` or `evaluate` was given."""
    if text == BUILTIN:
        return "Python's documentation, as it comes with Python"
    if text.startswith(DATASET):
        return _code(text.removeprefix(DATASET))
    return _code(short_name(text))


def _training(settings: Json, log: list[Record]) -> dict[str, str]:
    facts = {"seed": str(log[-1]["seed"]) if log else str(settings.get("seed", ""))}
    if log:
        facts["tokens seen"] = f"{log[-1]['tokens']:,}"
    if settings:
        facts["passes"] = f"{settings['epochs']:,}"
        facts["batch"] = f"{settings['batch_size']:,}"
        facts["optimizer"] = f"{settings['optimizer']}, learning rate {settings['lr']:g}"
        facts["other settings"] = ", ".join(_unusual(settings))
    return {name: text for name, text in facts.items() if text}


def _unusual(settings: Json) -> list[str]:
    """Return the settings of training that are not the default's."""
    found = []
    for field in fields(TrainConfig):
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        value = settings.get(field.name, default)
        if field.name not in _OWN_LINES and value != default:
            found.append(f"`{field.name}` {value}")
    return found


def _quality(log: list[Record], firing: KnownFiring | None) -> Quality | None:
    """Return how good the SAE is, by the log of its training and how often its latents fired."""
    dead, dead_on = None, ""
    if firing is not None:
        dead = float((firing.count == 0).mean())
        dead_on = "the tokens of training's last pass"
        if firing.tokens is not None:
            dead_on = f"{firing.tokens:,} tokens"
    if not log:
        return None if dead is None else Quality(None, None, dead, "", dead_on)
    last = log[-1]
    if "held_out_fvu" in last:
        fvu, l0 = last["held_out_fvu"], last["held_out_l0"]
        return Quality(fvu, l0, dead, "activations that were not trained on", dead_on)
    return Quality(last["fvu"], last["l0"], dead, "the last batch of training", dead_on)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""
