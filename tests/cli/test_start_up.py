"""Help and a user's errors come before anything slow is imported, and fit 80 columns."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from twinsae.cli.main import BENCH, FIGURE, TWINSAE, Family
from twinsae.sae import SAE, SAEConfig, save_sae

NAMES = [
    *([name] for name in TWINSAE.commands),
    *(["bench", name] for name in BENCH.commands),
    *(["figure", name] for name in FIGURE.commands),
]
HELPS = [["--help"], *([*name, "--help"] for name in NAMES), ["match", "-h"]]
# What takes from half a second to several to import.
SLOW = ("torch", "matplotlib", "scipy", "numpy", "transformers", "rich")

# Runs main() on each line of words that it reads, and writes what came of it.
CHILD = f"""
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from twinsae.cli.main import main
for line in sys.stdin:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(json.loads(line))
    slow = [name for name in {SLOW} if name in sys.modules]
    print(json.dumps([code, out.getvalue(), err.getvalue(), slow]))
"""


def run_each(commands: list[list[str]], folder: Path) -> list[tuple[int, str, str]]:
    """Run commands in one new process; return exit codes and what they print."""
    finished = subprocess.run(
        [sys.executable, "-c", CHILD],
        input="\n".join(map(json.dumps, commands)),
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env=os.environ | {"COLUMNS": "80", "PYTHONSAFEPATH": "1"},
    )
    results = [json.loads(line) for line in finished.stdout.splitlines()]
    assert len(results) == len(commands)
    for words, (*_, slow) in zip(commands, results, strict=True):
        assert not slow, f"twinsae {' '.join(words)} imports {slow}"
    return [(code, out, err) for code, out, err, _ in results]


def test_help_begins_with_an_example_and_fits_80_columns(tmp_path: Path):
    for words, (code, out, err) in zip(HELPS, run_each(HELPS, tmp_path), strict=True):
        name = " ".join(["twinsae", *words[:-1]])
        assert (code, err) == (0, ""), name
        lines = out.splitlines()
        assert max(map(len, lines)) <= 80, name
        assert lines[0] == "example:"
        assert f"{lines[1]} ".startswith(f"  {name} ")
        assert f"usage: {name} " in out


@pytest.mark.parametrize(
    ("words", "family"), [([], TWINSAE), (["bench"], BENCH), (["figure"], FIGURE)]
)
def test_each_command_has_one_line_in_the_list(words: list[str], family: Family, tmp_path: Path):
    ((_, out, _),) = run_each([[*words, "--help"]], tmp_path)
    listed = out.partition("commands:\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in listed] == list(family.commands)
    assert all(line.endswith(".") for line in listed)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with SAEs of one name in two runs, and what is no SAE."""
    for name in ("a/seed0", "b/seed0", "a/seed1"):
        save_sae(SAE(SAEConfig(d_in=6, num_latents=11, k=3), seed=0), tmp_path / name)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("no SAE")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/log.jsonl").write_text("")
    return tmp_path


ERRORS = {
    "mach a b": "there is no command 'twinsae mach'; did you mean match?",
    "zzz": "there is no command 'twinsae zzz'; twinsae --help lists all",
    "bench training --losses": "losses: only with --beside, such as --beside relu",
    "bench scalling": "there is no command 'twinsae bench scalling'; did you mean scaling?",
    "match a/seed0 a/seed7 --out o": "B: a/seed7 does not exist; SAEs beside it: seed0, seed1",
    "match a/seed0 no/seed7 --out o": "B: no/seed7 does not exist",
    "match a/seed0 a --out o": "B: a is no SAE folder: it has no sae_weights.safetensors, "
    "sae.safetensors, ae.pt or the like; SAEs below it: seed0, seed1",
    "match a/seed0 empty --out o": "B: empty is no SAE folder: it has no sae_weights.safetensors, "
    "sae.safetensors, ae.pt or the like; SAEs below it: none",
    "match a/seed0 text.txt --out o": "B: text.txt: expected an SAE folder or a file ending in one "
    "of .safetensors, .npz, .pt, .pth, .npy",
    "match a/seed0 a/seed1": "the following arguments are required: --out",
    "match a/seed0 a/seed1 --out o --sdie both": "there is no option --sdie; did you mean --side?",
    "match a/seed0 a/seed1 --out o --num-latents 3": "there is no option --num-latents",
    "match a/seed0 a/seed1 --out o --side bth": "--side: expected one of decoder, encoder, both, "
    "got 'bth'; did you mean both?",
    "match a/seed0 a/seed1 --out o --memory-limit much": "--memory-limit: expected a size such as "
    "8GiB, got 'much'",
    "match-all x=a/seed0 x=b/seed0 --out o": "names: expected 2 different names, got ['x', 'x']",
    "match-all a/seed0 a/seed0 --out o": "a/seed0 is given twice: expected different SAEs",
    "match-all a/seed0 b/seed0 --out o --shard 3/2": "--shard: expected i/n with 1 <= i <= n, got "
    "'3/2'",
    "match-all a/seed0 b/seed0 --out o --shard 3": "--shard: expected i/n, such as 1/8, got '3'",
    "match-all a/seed0 --out o": "expected 2 SAEs or more, got 1",
    "match-all x/y=a/seed0 b/seed0 --out o": "[NAME=]DIR: 'x/y' cannot name a folder: expected "
    "NAME=PATH, got 'x/y=a/seed0'",
    "match-all x=a/seed7 b/seed0 --out o": "[NAME=]DIR: a/seed7 does not exist; SAEs beside it: "
    "seed0, seed1",
    "match hf:o:a b --out o": "A: expected hf:OWNER/REPO[@REVISION]:PATH, got 'hf:o:a'",
    "match saelens:gpt2-small/x b --out o": "A: saelens: there is no release 'gpt2-small'; the "
    "nearest are gpt2-small-res-jb, gpt2-small-mlp-tm, gpt2-small-hook-z-kk, "
    "gpt2-small-res_sll-ajt, gpt2-small-res_sle-ajt",
    "report a": "DIR: no summary.json, seeds.json or log.jsonl in a, and no match below it: "
    "expected a folder of `twinsae match`, `twinsae match-all` or `twinsae train`, or one with "
    "matches in it",
    "report run --baseline a": "--baseline: no summary.json or seeds.json in a: expected a folder "
    "of `twinsae match` or `twinsae match-all`",
    "report run --run-folder a": "run_folder: only for a folder of `twinsae match` or `twinsae "
    "match-all`, and run is none",
    "report run --port 8000": "port: only with --serve",
    "report run --serve --port 0": "--port: expected a port from 1 to 65535, got '0'",
    "report no": "DIR: no does not exist",
    "substitute a --store a": "MATCH_DIR: no summary.json in a: expected a folder of `twinsae "
    "match`",
    "substitute no --store a": "MATCH_DIR: no does not exist",
    "pool a --store a --out o": "DIR: no stable.json in a: expected a folder of `twinsae stable`",
    "pool no --store a --out o": "DIR: no does not exist",
    "figure alignmnt a": "there is no command 'twinsae figure alignmnt'; did you mean alignment?",
    "figure alignment a": "MATCHES: no summary.json or seeds.json in a: expected a folder of "
    "`twinsae match` or `twinsae match-all`",
    "convert empty new --to native": "A: empty is no SAE folder: it has no "
    "sae_weights.safetensors, sae.safetensors, ae.pt or the like; SAEs below it: none",
    "convert a new --to sealens": "--to: expected one of native, sparsify, saelens, "
    "dictionary_learning, openai, arrays, got 'sealens'; did you mean saelens?",
    "train --out o --k 0": "k: expected a positive number, got 0",
    "train --out o --latents 8": "k: 32 active latents of only 8",
    "train --out o --k many": "--k: expected a whole number, got 'many'",
    "train --out o --num-latents 8": "there is no option --num-latents; did you mean --latents?",
    "train --out o --sparsty 5": "there is no option --sparsty; did you mean --sparsity?",
    "train --out o --architecture jumprelo": "--architecture: expected one of topk, batch_topk, "
    "groupmax, relu, gated, jumprelu, got 'jumprelo'; did you mean jumprelu?",
    "train --out o --log-to wanbd": "--log-to: expected one of tensorboard, wandb, got 'wanbd'; "
    "did you mean wandb?",
    "train --out o --epochs 0": "epochs: expected a positive number, got 0",
    "train --out o --activations no.npy": "--activations: no.npy does not exist",
    "train --out o --start a/seed9": "--start: a/seed9 does not exist; SAEs beside it: "
    "seed0, seed1",
    "train --out o --start a/seed0": "seeds: with --start all become the same SAE: give one, such "
    "as --seeds 0",
    "train --out o --start a/seed0 --seeds 0 --k 4 8": "start: one SAE begins with it: give one "
    "--architecture and one --k",
    "train --out o --architecture relu": "sparsity: relu needs a positive number, the weight of "
    "its penalty",
    "train --out o --stream --max-norm 9": "stream: not with --activations, --shared or --max-norm",
    "train --out o --model no.gguf": "model 'no.gguf': there is no such file or folder",
    "train --out o --text no.txt": "text 'no.txt' is no file or folder; other text is \"builtin\" "
    'or, from the datasets package, "hf:NAME"',
    "evaluate a": "expected either --activations or --model",
    "evaluate a --activations text.txt --model m": "expected either --activations or --model",
    "evaluate a --model m": "expected --model and --hookpoint, or neither",
    "evaluate a --model no.gguf --hookpoint h": "model 'no.gguf': there is no such file or folder",
    "evaluate a --activations text.txt --hookpoint h": "expected --model and --hookpoint, or "
    "neither",
    "evaluate a a/seed1 --activations text.txt": "a/seed1 is given twice: expected different SAEs",
    "evaluate empty --activations text.txt": "SAE: empty is no SAE folder: it has no "
    "sae_weights.safetensors, sae.safetensors, ae.pt or the like; SAEs below it: none",
    "evaluate a --activations text.txt --target no": "no does not exist",
    "evaluate a --activations text.txt --out a": "--out: a is a folder, expected a file to write",
    "evaluate a --activations text.txt --tokens 0": "--tokens: expected 1 or more, got 0",
    "evaluate a --activations text.txt --max-norm 0.5": "max_norm must be at least 1, got 0.5",
    "demo --seeds 1": "seeds: a match needs at least two, got 1",
    "doctor --match 12": "--match: expected LATENTSxWIDTH such as 131072x4096, got '12'",
    "bench encode --saes a/seed0": "--saes: expected 2 arguments",
    "bench gpu --minutes 0": "--minutes: expected more than 0, got 0",
}


def test_a_users_errors_are_one_line_at_once(folder: Path):
    before = set(folder.rglob("*"))
    commands = [line.split() for line in ERRORS]
    for line, (code, out, err) in zip(ERRORS, run_each(commands, folder), strict=True):
        assert (code, out, err) == (2, "", f"error: {ERRORS[line]}\n"), line
    assert set(folder.rglob("*")) == before


def test_without_a_command_it_shows_the_help_and_fails(tmp_path: Path):
    for code, out, _ in run_each([[], ["bench"], ["figure"]], tmp_path):
        assert code == 2
        assert out.startswith("example:")


def test_the_package_runs_as_a_module(tmp_path: Path):
    command = [sys.executable, "-m", "twinsae.cli", "match", "--help"]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert "usage: twinsae match" in finished.stdout
    mistyped = subprocess.run([*command[:3], "mach"], capture_output=True, text=True, cwd=tmp_path)
    assert mistyped.returncode == 2
    assert "did you mean" in mistyped.stderr
