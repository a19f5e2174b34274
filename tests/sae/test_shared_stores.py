"""A folder of stores that many runs share."""

import fcntl
import shutil
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from twinsae.sae.activations import (
    ActivationStore,
    HarvestConfig,
    harvest,
    harvest_shared,
    load_language_model,
)
from twinsae.sae.activations.hooked_model import HookedModel


@pytest.fixture
def config(model_folder: Path, tmp_path: Path) -> HarvestConfig:
    (tmp_path / "text").mkdir()
    (tmp_path / "text/a.txt").write_text("the quick brown fox jumps over the lazy dog" * 4)
    return HarvestConfig(
        model=str(model_folder), hookpoint=("h.1.mlp",), text=str(tmp_path / "text"), tokens=100,
        context=16, dtype="float32",
    )  # fmt: skip


@pytest.fixture
def load(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Mock:
    load = Mock(return_value=load_language_model(str(model_folder)))
    monkeypatch.setattr(sys.modules[HookedModel.__module__], "load_language_model", load)
    return load


def one(stores: dict[str, ActivationStore]) -> ActivationStore:
    (store,) = stores.values()
    return store


def test_the_same_harvest_is_found_whatever_the_folder(
    config: HarvestConfig, tmp_path: Path, load: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    store = one(harvest_shared(config, cache))
    assert store.fingerprint == one(harvest(config, tmp_path / "own")).fingerprint
    assert load.call_count == 2
    monkeypatch.chdir(tmp_path)
    again = one(harvest_shared(replace(config, text="text"), "cache"))
    assert again.path.resolve() == store.path
    assert load.call_count == 2
    both = harvest_shared(replace(config, hookpoint=("h.0", "h.1.mlp")), cache)
    assert both["h.1.mlp"].path == store.path
    assert both["h.0"].path.parent == store.path.parent
    assert load.call_count == 3


def test_other_settings_text_or_model_make_another_store(
    config: HarvestConfig, tmp_path: Path, load: Mock
) -> None:
    shutil.copytree(config.model, tmp_path / "model")
    config = replace(config, model=str(tmp_path / "model"))
    found = [one(harvest_shared(config, tmp_path / "cache"))]
    for field, value in (("tokens", 99), ("context", 8), ("dtype", "bfloat16"), ("bos", "no")):
        other = replace(config, **{field: value})
        found.append(one(harvest_shared(other, tmp_path / "cache")))
    load.return_value[0].to(torch.float32)
    (tmp_path / "text/b.txt").write_text("more")
    found.append(one(harvest_shared(config, tmp_path / "cache")))
    (tmp_path / "model/config.json").write_text("{}")
    found.append(one(harvest_shared(config, tmp_path / "cache")))
    assert len({store.path for store in found}) == len(found) == load.call_count


@pytest.mark.usefixtures("load")
def test_the_second_of_two_processes_waits(config: HarvestConfig, tmp_path: Path) -> None:
    store = one(harvest_shared(config, tmp_path / "cache"))
    told: list[Any] = []
    waiting = threading.Event()

    def progress(*facts: Any) -> None:
        told.append(facts)
        waiting.set()

    thread = threading.Thread(
        target=harvest_shared,
        args=(config, tmp_path / "cache"),
        kwargs={"progress": progress},
        daemon=True,
    )
    with (store.path.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        thread.start()
        assert waiting.wait(60)
        assert told == [("waiting", 0, 1, "harvest")]
    thread.join(60)
    assert told == [("waiting", 0, 1, "harvest"), ("waiting", 1, 1, "harvest")]


@pytest.mark.usefixtures("load")
def test_parts_do_not_wait_for_one_another(config: HarvestConfig, tmp_path: Path) -> None:
    store = one(harvest_shared(config, tmp_path / "cache"))
    progress = Mock()
    with (store.path.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)  # as another part holds it
        found = one(harvest_shared(config, tmp_path / "cache", shard=(1, 2), progress=progress))
    assert found.fingerprint == store.fingerprint
    assert ("waiting", 0, 1, "harvest") not in [call.args for call in progress.call_args_list]
