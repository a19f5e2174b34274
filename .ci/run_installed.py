"""Encodes, matches and plugs in with the installed twinsae, where no compiler is.

Usage: run_installed.py with-extensions | without-extensions
"""

import os
import shutil
import subprocess
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ["SPARSIFY_DISABLE_TRITON"] = "1"

import numpy as np
import torch
import twinsae.kernels.extension as extension
from scipy.optimize import linear_sum_assignment
from sparsify import SparseCoder, SparseCoderConfig
from twinsae.kernels.topk import linear_topk
from twinsae.matching import Matching
from twinsae.sae import plug

COMPILERS = ("cc", "gcc", "g++", "c++", "clang", "clang++", "make")
with_extensions = {"with-extensions": True, "without-extensions": False}[sys.argv[1]]
assert not any(map(shutil.which, COMPILERS)), os.environ["PATH"]
assert "site-packages" in str(extension.__file__), extension.__file__
assert (extension.MISSING is None) == with_extensions, extension.MISSING
torch.manual_seed(0)

# Encode. Whole numbers have one product, whatever the order of its sums.
x = torch.randint(-4, 5, (300, 48)).float()
weight, bias = torch.randint(-4, 5, (700, 48)).float(), torch.randint(-4, 5, (700,)).float()
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    found, _ = (linear_topk(x, weight, bias, k=9) for _ in range(2))
dense = torch.relu(x @ weight.T + bias).sort(descending=True, stable=True)
positive = found.values > 0
assert torch.equal(found.values, dense.values[:, :9])
assert torch.equal(found.indices[positive], dense.indices[:, :9][positive])
lines = [str(line.message) for line in told]
assert len(lines) == (not with_extensions), lines

# Match.
rng = np.random.default_rng(0)
a = rng.standard_normal((150, 24))
b = np.concatenate([a[40:] + 0.3 * rng.standard_normal((110, 24)), rng.standard_normal((60, 24))])
with TemporaryDirectory() as folder:
    for name, rows in (("a", a), ("b", b)):
        np.save(f"{folder}/{name}.npy", rows)
    command = [
        Path(sys.executable).with_name("twinsae"), "match", f"{folder}/a.npy", f"{folder}/b.npy",
        "--side", "decoder", "--out", f"{folder}/match",
    ]  # fmt: skip
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    matching = Matching.load(f"{folder}/match/decoder.npz")
a, b = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (a, b))
rows, cols = linear_sum_assignment(a @ b.T, maximize=True)
assert np.array_equal(matching.cols, cols)
assert matching.certified
assert abs(matching.objective - (a @ b.T)[rows, cols].sum()) < 1e-9 * len(rows)

# Plug in: the loss and the decoder's gradient of sparsify, with our kernels and with its own.
coder = SparseCoder(24, SparseCoderConfig(num_latents=96, k=5))
batch, losses, gradients = torch.randn(64, 24), [], []
for ours in (False, True):
    coder.zero_grad()
    if ours:
        plug.sparsify.enable()
    loss = coder(batch).fvu
    loss.backward()
    losses.append(loss.item())
    gradients.append(coder.W_dec.grad.clone())
assert abs(losses[0] - losses[1]) < 1e-5
torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)
python = ".".join(map(str, sys.version_info[:2]))
print(
    f"Python {python}, torch {torch.__version__}, {sys.argv[1]}: encoded, matched, and plugged "
    f"into sparsify {version('eai-sparsify')}"
)
