"""The command as a user runs it: exit codes, one-line errors, files on disk."""

import json
import os
import re
import subprocess
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pytest
import torch
from twinsae.cli.main import main
from twinsae.common import processes
from twinsae.common.packages import EXTRAS
from twinsae.kernels import _native
from twinsae.matching import Certificate
from twinsae.sae import SAE, SAEConfig, load_sae, save_sae


@pytest.fixture
def saes(tmp_path: Path) -> tuple[Path, Path]:
    """Two small SAE folders."""
    folders = (tmp_path / "seed0", tmp_path / "seed1")
    for seed, folder in enumerate(folders):
        save_sae(SAE(SAEConfig(d_in=6, num_latents=11, k=3), seed=seed), folder)
    return folders


def run_command(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "twinsae.cli.main", *map(str, args)]
    environment = os.environ | {"PYTHONSAFEPATH": "1", "COLUMNS": "120"}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_match_writes_its_files_and_prints_the_tables(saes, tmp_path, capsys):
    out = tmp_path / "match"
    assert main(["match", *map(str, saes), "--out", str(out)]) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert set(summary["sides"]) == {"decoder", "encoder"}
    for side in ("decoder", "encoder"):
        with np.load(out / f"{side}.npz") as result:
            assert sorted(result["cols"]) == list(range(11))
            objective = result["cosine"].sum(dtype=np.float64)
        assert summary["sides"][side]["objective"] == pytest.approx(objective, abs=1e-6)
    shown = capsys.readouterr().out
    assert "and_equal" in shown
    assert f"{summary['sides']['decoder']['objective']:.6f}" in shown


def test_convert_writes_the_format_and_names_what_is_left(saes, tmp_path, capsys):
    out = tmp_path / "new"
    assert main(["convert", str(saes[0]), str(out), "--to", "saelens"]) == 0
    assert (out / "sae_weights.safetensors").is_file()
    shown = capsys.readouterr().out
    assert f"{saes[0]} -> {out}\n  not carried over: normalize_decoder = True: now False" in shown
    assert main(["match", str(saes[0]), str(out), "--out", str(tmp_path / "match")]) == 0
    cosine = np.load(tmp_path / "match" / "encoder.npz")["cosine"]
    np.testing.assert_allclose(cosine, 1, atol=1e-6)


def test_what_cannot_be_converted_is_one_line(saes, tmp_path, capsys):
    assert main(["convert", str(saes[0]), str(tmp_path / "a.pt"), "--to", "openai"]) == 2
    expected = "error: normalization = 'none' has no place in openai's format with TopK"
    assert expected in capsys.readouterr().err


def test_one_side_only(saes, tmp_path):
    out = tmp_path / "match"
    assert main(["match", *map(str, saes), "--out", str(out), "--side", "encoder"]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["encoder.npz", "summary.json"]


def test_match_all_prints_its_tables_and_goes_on(saes, tmp_path, capsys):
    third = tmp_path / "seed2"
    save_sae(SAE(SAEConfig(d_in=6, num_latents=11, k=3), seed=2), third)
    out = tmp_path / "all"
    assert main(["match-all", *map(str, saes), "--out", str(out)]) == 0
    assert "1 of 1 pairs to match" in capsys.readouterr().out
    assert main(["match-all", *map(str, (*saes, third)), "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "2 of 3 pairs to match" in shown
    assert "seed0--seed2 (1 of 2)" in shown
    result = json.loads((out / "seeds.json").read_text())
    assert shown.count("proved") == 3
    for pair in result["pairs"]:
        assert f"{pair['criteria']['and']:.1%}" in shown
    assert f"{result['only_in_base'][1]['mean']:.2%}" in shown
    assert "in 3" in shown


def test_match_all_of_two_with_one_name(saes, tmp_path, capsys):
    (tmp_path / "other").mkdir()
    saes[1].rename(tmp_path / "other" / "seed0")
    words = [f"first={saes[0]}", str(tmp_path / "other" / "seed0")]
    assert main(["match-all", *words, "--out", str(tmp_path / "all")]) == 0
    assert (tmp_path / "all" / "first--seed0" / "summary.json").is_file()
    assert "first" in capsys.readouterr().out


def test_match_all_names_the_pairs_that_fail_and_those_left_to_others(saes, tmp_path, capsys):
    odd = tmp_path / "odd"
    save_sae(SAE(SAEConfig(d_in=7, num_latents=11, k=3), seed=2), odd)
    words = ["match-all", *map(str, (*saes, odd)), "--out", str(tmp_path / "all")]
    assert main([*words, "--shard", "2/2"]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: 1 pairs could not be matched: seed0--odd: ")
    assert err.count("\n") == 1
    assert "d_in" in err
    assert "2 of 3 pairs are left to other shards" in out
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out.count("proved") == 1
    assert err.startswith("error: 2 pairs could not be matched: seed0--odd: ")


def test_match_all_on_gpus_matches_there_unless_told_otherwise(saes, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(processes, "devices", lambda number: [""] * number)  # which hides them
    words = ["match-all", *map(str, saes), "--out", str(tmp_path / "all"), "--gpus", "1"]
    assert main(words) == 2
    assert capsys.readouterr().err == (
        "error: 1 pairs could not be matched: seed0--seed1: "
        "device: torch finds no CUDA GPU on this machine\n"
    )
    assert main([*words, "--device", "cpu"]) == 0
    assert "proved" in capsys.readouterr().out


def test_match_all_of_one_is_a_users_error(saes, tmp_path, capsys):
    assert main(["match-all", str(saes[0]), "--out", str(tmp_path / "all")]) == 2
    assert "expected 2 SAEs or more, got 1" in capsys.readouterr().err


def test_match_with_a_second_proof(saes, tmp_path, capsys):
    out = tmp_path / "match"
    assert main(["match", *map(str, saes), "--out", str(out), "--verify"]) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert all(side["verified"]["valid"] for side in summary["sides"].values())
    shown = capsys.readouterr().out
    assert shown.count("valid") == 2
    assert "…" not in shown  # at 80 columns nothing is cut


@pytest.mark.parametrize("numbers", [(1.0, 1.5, 0.1), ()])  # without: nothing could be measured
def test_a_proof_that_fails_is_an_error(saes, tmp_path, monkeypatch, capsys, numbers):
    def wrong(*_args: object, **_options: object) -> Certificate:
        return Certificate(("the gap is 0.5", "it is wide"), *numbers)

    # The function of that name hides its module from attribute access.
    monkeypatch.setattr(import_module("twinsae.matching.match_files"), "verify_rows", wrong)
    out = tmp_path / "match"
    command = ["match", *map(str, saes), "--out", str(out), "--verify", "--side", "encoder"]
    assert main(command) == 2
    verified = json.loads((out / "summary.json").read_text())["sides"]["encoder"]["verified"]
    assert verified["gap"] == (0.5 if numbers else None)
    shown = capsys.readouterr()
    assert "NOT" in shown.out
    assert shown.err == "error: encoder: not valid: the gap is 0.5; it is wide\n"


def test_report_of_a_match(saes, tmp_path, capsys):
    out = tmp_path / "match"
    main(["match", *map(str, saes), "--out", str(out)])
    assert main(["report", str(out)]) == 0
    assert (out / "report" / "index.html").stat().st_size > 1000
    assert "index.html" in capsys.readouterr().out


def test_a_missing_file_is_one_line_on_stderr_and_exit_code_2(tmp_path):
    finished = run_command("match", tmp_path / "no", tmp_path / "no", "--out", tmp_path / "out")
    assert finished.returncode == 2
    (line,) = finished.stderr.splitlines()
    assert line.startswith("error: ")
    assert str(tmp_path / "no") in line


def test_debug_shows_the_traceback(tmp_path):
    missing = tmp_path / "no"
    finished = run_command("match", missing, missing, "--out", tmp_path / "out", "--debug")
    assert finished.returncode != 0
    assert "Traceback" in finished.stderr


def test_a_bad_memory_limit_is_named(saes, tmp_path, capsys):
    out = str(tmp_path / "out")
    assert main(["match", *map(str, saes), "--out", out, "--memory-limit", "plenty"]) == 2
    assert capsys.readouterr().err.startswith(
        "error: --memory-limit: expected a size such as 8GiB, got 'plenty'"
    )


def test_a_match_beyond_the_memory_limit_is_refused(saes, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["match", *map(str, saes), "--out", str(out), "--memory-limit", "1KiB"]) == 2
    assert "memory" in capsys.readouterr().err
    assert not (out / "summary.json").exists()


def test_an_interrupt_is_no_traceback(saes, tmp_path, monkeypatch, capsys):
    def interrupted(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("twinsae.matching.match_files", interrupted)
    assert main(["match", *map(str, saes), "--out", str(tmp_path / "out")]) == 130
    assert "stopped" in capsys.readouterr().err


def test_train_on_own_activations_and_match_the_seeds(tmp_path, capsys):
    torch.manual_seed(0)
    np.save(tmp_path / "activations.npy", torch.randn(512, 8).numpy())
    run = tmp_path / "run"
    options = "--latents 16 --k 4 --batch-size 64 --epochs 2 --seeds 3 5 --hookpoint here.mlp"
    args = ["--out", str(run), "--activations", str(tmp_path / "activations.npy")]
    assert main(["train", *args, *options.split()]) == 0
    shown = capsys.readouterr().out
    assert "train: 16 steps" in shown
    assert "Trained SAEs" in shown
    assert main(["report", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run/report/index.html").is_file()
    saes = [str(run / "here.mlp" / f"seed{seed}") for seed in (3, 5)]
    assert main(["match", *saes, "--out", str(tmp_path / "match")]) == 0


def test_train_on_several_hookpoints(tmp_path, model_folder, capsys):
    letters = np.random.default_rng(0).integers(97, 122, size=700, dtype=np.uint8)
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": letters.tobytes().decode()}) + "\n\n")
    run = tmp_path / "run"
    args = f"--out {run} --model {model_folder} --text {tmp_path / 'a.jsonl'} --context 16"
    sizes = "--tokens 500 --latents 24 --k 4 --batch-size 64 --seeds 0"
    words = ["train", *args.split(), *sizes.split(), "--hookpoint"]
    assert main([*words, "h.*.mlp", "h.0"]) == 0
    out, shown = capsys.readouterr().out, {}
    assert "1 blank and 0 null rows of the text were skipped" in out
    for name in ("h.0.mlp", "h.1.mlp", "h.0"):
        assert (run / name / "seed0" / "sae.safetensors").is_file()
        norms = json.loads((run / "activations" / name / "meta.json").read_text())["norms"]
        shown[name] = f"{name}: 500 activations, norm {norms['min']:.4g} to {norms['max']:.4g}, "
        assert f"train {name}: " in out
    assert all(line in out for line in shown.values())
    # Another one into the same folder; and the three are named in the table.
    assert main([*words, "h.1"]) == 0
    out = capsys.readouterr().out
    assert all(f" {name}/seed0 " in out for name in (*shown, "h.1"))
    words[words.index("--out") + 1] = str(tmp_path / "other")
    assert main([*words, "h.*.mpl"]) == 2
    assert "'h.*.mpl' is no module of GPT2LMHeadModel; the closest" in capsys.readouterr().err


def test_train_without_outliers(tmp_path, capsys):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(640, 8)).astype(np.float32)
    x[::80] *= 1000
    np.save(tmp_path / "x.npy", x.reshape(64, 10, 8))
    run, other = tmp_path / "run", tmp_path / "other"
    words = f"--activations {tmp_path / 'x.npy'} --hookpoint x --latents 16 --k 4 --batch-size 64"
    command = ["train", *words.split(), "--epochs", "3", "--seeds", "0", "--lr", "0.01", "--out"]
    assert main([*command, str(run)]) == 0
    out = capsys.readouterr().out
    assert "the array of shape (64, 10, 8) is read as 640 rows" in out
    assert "warning: the largest norm is" in out
    assert json.loads((run / "x" / "activations.json").read_text())["dropped"] == 0
    assert main([*command, str(other), "--max-norm", "10"]) == 0
    out = capsys.readouterr().out
    assert "8 of 640 activations are left out, with a norm over 10 times the median" in out
    assert "warning" not in out
    noted = json.loads((other / "x" / "activations.json").read_text())
    assert (noted["rows"], noted["dropped"], noted["max_norm"]) == (632, 8, 10)
    norms = np.linalg.norm(x, axis=1)
    assert noted["norms"]["max"] == pytest.approx(norms[norms < 100].max())
    # The FVU shown is that of the ordinary rows: a plain one of theirs is as large.
    sae = load_sae(other / "x" / "seed0")
    kept = torch.from_numpy(x[norms < 100])
    last = json.loads((other / "log.jsonl").read_text().splitlines()[-1])
    assert last["fvu"] == pytest.approx(sae(kept).fvu.item(), rel=0.25)
    # Other rows are another run.
    assert main([*command, str(other)]) == 2
    assert "activations" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--max-norm", "0.5"], "max_norm must be at least 1, got 0.5"),
        (["--hookpoint", "a", "b"], "hookpoint: --activations are of one hookpoint, got a b"),
    ],
)
def test_options_that_do_not_fit_own_activations(tmp_path, capsys, words, message):
    np.save(tmp_path / "x.npy", np.ones((4, 2), np.float32))
    args = ["train", "--out", str(tmp_path), "--activations", str(tmp_path / "x.npy"), *words]
    assert main(args) == 2
    assert message in capsys.readouterr().err


def test_doctor_says_what_a_match_takes(capsys):
    assert main(["doctor", "--match", "131072x4096"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    host = re.search(r"match 131072x4096: host \S+ (\d\.\d\d) GiB", shown)
    assert 1 < float(host[1]) < 2
    assert "4.00 GiB in float32" in shown
    assert main(["doctor", "--match", "131072"]) == 2
    assert "expected LATENTSxWIDTH such as 131072x4096, got '131072'" in capsys.readouterr().err


def test_doctor_shows_what_the_kernels_compile_to(capsys, monkeypatch):
    from twinsae.kernels import aot, aot_builds

    build = aot_builds.builds(every=False)[0]
    found = aot.Resources(
        build, aot.TARGETS[1], 123, 16, 99_328, 2648, 900, False, frozenset(), False
    )
    monkeypatch.setattr(aot, "compile_all", lambda: [found])
    monkeypatch.setenv("COLUMNS", "240")  # no cell is folded
    assert main(["doctor", "--kernels"]) == 0
    printed = capsys.readouterr().out
    for text in (build.name, "H100 (sm_90)", "99,328", "8.89 ms", "spills", "*predicted*"):
        assert text in printed


def test_doctor_lists_what_is_there(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert torch.__version__ in shown
    assert "native kernels" in shown
    for name, extra in EXTRAS.items():
        packages = (f"{each} {installed(each) or 'not installed'}" for each in extra.packages)
        row = next(line for line in shown.splitlines() if line.startswith(f"│ {name} "))
        assert f"│ {extra.purpose} " in row
        assert f"│ {', '.join(packages)} " in row
    assert "pip install 'twinsae[EXTRA]'" in shown


def installed(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@pytest.mark.parametrize("forced", ["portable", None])
def test_doctor_names_the_cpu_path(capsys, monkeypatch, forced):
    monkeypatch.setenv("TWINSAE_CPU_ISA", forced or "")
    assert main(["doctor"]) == 0
    (row,) = (row for row in capsys.readouterr().out.splitlines() if "native kernels" in row)
    assert (forced or _native.isa()) in row


@pytest.mark.slow
def test_demo_at_a_tiny_size(tmp_path, capsys):
    out = tmp_path / "demo"
    sizes = "--tokens 3000 --latents 48 --epochs 3 --k 8 --seeds 0 1 2"
    assert main(["demo", "--out", str(out), *sizes.split()]) == 0
    match = out / "matches" / "seed0--seed1"
    summary = json.loads((match / "summary.json").read_text())
    assert all(side["certified"] for side in summary["sides"].values())
    report = out / "matches" / "report"
    assert (report / "index.html").exists()
    printed = capsys.readouterr().out
    assert "untrained" in printed
    assert "only in one" in printed  # the table of several seeds
    drawn = {file.stem for file in (report / "figures").glob("*.svg")}
    assert {"alignment", "unique-by-seeds", "frequency", "heat-map"} <= drawn
    # A second call finds everything done.
    assert main(["demo", "--out", str(out), *sizes.split()]) == 0


def test_demo_needs_two_seeds(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path), "--seeds", "1"]) == 2
    assert "at least two" in capsys.readouterr().err


def test_doctor_forecasts_a_match_of_two_saes(saes, tmp_path, capsys):
    assert main(["doctor", "--match", *map(str, saes)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "11 and 11 latents, 6 wide" in shown
    assert "predicted from a probe of this machine" in shown
    assert re.search(r"fits\W+yes", shown)
    odd = tmp_path / "odd"
    save_sae(SAE(SAEConfig(d_in=7, num_latents=11, k=3), seed=2), odd)
    assert main(["doctor", "--match", str(saes[0]), str(odd)]) == 2
    assert "A and B must have the same width, not 6 and 7" in capsys.readouterr().err
    assert main(["doctor", "--match", str(saes[0]), "b", "c"]) == 2
    assert "expected LxD or two SAEs, got 3 words" in capsys.readouterr().err
