"""`match_files`: from files to files."""

import hashlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from twinsae.matching import Matching, match, match_all, match_files, overlap, verify
from twinsae.sae.firing import Firing

CRITERIA = {
    *("and", "and_equal", "decoder", "encoder", "mean"),
    *("max", "max_decoder", "max_encoder", "equal"),
}


@pytest.fixture
def weights(make_pair):
    """{"a" or "b": (decoder, encoder)} of two SAEs of 24 and 31 latents."""
    decoders, encoders = make_pair(24, 31, 8), make_pair(24, 31, 8, seed=1)
    return {name: (decoders[i], encoders[i]) for i, name in enumerate("ab")}


@pytest.fixture
def folders(tmp_path, weights):
    """The two SAEs as folders, in two dtypes, with firing counts."""
    rng = np.random.default_rng(2)
    for name, dtype in (("a", torch.float32), ("b", torch.bfloat16)):
        folder = tmp_path / name
        folder.mkdir()
        decoder, encoder = (torch.from_numpy(rows).to(dtype) for rows in weights[name])
        tensors = {"W_dec": decoder, "encoder.weight": encoder, "b_dec": torch.zeros(8)}
        save_file(tensors, folder / "sae.safetensors")
        fired = torch.from_numpy(rng.integers(0, 3, len(decoder)))
        save_file({"fired": fired}, folder / "latents.safetensors")
    return tmp_path / "a", tmp_path / "b"


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def stored(weights, side):
    a, b = (torch.from_numpy(weights[name][side == "encoder"]) for name in "ab")
    return a, b.bfloat16()


def test_both_sides_are_matched_and_written(folders, weights, tmp_path):
    out = tmp_path / "deep" / "match"
    summary = match_files(*folders, ("decoder", "encoder"), out)
    assert names(out) == {"decoder.npz", "encoder.npz", "summary.json"}
    assert json.loads((out / "summary.json").read_text()) == summary
    for side in ("decoder", "encoder"):
        a, b = stored(weights, side)
        expected, written = match(a, b), Matching.load(out / f"{side}.npz")
        np.testing.assert_array_equal(written.cols, expected.cols)
        np.testing.assert_array_equal(written.row_price, expected.row_price)
        assert verify(a, b, written).valid
        block = summary["sides"][side]
        assert block["objective"] == expected.objective
        assert block["upper_bound"] == expected.upper_bound
        assert block["gap"] == expected.gap
        assert block["certified"] is True
        assert block["verified"] is None
        assert block["mean_cosine"] == pytest.approx(expected.cosine.mean())
        assert block["mmcs_a_to_b"] == pytest.approx(expected.row_max.mean())
        assert block["mmcs_b_to_a"] == pytest.approx(expected.col_max.mean())
        assert block["chance_floor"] == pytest.approx(np.sqrt(2 * np.log(31) / 8))


def test_the_summary_has_exactly_its_keys(folders, tmp_path):
    summary = match_files(*folders, ("encoder", "decoder"), tmp_path / "out", memory_limit=10**9)
    assert set(summary) == {
        *("format", "versions", "inputs", "identical_inputs"),
        *("settings", "sides", "overlap"),
    }
    assert summary["format"] == "twinsae-match/1"
    assert set(summary["versions"]) == {"twinsae", "numpy", "torch", "python"}
    assert summary["versions"]["numpy"] == np.__version__
    assert summary["settings"] == {
        "sides": ["decoder", "encoder"],
        "absolute": False,
        "m": 32,
        "candidates": "scan",
        "orientation": None,
        "device": "cpu",
        "memory_limit": 10**9,
        "verify": False,
    }
    for block in summary["sides"].values():
        assert set(block) == {
            *("objective", "upper_bound", "gap", "certified", "seconds", "peak_memory_bytes"),
            *("mean_cosine", "mmcs_a_to_b", "mmcs_b_to_a", "chance_floor", "verified"),
        }
        assert set(block["seconds"]) == {"similarity", "assignment", "prices"}
    result = summary["overlap"]
    assert set(result) == {
        *("threshold", "criteria", "counts", "intervals"),
        *("num_latents", "live", "sweep"),
    }
    assert set(result["criteria"]) == set(result["counts"]) == CRITERIA
    assert set(result["live"]) == {"by", "num_latents", "criteria", "counts", "intervals"}
    assert set(result["sweep"]) == CRITERIA - {"equal"} | {"threshold"}


def test_weights_are_moved_to_the_device(folders, tmp_path, monkeypatch):
    def look(matrix, *_facts):
        raise RuntimeError(f"on {matrix.device}")

    module = sys.modules["twinsae.matching.match_files"]
    monkeypatch.setattr(module, "check_device", lambda _name: None)
    monkeypatch.setattr(module, "StoredRows", look)
    with pytest.raises(RuntimeError, match=r"^on meta$"):  # this machine need not have a GPU
        match_files(*folders, ("decoder",), tmp_path / "out", device="meta")


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda", "device: torch finds no CUDA GPU on this machine"),
        ("gpu", "device: expected cpu or cuda, got 'gpu'"),
    ],
)
def test_a_device_that_is_not_there_is_refused(folders, tmp_path, device, message, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for call in (
        lambda: match_files(*folders, ("decoder",), tmp_path / "out", device=device),
        lambda: match_all(folders, tmp_path / "out", device=device),
    ):
        with pytest.raises(ValueError, match=rf"^{message}$"):
            call()
    assert not (tmp_path / "out").exists()


def test_inputs_are_described(folders, tmp_path):
    a, b = folders
    summary = match_files(a, b, ("decoder",), tmp_path / "out")
    assert summary["identical_inputs"] is False
    for facts in summary["inputs"].values():
        assert "b_dec (8,)" in facts.pop("evidence")
    assert summary["inputs"] == {
        name: {
            "path": str(path),
            "file": "sae.safetensors",
            "sha256": hashlib.sha256((path / "sae.safetensors").read_bytes()).hexdigest(),
            "num_latents": num_latents,
            "d_in": 8,
            "dtype": dtype,
            "firing": {
                "file": "latents.safetensors",
                "sha256": hashlib.sha256((path / "latents.safetensors").read_bytes()).hexdigest(),
                "tokens": None,
            },
            "family": "sparsify",
            "layout": "encoder (L, D), decoder (L, D)",
        }
        for name, path, num_latents, dtype in (("a", a, 24, "float32"), ("b", b, 31, "bfloat16"))
    }


def test_overlap_uses_firing_counts_when_both_are_known(folders, weights, tmp_path):
    matchings = [match(*stored(weights, side)) for side in ("decoder", "encoder")]
    rng = np.random.default_rng(2)
    fired = rng.integers(0, 3, 24), rng.integers(0, 3, 31)
    summary = match_files(*folders, ("decoder", "encoder"), tmp_path / "out")
    assert summary["overlap"] == overlap(*matchings, d_in=8, fired=fired)
    assert summary["overlap"]["live"]["by"] == "firing"
    assert 0 < summary["overlap"]["live"]["num_latents"] < 24
    (folders[1] / "latents.safetensors").unlink()
    summary = match_files(*folders, ("decoder", "encoder"), tmp_path / "out")
    assert summary["overlap"] == overlap(*matchings, d_in=8)
    assert summary["inputs"]["b"]["firing"] is None


def test_a_table_of_twinsae_fire_tells_which_latents_are_live(folders, weights, tmp_path):
    matchings = [match(*stored(weights, side)) for side in ("decoder", "encoder")]
    fired = np.arange(24) % 2, np.arange(31) % 3
    for folder, count in zip(folders, fired, strict=True):
        sha = hashlib.sha256((folder / "sae.safetensors").read_bytes()).hexdigest()
        flat = np.zeros(len(count))
        firing = Firing(count, flat, flat, flat, flat, tokens=9)
        firing.save(folder / "firing.npz", {"sae": {"sha256": sha}})
    summary = match_files(*folders, ("decoder", "encoder"), tmp_path / "out")
    assert summary["overlap"] == overlap(*matchings, d_in=8, fired=fired)
    told = summary["inputs"]["a"]["firing"]
    assert (told["file"], told["tokens"]) == ("firing.npz", 9)
    digest = hashlib.sha256((folders[0] / "firing.npz").read_bytes()).hexdigest()
    assert told["sha256"] == digest
    save_file({"W_dec": torch.ones(24, 8)}, folders[0] / "sae.safetensors")
    with pytest.raises(ValueError, match=r"firing\.npz was counted with other weights"):
        match_files(*folders, ("decoder",), tmp_path / "out")


def test_one_side_leaves_no_file_of_an_earlier_match_behind(folders, tmp_path):
    out = tmp_path / "out"
    match_files(*folders, ("decoder", "encoder"), out)
    (out / "notes.txt").write_text("mine")
    summary = match_files(*folders, ("encoder",), out)
    assert names(out) == {"encoder.npz", "summary.json", "notes.txt"}
    assert list(summary["sides"]) == ["encoder"]
    assert set(summary["overlap"]["criteria"]) == {"encoder", "max_encoder"}


def test_verification_is_recorded(folders, tmp_path):
    summary = match_files(*folders, ("decoder",), tmp_path / "out", verify=True)
    block = summary["sides"]["decoder"]
    assert block["verified"]["valid"] is True
    assert block["verified"]["reasons"] == []
    assert block["verified"]["objective"] == pytest.approx(block["objective"], abs=1e-12)
    assert block["verified"]["gap"] == pytest.approx(0, abs=1e-12)
    assert set(block["verified"]) == {
        *("valid", "reasons", "objective", "upper_bound", "gap", "worst_violation", "seconds")
    }


def test_progress_names_the_side(folders, tmp_path):
    told = []
    match_files(
        *folders,
        ("decoder", "encoder"),
        tmp_path / "out",
        verify=True,
        progress=lambda phase, *_: told.append(phase),
    )
    assert list(dict.fromkeys(told)) == [
        f"{side} {phase}"
        for side in ("decoder", "encoder")
        for phase in ("similarity", "assignment", "prices", "verify")
    ]


@pytest.mark.parametrize("kind", ["safetensors", "npz", "npy", "pt"])
def test_single_files(kind, weights, tmp_path):
    paths = []
    for name in "ab":
        decoder = weights[name][0]
        path = tmp_path / f"{name}.{kind}"
        if kind == "safetensors":
            save_file({"W_dec": torch.from_numpy(decoder), "b_dec": torch.zeros(8)}, path)
        elif kind == "npz":
            np.savez(path, W_dec=decoder, b_dec=np.zeros(8))
        elif kind == "npy":
            np.save(path, decoder)
        else:
            torch.save({"W_dec": torch.from_numpy(decoder), "b_dec": torch.zeros(8)}, path)
        paths.append(path)
    match_files(*paths, ("decoder",), tmp_path / "out")
    expected = match(*(weights[name][0] for name in "ab"))
    written = Matching.load(tmp_path / "out" / "decoder.npz")
    np.testing.assert_array_equal(written.cols, expected.cols)


def test_the_same_sae_twice_is_matched_and_noted(folders, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folders[0], copy)
    for b in (folders[0], copy):
        summary = match_files(folders[0], b, ("decoder", "encoder"), tmp_path / "out")
        assert summary["identical_inputs"] is True
        assert summary["overlap"]["criteria"]["and_equal"] == 1


def refused(error, message, a, b, sides, out, **options):
    with pytest.raises(error, match=message) as caught:
        match_files(a, b, sides, out, **options)
    assert "\n" not in str(caught.value)
    assert not out.exists()


@pytest.mark.parametrize("sides", [(), ("both",), ("decoder", "decoder"), ("decoder", "bias")])
def test_other_sides_are_refused(sides, folders, tmp_path):
    message = r"^sides must name 'decoder', 'encoder' or both, not \["
    refused(ValueError, message, *folders, sides, tmp_path / "out")


def test_missing_files_are_refused(folders, tmp_path):
    absent, empty = tmp_path / "absent", tmp_path / "empty"
    empty.mkdir()
    refused(FileNotFoundError, "absent", folders[0], absent, ("decoder",), tmp_path / "out")
    refused(FileNotFoundError, "empty", empty, folders[1], ("decoder",), tmp_path / "out")


def test_a_file_without_an_encoder_cannot_be_matched_on_both_sides(weights, folders, tmp_path):
    path = tmp_path / "decoder-only.safetensors"
    save_file({"W_dec": torch.from_numpy(weights["a"][0]), "b_dec": torch.zeros(8)}, path)
    message = r"decoder-only.safetensors has no matrix \(the encoder\); it holds: W_dec, b_dec"
    refused(ValueError, message, path, folders[1], ("decoder", "encoder"), tmp_path / "out")


def test_one_npy_array_cannot_be_both_sides(weights, folders, tmp_path):
    path = tmp_path / "rows.npy"
    np.save(path, weights["a"][0])
    message = r"rows\.npy holds one array, which cannot be both decoder and encoder$"
    refused(ValueError, message, path, folders[1], ("decoder", "encoder"), tmp_path / "out")


def write(path, **arrays):
    save_file({name.replace("__", "."): torch.from_numpy(x) for name, x in arrays.items()}, path)
    return path


def test_dictionaries_of_different_width_are_refused(folders, tmp_path):
    path = write(
        tmp_path / "wide.safetensors", W_dec=np.ones((24, 9), np.float32), b_dec=np.ones(9)
    )
    message = r"wide.safetensors \(decoder\) .* must have the same d_in \(columns\), not 9 and 8$"
    refused(ValueError, message, path, folders[1], ("decoder",), tmp_path / "out")


def test_sides_of_different_shape_are_refused(weights, folders, tmp_path):
    decoder, encoder = weights["a"]
    path = write(tmp_path / "odd.safetensors", W_dec=decoder, encoder__weight=encoder[:-1])
    message = r"odd.safetensors: encoder and decoder .* number"
    refused(ValueError, message, path, folders[1], ("decoder", "encoder"), tmp_path / "out")


def test_nan_in_the_last_side_is_found_before_the_first_is_matched(weights, folders, tmp_path):
    decoder, encoder = weights["a"]
    encoder[17, 3] = np.nan
    path = write(tmp_path / "nan.safetensors", W_dec=decoder, encoder__weight=encoder)
    told = []
    message = r"nan\.safetensors \(encoder\) holds NaN or an infinity in row 17$"
    refused(
        ValueError,
        message,
        folders[1],
        path,
        ("decoder", "encoder"),
        tmp_path / "out",
        progress=lambda *call: told.append(call),
    )
    assert told == []


def test_firing_counts_of_another_sae_are_refused(folders, tmp_path):
    shutil.copy(folders[1] / "latents.safetensors", folders[0] / "latents.safetensors")
    message = "a: 31 firing counts for 24 latents$"
    refused(ValueError, message, *folders, ("decoder",), tmp_path / "out")


def test_too_little_memory_is_refused(folders, tmp_path):
    message = r"^matching 24 x 31 latents .* allowed \(memory_limit\)$"
    refused(ValueError, message, *folders, ("decoder",), tmp_path / "out", memory_limit=10)


@pytest.mark.parametrize("failing", ["decoder.npz", "encoder.npz", "summary.json"])
def test_a_failed_write_leaves_no_half_file_and_no_summary(failing, folders, tmp_path, monkeypatch):
    out = tmp_path / "out"
    match_files(*folders, ("decoder", "encoder"), out)
    replace = Path.replace

    def break_off(self, target):
        if Path(target).name == failing:
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", break_off)
    with pytest.raises(OSError, match="No space left"):
        match_files(*folders, ("decoder", "encoder"), out)
    # Whole files of the old match or the new, but nothing that calls itself complete.
    assert names(out) == {"decoder.npz", "encoder.npz"}
    for name in names(out):
        assert Matching.load(out / name).certified


def test_the_first_of_two_that_make_the_same_match_wins(folders, tmp_path):
    out = tmp_path / "out"

    def another(phase, *_):
        if phase == "encoder prices" and not (out / "mark").exists():
            match_files(*folders, ("decoder", "encoder"), out)
            (out / "metrics.json").write_text("made of it")
            (out / "mark").write_text((out / "summary.json").read_text())

    both = ("decoder", "encoder")
    match_files(*folders, both, out, first_wins=True, progress=another)
    assert (out / "summary.json").read_text() == (out / "mark").read_text()
    assert (out / "metrics.json").exists()
    for others in ((*folders[::-1], both), (*folders, both[:1])):  # no such match is there
        match_files(*others, out, first_wins=True)
        assert (out / "summary.json").read_text() != (out / "mark").read_text()
        assert not (out / "metrics.json").exists()


def test_a_match_that_another_process_has_written_never_goes(folders, tmp_path, monkeypatch):
    match_files(*folders, ("decoder", "encoder"), tmp_path / "another")
    out, unlink, save = tmp_path / "out", Path.unlink, Matching.save
    ends, there = iter([True]), []

    def unlink_after_another(self, missing_ok=False):
        if next(ends, False):  # once, after we looked what is there
            shutil.copytree(tmp_path / "another", out, dirs_exist_ok=True)
        unlink(self, missing_ok=missing_ok)

    def save_and_look(self, path):
        there.append((out / "summary.json").exists())
        save(self, path)

    monkeypatch.setattr(Path, "unlink", unlink_after_another)
    monkeypatch.setattr(Matching, "save", save_and_look)
    match_files(*folders, ("decoder", "encoder"), out, first_wins=True)
    assert there == [True, True]
    assert names(out) == {"decoder.npz", "encoder.npz", "summary.json"}


def test_a_folder_that_cannot_be_made_is_one_clear_error(folders, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        match_files(*folders, ("decoder",), tmp_path / "file" / "out")
