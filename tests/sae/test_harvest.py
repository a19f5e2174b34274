import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor
from twinsae.sae.activations import (
    ActivationStore,
    HarvestConfig,
    StoreWriter,
    builtin_documents,
    documents,
    load_language_model,
    open_activations,
)
from twinsae.sae.activations import harvest as harvest_all
from twinsae.sae.activations.disk import most_tokens
from twinsae.sae.activations.hooked_model import HookedModel, arithmetic

CONTEXT = 16
EOS = 26  # of `model_folder`


@pytest.fixture(scope="module")
def texts() -> list[str]:
    letters = random.Random(0)
    return ["".join(letters.choices("abcdefghijklmnopqrstuvwxy", k=90 + 7 * i)) for i in range(9)]


@pytest.fixture
def config(model_folder: Path, texts: list[str], tmp_path: Path) -> HarvestConfig:
    """5 shards of 128 rows, the last shorter."""
    folder = tmp_path / "text"
    folder.mkdir()
    for number, text in enumerate(texts):
        (folder / f"{number}.txt").write_text(text)
    return HarvestConfig(
        model=str(model_folder),
        hookpoint=("h.1.mlp",),
        text=str(folder),
        tokens=600,
        context=CONTEXT,
        sequences=4,
        dtype="float32",
        shard_rows=100,
    )


def harvest(config: HarvestConfig, out: Path, **options: Any) -> ActivationStore:
    """Harvest one hookpoint."""
    (store,) = harvest_all(config, out, **options).values()
    return store


def read_store(folder: Path) -> Tensor:
    """Return all activations in the order of the text, read without the library."""
    files = sorted(folder.glob("*/shard*"))
    return torch.cat([load_file(file)["activations"] for file in files])


def read_bytes(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.glob("*/*")}


def reference(
    model_folder: Path, texts: list[str], dtype: torch.dtype = torch.float32
) -> list[Tensor]:
    """Return h.1.mlp's output of each sequence in a full forward pass of one sequence at a time."""
    model = transformers.GPT2LMHeadModel.from_pretrained(model_folder).eval().to(dtype)
    ids = [token for text in texts for token in [*(ord(c) - 97 for c in text), EOS]]
    outputs = Mock(return_value=None)
    model.transformer.h[1].mlp.register_forward_hook(outputs)
    with torch.no_grad():
        for start in range(0, len(ids), CONTEXT):
            model(input_ids=torch.tensor([ids[start : start + CONTEXT]]))
    return [call.args[2][0] for call in outputs.call_args_list]


@pytest.mark.parametrize("skip_first", [False, True])
def test_activations_are_those_of_a_full_forward_pass(
    config: HarvestConfig, model_folder: Path, texts: list[str], tmp_path: Path, skip_first: bool
) -> None:
    store = harvest(replace(config, skip_first=skip_first), tmp_path / "out")
    expected = torch.cat([x[int(skip_first) :] for x in reference(model_folder, texts)])[:600]
    torch.testing.assert_close(read_store(tmp_path / "out"), expected, rtol=1e-5, atol=1e-6)
    assert (store.rows, store.d_in, store.dtype) == (600, 12, torch.float32)
    facts = {
        name: store.meta[name] for name in ("hookpoint", "context", "skip_first", "text_ended")
    }
    assert facts == {
        "hookpoint": "h.1.mlp",
        "context": CONTEXT,
        "skip_first": skip_first,
        "text_ended": False,
    }
    rows = CONTEXT - skip_first
    assert [s["rows"] for s in store.meta["shards"]] == [
        min(8 * rows, 600 - start) for start in range(0, 600, 8 * rows)
    ]


def test_bfloat16_arithmetic_is_stored_as_it_is(
    config: HarvestConfig, model_folder: Path, texts: list[str], tmp_path: Path
) -> None:
    store = harvest(replace(config, dtype="bfloat16", sequences=1), tmp_path / "out")
    expected = torch.cat(reference(model_folder, texts, torch.bfloat16))[:600]
    assert store.dtype == torch.bfloat16
    assert torch.equal(read_store(tmp_path / "out"), expected)


@pytest.mark.parametrize(("has_instructions", "dtype"), [(True, "bfloat16"), (False, "float32")])
def test_auto_takes_bfloat16_where_the_processor_has_it(
    config: HarvestConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    has_instructions: bool,
    dtype: str,
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_instructions)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    store = harvest(replace(config, dtype="auto"), tmp_path / "out")
    assert store.meta["settings"]["dtype"] == store.meta["dtype"] == dtype


@pytest.mark.parametrize(("capability", "dtype"), [((8, 0), "bfloat16"), ((7, 5), "float32")])
def test_auto_takes_bfloat16_where_the_gpu_has_it(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], dtype: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", Mock(return_value=capability))
    assert arithmetic("auto", torch.device("cuda")) == dtype


@pytest.fixture
def edit_model(model_folder: Path, tmp_path: Path) -> Callable[[Callable[[Any], None]], str]:
    """Return the folder of a copy of the model that the function given has changed in place."""

    def edit(change: Callable[[Any], None]) -> str:
        model, tokenizer = load_language_model(str(model_folder))
        with torch.no_grad():
            change(model)
        model.save_pretrained(tmp_path / "edited")
        tokenizer.save_pretrained(tmp_path / "edited")
        return str(tmp_path / "edited")

    return edit


@pytest.mark.parametrize(
    ("first", "others", "is_sink"), [(9.0, 1.0, True), (1.0, 9.0, True), (2.0, 1.0, False)]
)
def test_position_0_is_left_out_where_its_norm_is_far_off(
    config: HarvestConfig,
    edit_model: Callable[[Callable[[Any], None]], str],
    tmp_path: Path,
    first: float,
    others: float,
    is_sink: bool,
) -> None:
    def change(model: Any) -> None:
        model.transformer.wte.weight.zero_()
        model.transformer.wpe.weight.fill_(others)
        model.transformer.wpe.weight[0] = first

    # Behind the dropout there is nothing but the sum of the two embeddings.
    edited = replace(config, model=edit_model(change), hookpoint=("drop",))
    store = harvest(edited, tmp_path / "out")
    assert store.meta["skip_first"] is is_sink
    assert (read_store(tmp_path / "out") == others).all() == is_sink

    interrupted(edited, tmp_path / "again", 200)
    harvest(edited, tmp_path / "again")
    assert read_bytes(tmp_path / "again") == read_bytes(tmp_path / "out")


def test_text_that_ends_early_gives_what_there_is(
    config: HarvestConfig, model_folder: Path, texts: list[str], tmp_path: Path
) -> None:
    available = sum(len(text) + 1 for text in texts)
    assert available % CONTEXT > 1  # the last sequence is a short one
    progress = Mock()
    store = harvest(replace(config, tokens=10**9), tmp_path / "out", progress=progress)
    assert store.rows == available
    assert store.meta["text_ended"]
    expected = torch.cat(reference(model_folder, texts))
    torch.testing.assert_close(read_store(tmp_path / "out"), expected, rtol=1e-5, atol=1e-6)
    assert progress.call_args.args == ("harvest", available, available, "tokens")


def test_progress_counts_the_activations(config: HarvestConfig, tmp_path: Path) -> None:
    progress = Mock()
    harvest(config, tmp_path / "out", progress=progress)
    calls = [call.args for call in progress.call_args_list]
    assert calls[:2] == [("model", 0, 1, "model"), ("model", 1, 1, "model")]
    done = [*range(0, 600, 64), 600]
    assert calls[2:] == [("harvest", rows, 600, "tokens") for rows in done]


@pytest.fixture
def load(config: HarvestConfig, monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Stands in for `load_language_model`, and gives the same model and tokenizer."""
    model = Mock(return_value=load_language_model(config.model))
    monkeypatch.setattr(sys.modules[HookedModel.__module__], "load_language_model", model)
    return model


def test_text_of_one_token_is_refused(config: HarvestConfig, tmp_path: Path, load: Mock) -> None:
    _, tokenizer = load.return_value
    tokenizer.eos_token = None
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(ValueError, match="has fewer than two tokens"):
        harvest(replace(config, text=str(tmp_path / "a.txt")), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def interrupted(config: HarvestConfig, out: Path, at: int) -> None:
    """Harvest until ``at`` activations are made, and press Ctrl-C there."""

    def stop(phase: str, done: int, total: int, unit: str) -> None:
        assert (total, unit) in ((1, "model"), (config.tokens, "tokens"))
        if phase == "harvest" and done >= at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        harvest(config, out, progress=stop)


@pytest.mark.parametrize("at", [0, 64, 128, 450, 600])
def test_an_interrupted_harvest_goes_on_to_the_same_bytes(
    config: HarvestConfig, tmp_path: Path, at: int
) -> None:
    store = harvest(config, tmp_path / "whole")
    interrupted(config, tmp_path / "out", at)
    finished = {
        name: (tmp_path / "out" / "h.1.mlp" / name) for name in read_bytes(tmp_path / "out")
    }
    before = {name: path.stat().st_mtime_ns for name, path in finished.items()}
    assert len(before) == 1 + 2 * ((at - 1) // 128 if at else 0)  # a shard and its description

    assert harvest(config, tmp_path / "out").fingerprint == store.fingerprint
    assert read_bytes(tmp_path / "out") == read_bytes(tmp_path / "whole")
    for name, written in before.items():
        assert name.endswith(".json") or finished[name].stat().st_mtime_ns == written


def test_a_complete_store_is_opened_without_the_model(
    config: HarvestConfig, tmp_path: Path, load: Mock
) -> None:
    store = harvest(config, tmp_path / "out")
    load.side_effect = OSError
    assert harvest(config, tmp_path / "out").fingerprint == store.fingerprint


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tokens", 601),
        ("context", 8),
        ("dtype", "bfloat16"),
        ("skip_first", True),
    ],
)
def test_other_settings_in_the_same_folder_are_refused(
    config: HarvestConfig, tmp_path: Path, field: str, value: Any
) -> None:
    interrupted(config, tmp_path / "out", 200)
    before = read_bytes(tmp_path / "out")
    with pytest.raises(
        ValueError, match=rf"out/h\.1\.mlp holds .* with {field}=.*, now asked for {value!r}"
    ):
        harvest(replace(config, **{field: value}), tmp_path / "out")
    assert read_bytes(tmp_path / "out") == before


def test_auto_goes_on_in_the_dtype_of_the_store(
    config: HarvestConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = harvest(replace(config, dtype="bfloat16"), tmp_path / "out")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    again = harvest(replace(config, dtype="auto"), tmp_path / "out")
    assert (again.fingerprint, again.dtype) == (store.fingerprint, torch.bfloat16)


def test_a_store_that_was_not_harvested_is_not_touched(
    config: HarvestConfig, tmp_path: Path
) -> None:
    StoreWriter(tmp_path / "out" / "h.1.mlp", {}).add(0, torch.ones(3, 2))
    before = read_bytes(tmp_path / "out")
    with pytest.raises(
        ValueError, match=r"out/h\.1\.mlp holds activations that were not harvested"
    ):
        harvest(config, tmp_path / "out")
    assert read_bytes(tmp_path / "out") == before


def test_text_that_has_changed_is_refused(config: HarvestConfig, tmp_path: Path) -> None:
    interrupted(config, tmp_path / "out", 200)
    before = read_bytes(tmp_path / "out")
    first = Path(config.text) / "0.txt"
    first.write_text("z" + first.read_text()[1:])
    with pytest.raises(ValueError, match=r"text .* is not the one .* \(shard 0 had other tokens\)"):
        harvest(config, tmp_path / "out")
    assert read_bytes(tmp_path / "out") == before


@pytest.mark.parametrize("number", [0, 2, 4])
def test_a_shard_that_is_gone_is_made_anew(
    config: HarvestConfig, tmp_path: Path, number: int
) -> None:
    store = harvest(config, tmp_path / "out")
    before = read_bytes(tmp_path / "out")
    (tmp_path / "out" / "h.1.mlp" / f"shard_0000{number}.safetensors").unlink()
    progress = Mock()
    assert harvest(config, tmp_path / "out", progress=progress).fingerprint == store.fingerprint
    assert read_bytes(tmp_path / "out") == before
    rows = store.meta["shards"][number]["rows"]
    assert progress.call_args_list[2].args == ("harvest", 600 - rows, 600, "tokens")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_bad_activation_is_refused_and_finished_shards_stay(
    config: HarvestConfig,
    edit_model: Callable[[Callable[[Any], None]], str],
    tmp_path: Path,
    value: float,
) -> None:
    def change(model: Any) -> None:
        model.transformer.wte.weight[25, 3] = value

    # The z comes after two shards of 128 tokens, a batch of 64, a sequence of 16, and 9 tokens.
    path = tmp_path / "spoilt.txt"
    path.write_text("a" * 345 + "z" + "a" * 300)
    spoilt = replace(config, text=str(path), model=edit_model(change), hookpoint=("drop",))
    message = "drop gave a NaN or infinite activation at token 345 of the text, position 9 of"
    with pytest.raises(ValueError, match=message):
        harvest(spoilt, tmp_path / "out")
    assert sorted(read_bytes(tmp_path / "out")) == [
        "meta.json",
        "shard_00000.json",
        "shard_00000.safetensors",
        "shard_00001.json",
        "shard_00001.safetensors",
    ]
    with pytest.raises(ValueError, match=r"incomplete \(256 written so far\)"):
        open_activations(tmp_path / "out" / "drop")


@pytest.fixture
def full_disk() -> Iterator[Callable[[int], None]]:
    """Let no file grow above the size given, as on a disk that is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_is_one_line_and_loses_nothing(
    config: HarvestConfig, tmp_path: Path, full_disk: Callable[[int], None]
) -> None:
    harvest(config, tmp_path / "whole")
    interrupted(config, tmp_path / "out", 300)
    before = read_bytes(tmp_path / "out")
    full_disk(4000)
    with pytest.raises(OSError, match=r"cannot write .*shard_00002\.safetensors: File too large"):
        harvest(config, tmp_path / "out")
    full_disk(resource.RLIM_INFINITY)
    assert read_bytes(tmp_path / "out") == before
    harvest(config, tmp_path / "out")
    assert read_bytes(tmp_path / "out") == read_bytes(tmp_path / "whole")


def free_bytes(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", Mock(return_value=Mock(free=count)))


def test_the_disk_is_checked_before_anything_is_written(
    config: HarvestConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say = Mock()
    out = tmp_path / "out"
    need = 600 * (12 * 4 + 16)
    free_bytes(monkeypatch, need - 1)
    message = rf"activations in {out} take up to 0 MiB, but that disk has 0 MiB free: ask for few"
    with pytest.raises(OSError, match=message):
        harvest(config, out)
    assert not out.exists()
    free_bytes(monkeypatch, need)
    interrupted(config, out, 300)  # 256 are on disk
    free_bytes(monkeypatch, need - 256 * 64)
    harvest(config, out, say=say)
    assert say.call_args.args == (
        f"h.1.mlp: up to 600 activations each take up to 0 MiB more in {out}, where 0 MiB are free",
    )
    written = sum(file.stat().st_size for file in out.rglob("*.safetensors"))
    assert need / 1.2 < written < need * 1.2


def test_a_short_text_needs_no_disk_for_more(
    config: HarvestConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_bytes(monkeypatch, 100_000)
    store = harvest(replace(config, tokens=10**12), tmp_path / "out")
    assert store.rows == 1071
    assert 1071 <= (most_tokens(config.text) or 0) <= 1080
    (Path(config.text) / "more.txt.gz").write_bytes(b"")
    assert most_tokens(config.text) is None
    assert most_tokens("hf:some/name") is None
    assert (most_tokens("builtin") or 0) > sum(map(len, builtin_documents()))


def test_a_wrong_hookpoint_or_text_leaves_nothing(config: HarvestConfig, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'h\.1\.mpl' is no module of .* closest are .*h\.1\.mlp"):
        harvest(replace(config, hookpoint=("h.1.mpl",)), tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="no/such"):
        harvest(replace(config, text="no/such"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("field", "value", "least"),
    [("tokens", 0, 1), ("context", 1, 2), ("sequences", -1, 1), ("shard_rows", 0, 1)],
)
def test_settings_out_of_range_are_refused(field: str, value: int, least: int) -> None:
    with pytest.raises(ValueError, match=f"{field} must be at least {least}, got {value}"):
        HarvestConfig(**{field: value})


def test_a_wrong_type_of_hookpoint_is_refused() -> None:
    for wrong in ("h.1.mlp", ()):
        with pytest.raises(TypeError, match="hookpoint: expected a tuple of names, got"):
            HarvestConfig(hookpoint=wrong)


def context_of(store: ActivationStore, row: int) -> tuple[list[int], int]:
    token_ids, position = store.context_of(row)
    return token_ids.tolist(), position


@pytest.mark.parametrize("skip_first", [False, True])
def test_every_row_has_its_token(
    config: HarvestConfig, texts: list[str], tmp_path: Path, skip_first: bool
) -> None:
    config = replace(config, tokens=10**9, skip_first=skip_first)
    store = harvest(config, tmp_path / "out")
    ids = [token for text in texts for token in [*(ord(c) - 97 for c in text), EOS]]
    cut = [ids[start : start + CONTEXT] for start in range(0, len(ids), CONTEXT)]
    expected = [
        (sequence, place) for sequence in cut for place in range(int(skip_first), len(sequence))
    ]
    assert [context_of(store, row) for row in range(store.rows)] == expected


def test_several_hookpoints_are_those_of_single_harvests(
    config: HarvestConfig, tmp_path: Path
) -> None:
    names = ("h.1", "h.0.mlp", "h.1.mlp")
    progress = Mock()
    together = harvest_all(
        replace(config, hookpoint=("h.1", "h.*.mlp")), tmp_path / "all", progress=progress
    )
    assert tuple(together) == names
    assert progress.call_args.args == ("harvest", 600, 600, "tokens")
    for name in names:
        harvest(replace(config, hookpoint=(name,)), tmp_path / name)
        one, other = tmp_path / "all" / name, tmp_path / name / name
        for file in other.iterdir():
            assert (one / file.name).read_bytes() == file.read_bytes()


def test_hookpoints_can_be_added_to_a_folder(
    config: HarvestConfig, tmp_path: Path, load: Mock
) -> None:
    first = harvest(config, tmp_path / "out")
    before = read_bytes(tmp_path / "out")
    both = harvest_all(replace(config, hookpoint=("h.0", "h.1.mlp")), tmp_path / "out")
    assert list(both) == ["h.0", "h.1.mlp"]
    assert both["h.1.mlp"].fingerprint == first.fingerprint
    assert (
        before.items()
        <= {
            file.name: file.read_bytes() for file in (tmp_path / "out" / "h.1.mlp").iterdir()
        }.items()
    )
    load.side_effect = OSError
    assert list(harvest_all(replace(config, hookpoint=("h.0",)), tmp_path / "out")) == ["h.0"]


@pytest.mark.parametrize("at", [128, 300])
def test_several_hookpoints_go_on_after_an_interruption(
    config: HarvestConfig, tmp_path: Path, at: int
) -> None:
    config = replace(config, hookpoint=("h.0", "h.1"))
    whole = harvest_all(config, tmp_path / "whole")
    interrupted(config, tmp_path / "out", at)
    # One of them was ahead, as after a kill between the two files of a shard.
    ahead = harvest(replace(config, hookpoint=("h.0",)), tmp_path / "out")
    assert ahead.fingerprint == whole["h.0"].fingerprint
    again = harvest_all(config, tmp_path / "out")
    for name, store in whole.items():
        assert again[name].fingerprint == store.fingerprint
        assert again[name].meta == store.meta


def test_a_store_of_the_version_before_is_used(
    config: HarvestConfig, tmp_path: Path, load: Mock
) -> None:
    store = harvest(config, tmp_path / "new")
    old = tmp_path / "out"
    shutil.copytree(tmp_path / "new" / "h.1.mlp", old)
    meta = json.loads((old / "meta.json").read_text()) | {"format": "twinsae-activations/1"}
    for name in ("norms", "bos", "skipped_rows"):
        del meta[name]
    del meta["settings"]["bos"]
    (old / "meta.json").write_text(json.dumps(meta))
    load.side_effect = OSError
    found = harvest(config, old)
    assert (found.path, found.fingerprint) == (old, store.fingerprint)
    with pytest.raises(ValueError, match="harvested with bos='auto', now asked for 'yes'"):
        harvest(replace(config, bos="yes"), old)
    (old / "shard_00000.safetensors").unlink()
    load.side_effect = None
    with pytest.raises(ValueError, match="begun by an older version of twinsae"):
        harvest(config, old)


@pytest.mark.parametrize("skip_first", [False, True])
def test_bos_begins_every_sequence_and_is_not_stored(
    config: HarvestConfig,
    model_folder: Path,
    texts: list[str],
    tmp_path: Path,
    load: Mock,
    skip_first: bool,
) -> None:
    _, tokenizer = load.return_value
    tokenizer.bos_token = "?"
    config = replace(config, bos="yes", skip_first=skip_first, tokens=500)
    store = harvest(config, tmp_path / "out")
    assert (store.meta["bos"], store.meta["skip_first"]) == (27, skip_first)

    ids = [token for text in texts for token in [*(ord(c) - 97 for c in text), EOS]]
    model = transformers.GPT2LMHeadModel.from_pretrained(model_folder).eval()
    outputs = Mock(return_value=None)
    model.transformer.h[1].mlp.register_forward_hook(outputs)
    step = CONTEXT - 1
    with torch.no_grad():
        for start in range(0, len(ids), step):
            model(input_ids=torch.tensor([[27, *ids[start : start + step]]]))
    expected = torch.cat([call.args[2][0, 1 + skip_first :] for call in outputs.call_args_list])
    torch.testing.assert_close(read_store(tmp_path / "out"), expected[:500], rtol=1e-5, atol=1e-6)
    assert context_of(store, 0) == ([27, *ids[:step]], 1 + skip_first)


def test_skip_first_looks_behind_the_bos(
    config: HarvestConfig, edit_model: Callable[[Callable[[Any], None]], str], tmp_path: Path
) -> None:
    def change(model: Any) -> None:
        model.transformer.wte.weight.zero_()
        model.transformer.wpe.weight.fill_(1)
        model.transformer.wpe.weight[0] = 9

    # GPT-2's BOS is EOS; the sink is at the BOS, and not at the first token after it.
    edited = replace(config, model=edit_model(change), hookpoint=("drop",))
    assert harvest(edited, tmp_path / "no").meta["skip_first"] is True
    tokenizer = transformers.AutoTokenizer.from_pretrained(edited.model)
    tokenizer.bos_token = "<eos>"
    tokenizer.save_pretrained(edited.model)
    store = harvest(replace(edited, bos="yes"), tmp_path / "yes")
    assert store.meta["skip_first"] is False
    assert (read_store(tmp_path / "yes") == 1).all()


def test_token_ids_in_place_of_text(
    config: HarvestConfig, model_folder: Path, tmp_path: Path
) -> None:
    rows = [[3, 1, 4, 1, 5], [9, 2], [6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4, 6, 2, 6, 4, 3]]
    path = tmp_path / "ids.jsonl"
    path.write_text("\n".join(json.dumps({"input_ids": ids}) for ids in [*rows, None, []]))
    store = harvest(replace(config, text=str(path), sequences=2, skip_first=False), tmp_path / "a")
    sequences = [*rows[:2], rows[2][:16], rows[2][16:]]
    model = transformers.GPT2LMHeadModel.from_pretrained(model_folder).eval()
    outputs = Mock(return_value=None)
    model.transformer.h[1].mlp.register_forward_hook(outputs)
    with torch.no_grad():
        for ids in sequences:
            model(input_ids=torch.tensor([ids]))
    expected = torch.cat([call.args[2][0] for call in outputs.call_args_list])
    torch.testing.assert_close(read_store(tmp_path / "a"), expected, rtol=1e-5, atol=1e-6)
    assert store.meta["skipped_rows"] == {"blank": 1, "null": 1}
    found = [context_of(store, row) for row in range(store.rows)]
    assert found == [(ids, place) for ids in sequences for place in range(len(ids))]


def test_a_token_id_out_of_range_is_one_line(config: HarvestConfig, tmp_path: Path) -> None:
    path = tmp_path / "ids.jsonl"
    path.write_text('{"input_ids": [1, 2, 28]}')
    message = "token id 28 is out of range: the embedding of GPT2LMHeadModel has 28 rows; its tok"
    with pytest.raises(ValueError, match=message):
        harvest(replace(config, text=str(path)), tmp_path / "out")


def test_a_context_beyond_the_model_is_one_line(config: HarvestConfig, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="context: 17 tokens are more than the 16 positions"):
        harvest(replace(config, context=17), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_text_of_which_nothing_would_be_stored_is_refused(
    config: HarvestConfig, tmp_path: Path, load: Mock
) -> None:
    _, tokenizer = load.return_value
    tokenizer.bos_token = "?"
    path = tmp_path / "ids.jsonl"
    path.write_text('{"input_ids": [27, 2]}')
    config = replace(config, text=str(path), bos="yes", skip_first=True)
    with pytest.raises(ValueError, match=r"h\.1\.mlp: the text has no token that would be stored"):
        harvest(config, tmp_path / "out")
    with pytest.raises(ValueError, match="context must be at least 3 with a BOS, got 2"):
        harvest(replace(config, context=2), tmp_path / "other")


CHILD = """
import sys
from pathlib import Path
from twinsae.sae.activations import HarvestConfig, harvest
model, text, out = sys.argv[1:]
config = HarvestConfig(model=model, hookpoint=("h.1.mlp",), text=text, tokens=600, context=16,
                       sequences=4, dtype="float32", shard_rows=100)
harvest(config, Path(out), progress=lambda phase, done, *_: print(phase, done, flush=True))
"""


@pytest.mark.slow
def test_killed_processes_lose_nothing(config: HarvestConfig, tmp_path: Path) -> None:
    harvest(config, tmp_path / "whole")
    command = [sys.executable, "-c", CHILD, config.model, config.text, str(tmp_path / "out")]
    for at in ("harvest 64", "harvest 192", "harvest 448"):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for line in child.stdout:
                if line.strip() == at:
                    os.kill(child.pid, signal.SIGKILL)
                    break
        assert child.returncode == -signal.SIGKILL
    assert (tmp_path / "out" / "h.1.mlp" / "meta.json").exists()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    assert read_bytes(tmp_path / "out") == read_bytes(tmp_path / "whole")


@pytest.mark.slow
def test_smollm2_activations_are_those_of_a_full_forward_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer = load_language_model("smollm2-135m")
    ids: list[int] = []
    for text in documents("builtin"):
        ids += [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]
        if len(ids) >= 8 * 256:
            break
    full = Mock(return_value=None)
    handle = model.model.layers[15].mlp.register_forward_hook(full)
    with torch.no_grad():
        model(input_ids=torch.tensor(ids[: 8 * 256]).view(8, 256))
    handle.remove()
    expected = full.call_args.args[2]  # (8, 256, 576)
    norms = expected.norm(dim=-1)
    assert norms[:, 0].mean() < norms[:, 1:].median() / 4
    assert 28 < float(norms[:, 1:].median()) < 40

    # Loading takes long, and this model is the one that harvest would load.
    load = Mock(return_value=(model, tokenizer))
    monkeypatch.setattr(sys.modules[HookedModel.__module__], "load_language_model", load)
    errors = {}
    for dtype in ("float32", "bfloat16"):
        store = harvest(HarvestConfig(tokens=2040, dtype=dtype), tmp_path / dtype)
        assert (store.rows, store.d_in, store.meta["skip_first"]) == (2040, 576, True)
        difference = read_store(tmp_path / dtype).float() - expected[:, 1:].flatten(0, 1)
        errors[dtype] = float((difference.norm(dim=1) / norms[:, 1:].flatten()).median())
    assert errors["float32"] < 1e-5
    # It keeps 8 bits; over 16 layers this came to a median of 2.1 % on an AMX processor.
    assert 0.001 < errors["bfloat16"] < 0.04
