"""Without the C++ extensions all is imported, and results come from torch and scipy, told once."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from twinsae.bench.gpu.records import STEPS, read, results
from twinsae.cli.main import main
from twinsae.matching import Matching, match
from twinsae.sae import load_sae

BLOCK = """
import sys

BLOCKED = {f"twinsae.{room}._native" for room in ("kernels", "matching", "matching.assignment")}

class Block:
    def find_spec(self, name, path=None, target=None):
        if name in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Block())
"""

# What a bare GPU machine lacks is missing, too.
REFUSALS = """
BLOCKED |= {"lapjv", "scipy", "matplotlib", "jinja2"}

import torch
import twinsae.bench.gpu
import twinsae.bench.match
import twinsae.cli.main
import twinsae.sae
from twinsae.kernels import decode, grads, update
from twinsae.kernels.autoencode import topk_autoencode
from twinsae.kernels.topk import linear_topk, pack
from twinsae.matching import match, sparse_assignment
from twinsae.matching.rows import StoredRows

x, weight = torch.eye(2, 3), torch.arange(12.0).view(4, 3)
values, indices = torch.ones(2, 1), torch.tensor([[0], [1]])
for backend in ("auto", "native"):
    kind = {"backend": backend}
    for call in (
        lambda: linear_topk(x, weight, None, 2, **kind).indices.tolist(),
        lambda: decode.sparse_decode(values, indices, weight, **kind).tolist(),
        lambda: grads.latent_grads(values, values, indices, x, x, 4, **kind).fired.tolist(),
        lambda: update.latent_squares(weight, [], **kind).item(),
        lambda: topk_autoencode(x, weight, None, weight, None, 2, **kind).values.tolist(),
    ):
        try:
            print(call())
        except ValueError as error:
            print(error)
print(linear_topk(x, pack(weight), None, 2).values.tolist())
print(StoredRows(weight, "a").unit(torch.tensor([1])).square().sum().item())
for call in (lambda: match(weight, weight), lambda: sparse_assignment([0], [0], [1.0], (1, 1))):
    try:
        call()
    except ImportError as error:
        print(error)

from pathlib import Path
from twinsae.bench.gpu.__main__ import main
steps = Path(sys.argv[1], "steps.jsonl")
steps.touch()
for stage in ("times", "big", "match"):
    main(stage, sys.argv[1], "--rehearse")
"""


def child(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BLOCK + code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done


def test_calls_are_served_by_torch_or_say_what_they_need(tmp_path: Path):
    done = child(REFUSALS, str(tmp_path))
    *told, by_match, by_assignment = done.stdout.splitlines()
    assert told[:5] == ["[[3, 2], [3, 2]]", "[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]", "[1, 1, 0, 0]",
                        "0.0", "[[9.0, 6.0], [10.0, 7.0]]"]  # fmt: skip
    ops = ["linear_topk", "sparse_decode", "latent_grads", "latent_squares", "topk_autoencode"]
    for op, line in zip(ops, told[5:10], strict=True):
        assert line.startswith(f"backend: 'native' cannot serve {op}: the C++ extension is missing")
    assert told[10] == "[[9.0, 6.0], [10.0, 7.0]]"
    assert abs(float(told[11]) - 1) < 1e-6
    needs = "twinsae.matching: expected scipy, or twinsae's C++ extension"
    assert by_match.startswith(needs)
    assert by_assignment.startswith("twinsae.matching.assignment: expected its C++ extension")
    assert done.stderr.count("UserWarning: twinsae: the C++ extension is missing") == 1

    found = results(read(tmp_path / STEPS))
    assert {stage for stage, _ in found} == {"times", "big", "match"}
    for (stage, _), record in found.items():
        refused = f"ImportError: {needs}" if stage == "match" else ""
        assert record.get("problem", "").startswith(refused)
        assert ("problem" in record) == (stage == "match")


COMMANDS = """
from twinsae.cli.main import main

then = sys.argv.index("then")
assert not main(sys.argv[1:then])
raise SystemExit(main(sys.argv[then + 1:]))
"""


def test_training_and_matching_give_what_they_give_with_extensions(tmp_path: Path):
    rows = np.random.default_rng(0).standard_normal((256, 12)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    training = (
        "train", "--activations", f"{tmp_path}/rows.npy", "--hookpoint", "h", "--latents", "40",
        "--k", "4", "--batch-size", "64", "--epochs", "2", "--seeds", "0", "1", "--out",
    )  # fmt: skip
    run, other = tmp_path / "run", tmp_path / "with-extensions"
    pair = [f"{run}/h/seed{seed}" for seed in (0, 1)]
    child(COMMANDS, *training, str(run), "then", "match", *pair, "--out", f"{tmp_path}/match")
    assert not main([*training, str(other)])

    saes = [load_sae(path) for path in pair]
    for seed, sae in enumerate(saes):
        expected = load_sae(other / "h" / f"seed{seed}")
        for (name, ours), theirs in zip(sae.named_parameters(), expected.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5, msg=name)
    expected = match(saes[0].W_dec, saes[1].W_dec)
    found = Matching.load(tmp_path / "match" / "decoder.npz")
    assert np.array_equal(found.cols, expected.cols)
    assert found.certified
    assert abs(found.objective - expected.objective) < 1e-9 * len(found.cols)
