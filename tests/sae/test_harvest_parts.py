"""A harvest in parts: the same bytes as in one, whatever the parts, their order and their ends."""

import json
import pickle
import random
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from twinsae.common.parts import part_of
from twinsae.common.progress import silent
from twinsae.common.tasks import Tools
from twinsae.sae.activations import (
    HarvestConfig,
    filling,
    harvest,
    harvest_shared,
    harvest_tasks,
    load_language_model,
    open_activations,
    plan,
)
from twinsae.sae.activations.hooked_model import HookedModel


@pytest.fixture
def config(model_folder: Path, tmp_path: Path) -> HarvestConfig:
    """5 shards of 128 rows, the last shorter."""
    (tmp_path / "text").mkdir()
    letters = random.Random(0)
    for number in range(9):
        text = "".join(letters.choices("abcdefghijklmnopqrstuvwxy", k=90 + 7 * number))
        (tmp_path / "text" / f"{number}.txt").write_text(text)
    return HarvestConfig(
        model=str(model_folder), hookpoint=("h.1.mlp",), text=str(tmp_path / "text"), tokens=600,
        context=16, sequences=4, dtype="float32", shard_rows=100,
    )  # fmt: skip


@pytest.fixture
def load(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Stands in for `load_language_model`, and gives the same model and tokenizer."""
    load = Mock(return_value=load_language_model(str(model_folder)))
    monkeypatch.setattr(sys.modules[HookedModel.__module__], "load_language_model", load)
    return load


def read_bytes(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def parts_of(n: int) -> list[tuple[int, int]]:
    return [(part, n) for part in range(1, n + 1)]


ENDS = [
    {},
    {"tokens": 640},  # the last of the shards is full
    {"tokens": 10**6},  # the text ends before
    {"skip_first": True, "tokens": 605},  # 120 rows a shard
    {"hookpoint": ("h.0", "h.*.mlp")},
]


@pytest.mark.parametrize("changes", ENDS)
@pytest.mark.usefixtures("load")
def test_parts_in_any_order_give_the_bytes_of_the_whole(
    config: HarvestConfig, tmp_path: Path, changes: dict[str, Any]
) -> None:
    config = replace(config, **changes)
    stores = harvest(config, tmp_path / "whole")
    whole = read_bytes(tmp_path / "whole")
    orders = [*permutations(parts_of(2)), parts_of(3)[::-1], parts_of(5), parts_of(11)]
    for number, order in enumerate(orders):
        out = tmp_path / str(number)
        for part in order[:-1]:
            harvest(config, out, shard=part)
        found = harvest(config, out, shard=order[-1])
        assert read_bytes(out) == whole
        assert {name: store.fingerprint for name, store in found.items()} == {
            name: store.fingerprint for name, store in stores.items()
        }


@pytest.mark.usefixtures("load")
def test_calls_for_other_numbers_of_parts_fill_one_store(
    config: HarvestConfig, tmp_path: Path
) -> None:
    harvest(config, tmp_path / "whole")
    for calls in ([(2, 2), (1, 3), (1, 1)], [(4, 4), (1, 2), (2, 3), (1, 1), (3, 7)]):
        out = tmp_path / str(len(calls))
        for part in calls:
            harvest(config, out, shard=part)
        assert read_bytes(out) == read_bytes(tmp_path / "whole")


def test_a_part_runs_the_model_for_its_own_shards_only(
    config: HarvestConfig, tmp_path: Path, load: Mock
) -> None:
    model, _ = load.return_value
    forward = Mock(return_value=None)
    model.transformer.h[0].register_forward_pre_hook(forward)
    told, progress = Mock(), Mock()
    assert harvest(config, tmp_path / "out", shard=(2, 3), say=told, progress=progress) == {}
    # 2 batches make a shard, and the first batch of the text tells the widths and the sink.
    assert forward.call_count == 1 + 2 * 2
    files = {path.name for path in (tmp_path / "out/h.1.mlp").glob("*.safetensors")}
    assert files == {"shard_00001.safetensors", "shard_00004.safetensors"}
    assert told.call_args.args == (
        "h.1.mlp: 2 of 5 shards are there; parts 1/3 3/3 are left to other jobs",
    )
    done = [call.args for call in progress.call_args_list if call.args[0] == "harvest"]
    rows = [0, 64, 128, 192, 216, 216]  # then nothing of the 200 is left
    assert [args[1] for args in done] == [min(each, 200) for each in rows][: len(done)]
    with pytest.raises(ValueError, match=r"incomplete \(216 written so far\)"):
        open_activations(tmp_path / "out/h.1.mlp")

    load.side_effect = OSError  # what is there is known without the model
    assert harvest(config, tmp_path / "out", shard=(2, 3), say=told) == {}
    assert told.call_count == 3


@pytest.mark.parametrize("part", [(0, 2), (3, 2), (1, 0)])
def test_a_part_that_does_not_exist_is_refused(
    config: HarvestConfig, tmp_path: Path, part: tuple[int, int]
) -> None:
    with pytest.raises(ValueError, match="shard: expected i/n with 1 <= i <= n, got"):
        harvest(config, tmp_path / "out", shard=part)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("load")
def test_a_shard_that_is_gone_is_left_to_its_part(config: HarvestConfig, tmp_path: Path) -> None:
    out = tmp_path / "out"
    harvest(config, out)
    whole = read_bytes(out)
    (out / "h.1.mlp/shard_00002.safetensors").unlink()
    say = Mock()
    assert harvest(config, out, shard=(1, 2), say=say) != {}
    assert read_bytes(out) == whole
    (out / "h.1.mlp/shard_00002.safetensors").unlink()
    assert harvest(config, out, shard=(2, 2), say=say) == {}
    assert say.call_args.args == (
        "h.1.mlp: 4 of 5 shards are there; parts 1/2 are left to other jobs",
    )
    harvest(config, out, shard=(1, 2))
    assert read_bytes(out) == whole


@pytest.mark.usefixtures("load")
def test_another_text_is_noticed_by_every_part(config: HarvestConfig, tmp_path: Path) -> None:
    harvest(config, tmp_path / "out", shard=(1, 2))
    first = Path(config.text) / "0.txt"
    first.write_text("z" + first.read_text()[1:])
    with pytest.raises(ValueError, match=r"\(shard 0 had other tokens\)"):
        harvest(config, tmp_path / "out", shard=(2, 2))


@pytest.mark.usefixtures("load")
def test_all_parts_decide_alike_whatever_their_machine(
    config: HarvestConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(config, dtype="auto", hookpoint=("h.0", "h.1"))
    monkeypatch.setattr(plan, "arithmetic", lambda *_: "float32")
    sinks = Mock(return_value=True)
    monkeypatch.setattr(plan, "is_sink", sinks)
    harvest(config, tmp_path / "whole")
    harvest(config, tmp_path / "out", shard=(2, 2))
    # The other machine computes in bfloat16 and would keep the first token.
    monkeypatch.setattr(
        plan, "arithmetic", lambda dtype, _: "bfloat16" if dtype == "auto" else dtype
    )
    sinks.return_value = False
    harvest(config, tmp_path / "out", shard=(1, 2))
    assert read_bytes(tmp_path / "out") == read_bytes(tmp_path / "whole")


def test_two_machines_that_begin_at_the_same_moment_agree(
    config: HarvestConfig, tmp_path: Path, load: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_folder = config.model
    load.side_effect = lambda _: load_language_model(model_folder)
    config = replace(config, dtype="auto", hookpoint=("h.0", "h.1"))
    harvest(replace(config, dtype="float32"), tmp_path / "float32")
    machine = "bfloat16"
    monkeypatch.setattr(plan, "arithmetic", lambda dtype, _: machine if dtype == "auto" else dtype)

    def other_begins(*_: Any) -> bool:
        nonlocal machine
        machine = "float32"
        monkeypatch.setattr(plan, "is_sink", lambda *_: False)
        harvest(config, tmp_path / "out", shard=(1, 2))
        machine = "bfloat16"
        return False

    monkeypatch.setattr(plan, "is_sink", other_begins)
    harvest(config, tmp_path / "out", shard=(2, 2))
    assert load.call_count == 4  # the one that lost began again
    for name in config.hookpoint:
        meta = open_activations(tmp_path / "out" / name).meta
        shards = open_activations(tmp_path / "float32" / name).meta["shards"]
        assert (meta["dtype"], meta["shards"]) == ("float32", shards)


@pytest.fixture
def tools() -> Tools:
    return Tools(silent, lambda _: None, lambda: False)


def test_tasks_know_whether_they_are_done(
    config: HarvestConfig, tmp_path: Path, load: Mock, tools: Tools
) -> None:
    harvest(config, tmp_path / "whole")
    tasks = pickle.loads(pickle.dumps(harvest_tasks(config, tmp_path / "out", 3)))
    assert [task.name for task in tasks] == [f"harvest out h.1.mlp {n}/3" for n in (1, 2, 3)]
    assert harvest_tasks(config, tmp_path / "out")[0].name == "harvest out h.1.mlp"
    assert [task.is_done() for task in tasks] == [False, False, False]
    assert {task.waits_for() for task in tasks} == {None}
    tasks[1].run(tools)
    assert [task.is_done() for task in tasks] == [False, True, False]
    tasks[0].run(tools)
    assert [task.is_done() for task in tasks] == [True, True, False]
    # A process that is killed as it completes the store leaves that to any other.
    complete = plan.StoreWriter.finish
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan.StoreWriter, "finish", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            tasks[2].run(tools)
    assert plan.StoreWriter.finish is complete
    assert [task.is_done() for task in tasks] == [False, False, False]
    load.side_effect = OSError  # nothing is left to harvest
    tasks[1].run(tools)
    assert [task.is_done() for task in tasks] == [True, True, True]
    assert read_bytes(tmp_path / "out") == read_bytes(tmp_path / "whole")


@pytest.mark.usefixtures("load")
def test_a_process_that_is_killed_between_description_and_tidying(
    config: HarvestConfig, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    harvest(config, out)
    whole = read_bytes(out)
    shard = json.loads(whole["h.1.mlp/meta.json"])["shards"][3]
    layout = {"d_in": 12, "dtype": "float32"}
    left = out / "h.1.mlp/shard_00003.json"
    left.write_text(json.dumps({"shard": shard, "layout": layout}))
    (task,) = harvest_tasks(config, out)
    assert not task.is_done()
    harvest(config, out, shard=(2, 2))
    assert task.is_done()
    assert read_bytes(out) == whole


@pytest.mark.usefixtures("load")
def test_parts_in_a_shared_folder(config: HarvestConfig, tmp_path: Path) -> None:
    assert harvest_shared(config, tmp_path / "cache", shard=(1, 2)) == {}
    store = harvest_shared(config, tmp_path / "cache", shard=(2, 2))["h.1.mlp"]
    assert store.fingerprint == harvest(config, tmp_path / "own")["h.1.mlp"].fingerprint


@pytest.mark.parametrize("count", [0, 1, 2, 7, 30])
def test_the_union_of_parts_is_the_whole(count: int) -> None:
    items = list(range(count))
    for n in (1, 2, 3, 8, 31):
        parts = [part_of(items, part) for part in parts_of(n)]
        assert sorted(item for part in parts for item in part) == items
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


CHILDREN = """
import json, os, signal, sys
from pathlib import Path
import torch
from twinsae.sae.activations import HarvestConfig, harvest, load_language_model, plan

model, text, folder, stages = sys.argv[1:]
config = HarvestConfig(model=model, hookpoint=("h.0", "h.1.mlp"), text=text, tokens=600,
                       context=16, sequences=4, dtype="float32", shard_rows=100)

torch.set_num_threads(1)  # threads of a parent are not there in its children
load_language_model(model)  # so that no child has to import what it takes

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def run(out, part, kill_at):
    if kill_at == "finish":
        plan.StoreWriter.finish = die
    def progress(phase, done, *_):
        if f"{phase} {done}" == kill_at:
            die()
    stores = harvest(config, Path(folder) / out, shard=part, progress=progress)
    os._exit(len(stores))

for stage in json.loads(stages):
    children = []
    for arguments in stage:
        child = os.fork()
        if child == 0:
            run(*arguments)
        children.append(child)
    print(*[os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""
"""Runs stages of processes, those of one stage at once, and prints how many stores each found."""


def test_an_end_that_is_noted_after_another_process_was_done(
    config: HarvestConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harvest(config, tmp_path / "whole")
    end = filling.describe_end

    def end_after_another(*given: Any) -> None:
        monkeypatch.undo()
        harvest(config, tmp_path / "both")
        end(*given)

    monkeypatch.setattr(filling, "describe_end", end_after_another)
    harvest(config, tmp_path / "both")
    assert read_bytes(tmp_path / "both") == read_bytes(tmp_path / "whole")


@pytest.mark.slow
def test_killed_and_simultaneous_processes_give_the_bytes_of_the_whole(
    config: HarvestConfig, tmp_path: Path
) -> None:
    harvest(replace(config, hookpoint=("h.0", "h.1.mlp")), tmp_path / "whole")
    first, second = (1, 2), (2, 2)
    stages = [
        [["a", first, "harvest 192"]],  # in the middle of its second shard
        [["a", first, None], ["a", second, None], ["a", first, None]],
        [["b", (1, 1), "finish"]],
        [["b", first, None], ["b", second, None]],
    ]
    command = [sys.executable, "-c", CHILDREN, config.model, config.text, str(tmp_path)]
    done = subprocess.run(
        [*command, json.dumps(stages)], stdout=subprocess.PIPE, text=True, check=True, timeout=200
    )
    killed, together, unfinished, both = (
        [int(code) for code in line.split()] for line in done.stdout.splitlines()
    )
    assert (killed, unfinished, both) == ([-signal.SIGKILL], [-signal.SIGKILL], [2, 2])
    assert min(together) >= 0
    assert max(together) == 2
    assert read_bytes(tmp_path / "a") == read_bytes(tmp_path / "whole")
    assert read_bytes(tmp_path / "b") == read_bytes(tmp_path / "whole")
