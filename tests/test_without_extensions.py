"""All imports without the C++ extensions and what a bare GPU lacks; calls name what they need."""

import subprocess
import sys
from pathlib import Path

from twinsae.bench.gpu.records import STEPS, read, results

CHILD = """
import sys

BLOCKED = {
    "twinsae.kernels._native", "twinsae.matching._native", "twinsae.matching.assignment._native",
    "lapjv", "scipy", "matplotlib", "jinja2",
}

class Block:
    def find_spec(self, name, path=None, target=None):
        if name in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Block())

import torch
import twinsae.bench.gpu
import twinsae.bench.match
import twinsae.cli.main
import twinsae.sae
from twinsae.kernels import autoencode, decode, grads, update
from twinsae.kernels.topk import linear_topk, pack
from twinsae.matching import match, sparse_assignment
from twinsae.matching.rows import StoredRows

x, weight = torch.eye(2, 3), torch.arange(12.0).view(4, 3)
print(linear_topk(x, weight, None, 2, backend="reference").indices.tolist())
values, indices = torch.ones(2, 1), torch.tensor([[0], [1]])
for call in (
    lambda: linear_topk(x, weight, None, 2),
    lambda: pack(weight),
    lambda: decode.sparse_decode(values, indices, weight),
    lambda: grads.latent_grads(values, values, indices, x, x, 4),
    lambda: update.latent_squares(weight, []),
    lambda: autoencode.topk_autoencode(x, weight, None, weight, None, 2),
    lambda: StoredRows(weight, "a").unit(torch.arange(4)),
    lambda: match(weight, weight),
    lambda: sparse_assignment([0], [0], [1.0], (1, 1)),
):
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


def test_all_is_imported_and_a_call_that_needs_an_extension_says_so(tmp_path: Path):
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    reference, *refusals = done.stdout.splitlines()
    assert reference == "[[3, 2], [3, 2]]"
    names = [line.partition(": expected its C++ extension")[0] for line in refusals]
    kernels, matching = "twinsae.kernels", "twinsae.matching"
    assert names == [kernels] * 6 + [matching] + [f"{matching}.assignment"] * 2
    found = results(read(tmp_path / STEPS))
    assert {stage for stage, _ in found} == {"times", "big", "match"}
    needs = "ImportError: twinsae.matching.assignment: expected its C++ extension"
    for (stage, _), record in found.items():
        assert record.get("problem", "").startswith(needs if stage == "match" else "")
        assert ("problem" in record) == (stage == "match")
