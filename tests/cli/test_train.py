"""`twinsae train` on streams, of transcoders, and of several kinds at once."""

import json

import numpy as np
import pytest
import torch
from twinsae.cli.main import main
from twinsae.common import processes
from twinsae.sae import load_sae

HARVEST = "--tokens 1200 --context 12 --sequences 4"
SMALL = "--latents 40 --batch-size 100 --lr 0.01 --seeds 0 1 --warmup-steps 2"


@pytest.fixture
def text(tmp_path):
    letters = np.random.default_rng(0).integers(97, 122, size=3000, dtype=np.uint8)
    path = tmp_path / "text.txt"
    path.write_bytes(letters.tobytes())
    return path


@pytest.fixture
def train(tmp_path, model_folder, text):
    def train(out, options):
        model = ["--model", str(model_folder), "--text", str(text)]
        words = ["train", "--out", str(tmp_path / out), *model]
        return main([*words, *f"{HARVEST} {SMALL} {options}".split()])

    return train


def same(a, b):
    return all(
        torch.equal(one, other)
        for one, other in zip(load_sae(a).parameters(), load_sae(b).parameters(), strict=True)
    )


def test_several_kinds_and_sizes_at_once(tmp_path, train):
    options = "--hookpoint h.0.mlp --architecture topk relu --k 3 5 --sparsity 0.1"
    assert train("run", options) == 0
    folders = sorted(path.parent for path in (tmp_path / "run").rglob("sae.safetensors"))
    names = [str(folder.relative_to(tmp_path / "run")) for folder in folders]
    kinds = ["relu", "topk-k3", "topk-k5"]
    assert names == [f"h.0.mlp/{kind}/seed{seed}" for kind in kinds for seed in (0, 1)]
    assert train("alone", "--hookpoint h.0.mlp --architecture relu --sparsity 0.1") == 0
    assert same(tmp_path / "alone/h.0.mlp/seed1", tmp_path / "run/h.0.mlp/relu/seed1")


def test_a_stream_of_several_hookpoints(tmp_path, train, capsys):
    options = "--hookpoint h.0.mlp h.1 --k 4 --epochs 2 --stream --block-tokens 300"
    assert train("run", options) == 0
    assert "streamed in blocks of 300 tokens" in " ".join(capsys.readouterr().out.split())
    assert not (tmp_path / "run/activations").exists()
    folders = sorted((tmp_path / "run").rglob("sae.safetensors"))
    assert len(folders) == 4
    fvu = [
        json.loads(line)["fvu"] for line in (tmp_path / "run/log.jsonl").read_text().splitlines()
    ]
    assert fvu[-1] < fvu[0]


@pytest.mark.parametrize("stream", ["", " --stream --block-tokens 500"])
def test_transcoders(tmp_path, train, stream):
    options = "--hookpoint h.0.ln_2 --target h.0.mlp --k 4 --skip-connection" + stream
    assert train("run", options) == 0
    sae = load_sae(tmp_path / "run/h.0.ln_2/seed1")
    assert sae.config.transcode
    assert sae.W_skip is not None
    assert float(sae.W_dec.detach().norm()) > 0


def test_held_out_activations(tmp_path, train):
    assert train("held", "--hookpoint h.0.mlp --k 4") == 0
    held_out = tmp_path / "held/activations"
    assert train("run", f"--hookpoint h.0.mlp --k 4 --held-out {held_out} --evaluate-every 5") == 0
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert {line["step"] for line in lines if "held_out_fvu" in line} == {5, 10, 12}


def test_runs_share_activations(tmp_path, train, capsys):
    shared = f"--hookpoint h.0.mlp --k 4 --shared {tmp_path / 'shared'}"
    assert train("a", shared) == 0
    assert "harvest: " in capsys.readouterr().out
    assert train("b", shared) == 0
    assert "harvest: " not in capsys.readouterr().out
    assert same(tmp_path / "a/h.0.mlp/seed0", tmp_path / "b/h.0.mlp/seed0")


@pytest.mark.parametrize("shared", [False, True])
def test_parts_are_harvested_by_several_commands(tmp_path, train, capsys, shared):
    def options(name):
        folder = f" --shared {tmp_path / name}" if shared else ""
        return f"--hookpoint h.0.mlp --shard-rows 200 --k 4 --dtype float32{folder}"

    assert train("whole", options("one")) == 0
    capsys.readouterr()
    assert train("run", f"{options('two')} --shard 2/3") == 0
    told = capsys.readouterr().out
    assert "h.0.mlp: 2 of 5 shards are there; parts 1/3 3/3 are left to other jobs" in told
    assert train("run", f"{options('two')} --shard 1/3") == 0
    assert train("run", f"{options('two')} --shard 3/3") == 0
    assert "h.0.mlp: all 1,200 activations are there, in " in capsys.readouterr().out
    assert not list((tmp_path / "run").rglob("sae*"))
    assert train("run", options("two")) == 0
    assert "harvest: " not in capsys.readouterr().out
    assert same(tmp_path / "whole/h.0.mlp/seed1", tmp_path / "run/h.0.mlp/seed1")


def test_activations_are_harvested_on_other_devices(tmp_path, train, capsys, monkeypatch):
    options = "--hookpoint h.0.mlp --shard-rows 200 --k 4 --dtype float32"
    assert train("whole", options) == 0
    monkeypatch.setattr(processes, "devices", lambda number: [""] * number)
    capsys.readouterr()
    assert train("run", f"{options} --gpus 2") == 0
    assert "harvest activations h.0.mlp 2/2" in capsys.readouterr().out
    stores = [
        sorted((tmp_path / run / "activations/h.0.mlp").iterdir()) for run in ("whole", "run")
    ]
    assert [file.name for file in stores[0]] == [file.name for file in stores[1]]
    for one, other in zip(*stores, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert same(tmp_path / "whole/h.0.mlp/seed1", tmp_path / "run/h.0.mlp/seed1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--stream --shard 1/2", "shard: it is of a harvest: not with --activations or --stream"),
        ("--activations TEXT --shard 1/2", "shard: it is of a harvest: not with --activations"),
        ("--gpus 2 --shard 1/2", "gpus, ray: a harvest into OUT: not with --activations"),
        ("--gpus 2 --stream", "gpus, ray: a harvest into OUT: not with --activations"),
        ("--gpus 99", "gpus: expected at most the"),
        ("--shard 0/2", "--shard: expected i/n with 1 <= i <= n"),
        ("--architecture relu", "sparsity: relu needs a positive number"),
        ("--architecture tpok", "expected one of topk, batch_topk,"),
        ("--target h.0.mlp --hookpoint h.0.mlp", "target: h.0.mlp is the hookpoint itself"),
        ("--stream --max-norm 10", "stream: not with --activations, --shared or --max-norm"),
        ("--target h.0.mlp --activations TEXT", "target_activations: --activations and --target"),
        ("--prefixes 7 5", "prefixes: expected ascending numbers"),
        ("--prefixes 7 40 --architecture relu --sparsity 1", "prefixes: only topk and batch_topk"),
        ("--learning-rate 1", "there is no option --learning-rate"),
        ("--skip-connection", "skip_connection: only transcoders"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(tmp_path, text, train, capsys, options, message):
    assert train("run", options.replace("TEXT", str(text))) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run/log.jsonl").exists()
