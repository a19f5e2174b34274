"""`twinsae push`: SAEs with what was matched, and reports, to a Hub on loopback."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from twinsae.cli.main import main
from twinsae.matching import match_all, match_files
from twinsae.matching.push import push_report_to_hub, shared_latents
from twinsae.sae import SAE, SAEConfig, TrainConfig, load_sae, save_sae, train
from twinsae.sae.activations import open_activations

REPO = "me/saes"
REPORT = (
    "index.html",
    "latents.html",
    "static/app.js",
    "figures/thresholds.svg",
    "data/manifest.js",
    "data/corpus-0.js",
    "data/sae0/contexts-12.js",
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A run of two seeds whose SAEs are matched, with files in place of a report of it."""
    run = tmp_path_factory.mktemp("runs") / "run"
    x = torch.randn(256, 6, generator=torch.Generator().manual_seed(0))
    torch.save(x, run.with_name("x.pt"))
    settings = TrainConfig(seeds=(0, 1), batch_size=64)
    store = open_activations(run.with_name("x.pt"))
    train(store, run, "h.3", SAEConfig(d_in=6, num_latents=11, k=3), settings)
    match_all([run / "h.3" / f"seed{seed}" for seed in (0, 1)], run / "matches")
    for name in REPORT:
        file = run / "matches/report" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"<title>a &amp;\n b</title><a href='../x'>{name}</a>")
    return run


@pytest.fixture
def run(trained, server, tmp_path) -> Path:
    """The same for one test, and a Hub to push to."""
    assert server.commits == []
    (tmp_path / "run").symlink_to(trained)
    return tmp_path / "run"


def test_the_card_says_what_was_matched(run, server, capsys):
    words = ["push", str(run / "h.3"), "--to", REPO, "--license", "mit"]
    assert main(words) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "me/saes is new, and will be private"
    assert "card: 1 matched pair" in out
    assert out[-1] == f"pushed: {server.url}/{REPO}"
    card = (server.root / REPO / "README.md").read_text()
    (pair,) = json.loads((run / "matches/seeds.json").read_text())["pairs"]
    share = f"{100 * pair['criteria']['and']:.1f} %"
    assert f"| `seed0` | `seed1` | {share} | yes |" in card
    assert "@article{paulo2025sparse" in card
    assert "twinsae match hf:me/saes:seed0 hf:me/saes:seed1 --out match" in card
    assert main(words) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[:2] == [
        "me/saes is there, and is private",
        "to push: 0 files, 0 bytes; there already: 8 files",
    ]
    assert len(server.commits) == 1


def test_what_was_pushed_is_matched_by_name(run, server, tmp_path):
    assert main(["push", str(run / "h.3"), "--to", REPO]) == 0
    a, b = f"hf:{REPO}:seed0", f"hf:{REPO}:seed1"
    summary = match_files(a, b, ["decoder", "encoder"], tmp_path / "again")
    (pair,) = json.loads((run / "matches/seeds.json").read_text())["pairs"]
    assert summary["overlap"]["criteria"] == pair["criteria"]
    assert summary["inputs"]["a"]["commit"] == server.commit


def test_pairs_of_other_saes_are_not_on_the_card(run, server, tmp_path, capsys):
    save_sae(SAE(SAEConfig(d_in=6, num_latents=11, k=3), seed=9), tmp_path / "other")
    words = ["push", str(tmp_path / "other"), "--to", REPO, "--matches", str(run / "matches")]
    assert main(words) == 0
    assert "card: 0 matched pairs" in capsys.readouterr().out
    assert "## Shared latents" not in (server.root / REPO / "README.md").read_text()


def test_one_match_is_read_too(run, tmp_path):
    folders = [run / "h.3" / f"seed{seed}" for seed in (0, 1)]
    summary = match_files(*folders, ["decoder"], tmp_path / "one")
    shared = shared_latents(tmp_path / "one")
    (pair,) = shared.pairs
    assert (shared.criterion, shared.threshold, shared.absolute) == ("decoder", 0.7, False)
    assert pair.share == summary["overlap"]["criteria"]["decoder"]
    assert pair[:2] == ("seed0", "seed1")
    assert pair.sha256 == tuple(summary["inputs"][letter]["sha256"] for letter in ("a", "b"))


def test_an_evaluation_is_told_before_the_log(run, server, tmp_path, capsys):
    file = tmp_path / "evaluation.json"
    words = ["evaluate", str(run / "h.3/seed0"), "--activations", str(run.parent / "x.pt")]
    x = torch.randn(100, 6, generator=torch.Generator().manual_seed(1))
    torch.save(x, tmp_path / "x.pt")
    assert main([*words, "--out", str(file)]) == 0
    measured = json.loads(file.read_text())["saes"]["seed0"]["measured"]
    words = ["push", str(run / "h.3"), "--to", REPO, "--evaluation", str(file)]
    assert main(words) == 0
    card = (server.root / REPO / "README.md").read_text()
    dead = f"{100 * measured['dead']:.1f} %"
    assert f"| `seed0` | {measured['fvu']:.4f} | {measured['l0']:.1f} | {dead} |" in card
    assert "on 100 tokens of the activations `x.pt`; or the last batch of training." in card
    save_sae(load_sae(run / "h.3/seed0"), tmp_path / "copy")
    capsys.readouterr()
    assert main(["push", str(tmp_path / "copy"), *words[2:]]) == 2
    err = capsys.readouterr().err
    assert err == "error: evaluation: it has none of the SAEs that are pushed\n"


def test_a_report_becomes_a_space_that_shows_it(run, server, capsys):
    words = ["push", str(run / "matches"), "--to", "me/report"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "left out" not in out
    assert "1 link to other reports, which are not pushed with it, will lead nowhere" in out
    assert "the report holds text that the latents fire on: is it yours to show?" in out
    root, report = server.root / "spaces/me/report", run / "matches/report"
    pushed = {path.relative_to(root) for path in root.rglob("*") if path.is_file()}
    written = {path.relative_to(report) for path in report.rglob("*") if path.is_file()}
    assert pushed == written | {Path("README.md")}
    for name in written:
        assert (root / name).read_bytes() == (report / name).read_bytes()
    card = (root / "README.md").read_text()
    head = yaml.safe_load(card.split("---\n")[1])
    assert (head["sdk"], head["app_file"], head["title"]) == ("static", "index.html", "a & b")
    assert "| `seed0` | `seed1` | " in card
    assert server.private == {"spaces/me/report": True}
    # The folder itself is the same report; stray files and outer links are told.
    (report / "notes.txt").write_text("mine")
    capsys.readouterr()
    page = push_report_to_hub(report, "me/report")
    assert page == f"{server.url}/spaces/me/report"
    assert main(["push", str(report), *words[2:]]) == 0
    assert "left out: 1 file, 4 bytes: notes.txt" in capsys.readouterr().out
    assert len(server.commits) == 1
    (report / "notes.txt").unlink()


def test_the_card_that_the_hub_gives_a_new_space_is_replaced(run, server):
    root = server.root / "spaces/me/report"
    root.mkdir(parents=True)
    server.private["spaces/me/report"] = True
    (root / "README.md").write_text("See huggingface.co/docs/hub/spaces-config-reference")
    push_report_to_hub(run / "matches", "me/report")
    assert "app_file" in (root / "README.md").read_text()


def test_wrong_words_are_one_line(run, server, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    report, saes = str(run / "matches/report"), str(run / "h.3")
    for words, told in (
        ([str(tmp_path / "empty"), "--to", REPO], "DIR: no SAE and no report in "),
        (["hf:o/r:x", "--to", REPO], "DIR: hf:o/r:x does not exist"),
        ([saes, report, "--to", REPO], f"{report} is a report: push it alone, to a Space of "),
        ([report, "--to", REPO, "--model", "o/m"], f"model: only for SAEs, and {report} is a "),
        ([saes, "--to", "saes"], "expected a repository OWNER/NAME, got 'saes'"),
    ):
        assert main(["push", *words]) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"error: {told}"), err
        assert err.count("\n") == 1
    server.failing["/commit/"] = (403, {"X-Error-Message": f"no, {server.token}"})
    assert main(["push", saes, "--to", REPO]) == 2
    assert len(server.uploaded) == 4  # the client draws no bars of it
    out, err = capsys.readouterr()
    assert err.startswith("error: the token may not write to me/saes: look at the owner's name")
    assert err.count("\n") == 1
    assert server.token not in out + err
