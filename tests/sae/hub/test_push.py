"""SAEs pushed to a Hub on loopback, and read back."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import constants
from twinsae.sae import SAE, SAEConfig, TrainConfig, load_sae, save_sae, train
from twinsae.sae.activations import open_activations
from twinsae.sae.hub import upload
from twinsae.sae.hub.card import MARK
from twinsae.sae.push import push_to_hub, without_paths

REPO = "me/saes"


def make(seed: int) -> SAE:
    return SAE(SAEConfig(d_in=6, num_latents=11, k=3), seed=seed)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """The folder of a training run of two seeds, with what else lies in such folders."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    x = torch.randn(64, 6, generator=torch.Generator().manual_seed(0))
    torch.save(x, folder.with_name("x.pt"))
    settings = TrainConfig(seeds=(0, 1), batch_size=16, epochs=2, lr=1e-3)
    store = open_activations(folder.with_name("x.pt"))
    train(store, folder, "h.3", make(0).config, settings)
    (folder / "h.3" / "seed1" / "notes.txt").write_text("mine")
    return folder


def remote(server, path: str = "", repo: str = REPO) -> Path:
    return server.root / repo / path


def test_what_was_pushed_is_read_back_to_the_bit(server):
    sae = make(4)
    assert sae.push_to_hub(REPO) == f"{server.url}/{REPO}"
    assert server.private == {REPO: True}
    assert server.commits == [["README.md", "cfg.json", "sae.safetensors"]]
    for found in (SAE.from_pretrained(REPO), load_sae(f"hf:{REPO}")):
        assert found.config == sae.config
        assert torch.equal(found.W_dec, sae.W_dec)
        assert torch.equal(found.encoder.weight, sae.encoder.weight)
    head = yaml.safe_load(remote(server, "README.md").read_text().split("---\n")[1])
    assert head["library_name"] == "twinsae"
    # Nothing is new: nothing is sent. Then one thing is.
    sae.push_to_hub(REPO)
    assert (len(server.commits), len(server.uploaded)) == (1, 1)
    make(5).push_to_hub(REPO)
    assert server.commits[1:] == [["sae.safetensors"]]
    assert torch.equal(SAE.from_pretrained(REPO).W_dec, make(5).W_dec)


def test_a_run_is_pushed_without_its_checkpoints(server, run):
    said = []
    push_to_hub(run / "h.3", REPO, license="mit", model="o/gpt", text="hf:o/text", say=said.append)
    (pushed,) = server.commits
    of_each = ("cfg.json", "latents.safetensors", "sae.safetensors")
    folders = [f"seed{seed}/{name}" for seed in (0, 1) for name in of_each]
    assert sorted(pushed) == sorted(["README.md", "log.jsonl", *folders])
    assert said[0] == "me/saes is new, and will be private"
    size = (run / "h.3/seed0/sae.safetensors").stat().st_size
    assert f"  seed0/sae.safetensors  {size:,} bytes" in said
    left = [line for line in said if line.startswith("left out: 3 files, ")]
    assert left[0].endswith(
        ": seed0/checkpoint.safetensors, seed1/checkpoint.safetensors, seed1/notes.txt"
    )
    for seed in (0, 1):
        found = load_sae(f"hf:{REPO}:seed{seed}")
        assert torch.equal(found.W_dec, load_sae(run / f"h.3/seed{seed}").W_dec)
    card = remote(server, "README.md").read_text()
    head = yaml.safe_load(card.split("---\n")[1])
    assert (head["base_model"], head["datasets"], head["license"]) == ("o/gpt", ["o/text"], "mit")
    last = json.loads((run / "log.jsonl").read_text().splitlines()[-2])
    assert (last["sae"], last["step"]) == ("h.3/seed0", 8)
    for line in (
        "# Sparse autoencoders of `h.3`",
        "| model | `o/gpt` |",
        "| text | `o/text` |",
        "| latents | 11 |",
        "| active latents, k | 3 |",
        "| tokens seen | 128 |",
        "| optimizer | adam, learning rate 0.001 |",
        "| `seed1` | 1 |",
        "measured on the last batch of training.",
    ):
        assert line in card
    assert f"| `seed0` | {last['fvu']:.4f} | {last['l0']:.1f} | 0.0 % |" in card
    assert str(run) not in card
    lines = remote(server, "log.jsonl").read_text().splitlines()
    logged = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    ordered = sorted(logged, key=lambda record: record["seed"])
    assert [json.loads(line) for line in lines] == [
        record | {"sae": f"seed{record['seed']}"} for record in ordered
    ]


def test_several_folders_keep_the_paths_that_tell_them_apart(server, tmp_path):
    for name in ("a/x/seed0", "a/x/seed1", "b/x/seed0"):
        save_sae(make(int(name[-1])), tmp_path / name)
    push_to_hub([tmp_path / "a/x", tmp_path / "b/x/seed0"], REPO)
    places = [path for path in server.commits[0] if path.endswith("cfg.json")]
    assert places == ["a/x/seed0/cfg.json", "a/x/seed1/cfg.json", "b/x/seed0/cfg.json"]


def test_a_public_repository_is_only_pushed_to_on_purpose(server):
    make(0).push_to_hub(REPO, public=True)
    assert server.private == {REPO: False}
    with pytest.raises(ValueError, match=r"^me/saes is public, so what is pushed would be: allow"):
        make(1).push_to_hub(REPO)
    assert len(server.commits) == 1
    make(1).push_to_hub(REPO, public=True)
    assert len(server.commits) == 2


def test_a_private_repository_stays_private(server, tmp_path):
    make(0).push_to_hub(REPO)
    save_sae(make(1), tmp_path / "sae")
    said = []
    push_to_hub(tmp_path / "sae", REPO, public=True, say=said.append)
    assert said[0] == (
        "me/saes is there, is private and stays so: its page on the Hub can make it public"
    )
    assert server.private == {REPO: True}


def test_a_card_that_somebody_wrote_is_kept(server, tmp_path):
    save_sae(make(0), tmp_path / "sae")
    (tmp_path / "sae" / "README.md").write_text("mine")
    said = []
    push_to_hub(tmp_path / "sae", REPO, say=said.append)
    assert remote(server, "README.md").read_text() == "mine"
    assert said[-1] == "card: your own README.md; --new-card pushes ours in its place"
    make(1).push_to_hub(REPO)  # without one of its own: that on the Hub stays
    assert remote(server, "README.md").read_text() == "mine"
    assert server.commits[-1] == ["sae.safetensors"]
    push_to_hub(tmp_path / "sae", REPO, new_card=True)
    assert remote(server, "README.md").read_text().endswith(f"{MARK}\n")
    assert (tmp_path / "sae" / "README.md").read_text() == "mine"


def test_what_arrived_before_a_cut_is_not_sent_again(server, tmp_path):
    for seed in range(2):
        save_sae(make(seed), tmp_path / f"seed{seed}")
    server.failing["/commit/"] = (503, {})
    with pytest.raises(OSError, match=r"^the Hub fails \(HTTP 503\): push again later; what arriv"):
        push_to_hub(tmp_path, REPO)
    assert (len(server.uploaded), server.commits) == (2, [])
    server.failing.clear()
    push_to_hub(tmp_path, REPO)
    assert (len(server.uploaded), len(server.commits)) == (2, 1)
    assert torch.equal(load_sae(f"hf:{REPO}:seed1").W_dec, make(1).W_dec)


def test_a_cut_connection_is_told_and_can_be_repeated(server):
    server.cut_upload = True
    with pytest.raises(OSError, match=r"^me/saes could not be pushed: ") as told:
        make(0).push_to_hub(REPO)
    assert "\n" not in str(told.value)
    server.cut_upload = False
    make(0).push_to_hub(REPO)
    assert torch.equal(SAE.from_pretrained(REPO).W_dec, make(0).W_dec)


@pytest.mark.parametrize(
    ("status", "part", "told"),
    [
        (401, "/create", r"^the Hub does not accept the token: log in again by `hf auth login`"),
        (403, "/create", r"^the token may not write to me/saes: look at the owner's name and "),
        (404, "/commit/", r"^the Hub has no repository me/saes that the token may write to$"),
        (409, "/commit/", r"^me/saes is being changed by somebody else: push again$"),
        (412, "/commit/", r"^me/saes was changed by somebody else meanwhile: push again$"),
        (418, "/commit/", r"^me/saes could not be pushed: teapot, <token>; what arrived is not "),
        (429, "/api/models", r"^the Hub was asked too often: wait a while and push again$"),
        (500, "/objects/batch", r"^the Hub fails \(HTTP 500\): push again later; what arrived"),
    ],
)  # fmt: skip
def test_a_failure_is_one_line_without_the_token(server, status, part, told):
    server.failing[part] = (status, {"X-Error-Message": f"teapot,\t{server.token}"})
    with pytest.raises(OSError, match=told) as error:
        make(0).push_to_hub(REPO)
    assert "\n" not in str(error.value)
    assert server.token not in str(error.value)


def test_what_is_wrong_before_the_hub_is_asked(server, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"^expected a repository OWNER/NAME, got 'saes'$"):
        make(0).push_to_hub("saes")
    with pytest.raises(ValueError, match=r"^'me/a--b' cannot be a repository: "):
        make(0).push_to_hub("me/a--b")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"empty is no SAE folder: it has no "):
        push_to_hub(tmp_path / "empty", REPO)
    save_sae(make(0), tmp_path / "sae")
    with pytest.raises(ValueError, match=r'^me/saes: Invalid .*- "license" must be one of \[mit'):
        push_to_hub(tmp_path / "sae", REPO, license="nonsense")
    assert server.uploaded == []
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    for token in (None, False):
        with pytest.raises(PermissionError, match=r"^pushing needs a token: log in by `hf auth"):
            make(0).push_to_hub(REPO, token=token)
    server.close()
    with pytest.raises(OSError, match=r"^me/saes could not be pushed: .*[Cc]onnect") as told:
        make(0).push_to_hub(REPO, token="hf_x")
    assert "\n" not in str(told.value)


@pytest.mark.usefixtures("server")
def test_another_token_is_refused():
    with pytest.raises(OSError, match=r"^the Hub does not accept the token: log in again by"):
        make(0).push_to_hub(REPO, token="hf_wrong")


def test_many_files_go_in_several_commits_the_card_first(server):
    make(0).push_to_hub(REPO)
    files = {f"{number}.json": b"%d" % number for number in range(150)} | {"README.md": b"x"}
    upload.commit(REPO, "model", files, "many", upload.HubOptions())
    assert [len(paths) for paths in server.commits[1:]] == [100, 51]
    assert server.commits[1][0] == "README.md"
    assert remote(server, "149.json").read_bytes() == b"149"


def test_a_pushed_file_tells_no_path(server, tmp_path):
    save_sae(make(0), tmp_path / "sae")
    facts = json.loads((tmp_path / "sae" / "cfg.json").read_text())
    (tmp_path / "sae" / "cfg.json").write_text(
        json.dumps(facts | {"start": {"path": "/home/me/a/b"}})
    )
    push_to_hub(tmp_path / "sae", REPO)
    assert json.loads(remote(server, "cfg.json").read_text())["start"] == {"path": "a/b"}


def test_paths_become_names():
    text = '{"a": "/home/me/runs/x/seed0", "b": "C:\\\\Users\\\\me\\\\x", "c": "not / a path"}'
    assert without_paths(text) == '{"a": "x/seed0", "b": "me/x", "c": "not / a path"}'
    assert without_paths('["hf:o/r", "/"]') == '["hf:o/r", ""]'
