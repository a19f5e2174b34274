"""What goes wrong for a user is one line on stderr and exit code 2, and nothing on disk is lost."""

import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from twinsae.cli.main import main

SIZES = ["--latents", "24", "--k", "4", "--batch-size", "32", "--epochs", "4", "--save-every", "3"]
HARVEST = ["--hookpoint", "h.1.mlp", "--context", "16", "--tokens", "600", "--shard-rows", "100"]
HARVEST += ["--dtype", "float32"]  # shards of one size, whatever the hardware is fast at


@pytest.fixture
def harvesting(model_folder: Path, tmp_path: Path) -> list[str]:
    """Arguments that train on the activations of a tiny model."""
    letters = np.random.default_rng(0).integers(97, 122, size=700, dtype=np.uint8)
    (tmp_path / "text.txt").write_bytes(letters.tobytes())
    model = ["--model", str(model_folder), "--text", str(tmp_path / "text.txt")]
    return ["train", "--out", str(tmp_path / "run"), *model, *HARVEST, *SIZES]


@pytest.fixture
def fails(tmp_path: Path, capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """Run a command that must fail; return its line, having checked that no file changed."""

    def run(args: list[str]) -> str:
        before = snapshot(tmp_path)
        capsys.readouterr()
        assert main(args) == 2
        assert before.items() <= snapshot(tmp_path).items()
        assert not list(tmp_path.rglob("*.tmp*"))
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ")
        return line

    return run


def snapshot(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_corrupt_shard(harvesting, fails, tmp_path):
    assert main(harvesting) == 0
    shard = tmp_path / "run/activations/h.1.mlp/shard_00001.safetensors"
    damaged = bytearray(shard.read_bytes())
    damaged[-1] ^= 1
    shard.write_bytes(damaged)
    line = fails([*harvesting, "--seeds", "7"])
    assert shard.name in line
    # Once the shard is deleted, the same command makes it again and goes on.
    shard.unlink()
    assert main([*harvesting, "--seeds", "7"]) == 0


def test_a_truncated_checkpoint(harvesting, fails, tmp_path):
    assert main(harvesting) == 0
    checkpoint = tmp_path / "run/h.1.mlp/seed1/checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-200])
    line = fails(harvesting)
    assert str(checkpoint) in line
    assert "is truncated" in line


@pytest.mark.parametrize(("limit", "file"), [(3_000, "shard"), (8_000, "checkpoint")])
def test_a_full_disk(harvesting, fails, limit, file):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        line = fails(harvesting)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert file in line.rpartition("/")[2]
    assert main(harvesting) == 0  # there is room again: it goes on


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_activations_that_are_not_finite(fails, tmp_path, value):
    activations = np.random.default_rng(0).normal(size=(64, 6)).astype(np.float32)
    activations[41, 2] = value
    np.save(tmp_path / "a.npy", activations)
    args = ["train", "--out", str(tmp_path / "run"), "--activations", str(tmp_path / "a.npy")]
    line = fails([*args, *SIZES])
    assert "a.npy" in line
    assert "41" in line


def test_a_wrong_hook_name_lists_the_closest(harvesting, fails):
    line = fails([*harvesting, "--hookpoint", "h.1.mpl"])
    assert "h.1.mlp" in line


def test_a_missing_model(harvesting, fails, tmp_path):
    missing = str(tmp_path / "no.gguf")
    assert missing in fails([*harvesting, "--model", missing])


def test_settings_that_do_not_fit_an_earlier_run(harvesting, fails):
    assert main(harvesting) == 0
    assert "lr" in fails([*harvesting, "--lr", "0.5"])
