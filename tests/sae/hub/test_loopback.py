"""SAEs by name, from a Hub on loopback."""

import io
import json

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from twinsae.cli.main import main
from twinsae.matching import match_all, match_files
from twinsae.sae import SAE, SAEConfig, load_sae, save_sae
from twinsae.sae.hub import HubOptions, find_remote, locate, parse_name
from twinsae.sae.hub.ranges import BLOCK, RangeFile

REPO = "o/saes"


def make(seed: int) -> SAE:
    return SAE(SAEConfig(d_in=6, num_latents=11, k=3), seed=seed)


@pytest.fixture
def served(hub, tmp_path, monkeypatch):
    """Two seeds at a hookpoint, in a repository with much else."""
    for seed in (0, 1):
        folder = hub.root / REPO / "layers.6.mlp" / f"seed{seed}"
        save_sae(make(seed), folder)
        (folder / "optimizer.pt").write_bytes(b"x" * 100)
    (hub.root / REPO / "README.md").write_text("hello")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return hub


NAME = f"hf:{REPO}:layers.6.mlp/seed0"


def test_only_what_is_needed_is_downloaded_and_only_once(served):
    told = []
    found = locate(NAME, progress=lambda *call, **_: told.append(call))
    assert torch.equal(load_sae(found.path).W_dec, make(0).W_dec)
    assert found.facts == {"name": NAME, "repo": REPO, "commit": served.commit}
    files = ["layers.6.mlp/seed0/cfg.json", "layers.6.mlp/seed0/sae.safetensors"]
    assert served.downloaded() == files
    size = sum((served.root / REPO / file).stat().st_size for file in files)
    assert told[0] == ("download", 0, size, "bytes")
    assert told[-1] == ("download", size, size, "bytes")
    served.asked.clear()
    told.clear()
    assert torch.equal(load_sae(NAME).W_dec, make(0).W_dec)
    assert served.downloaded() == told == []


def test_the_size_is_known_before_the_download(served):
    options = HubOptions()
    remote = find_remote(parse_name(NAME), options)
    assert remote.size == remote.missing_size(options) > 500
    assert served.asked == []
    locate(NAME)
    assert remote.missing_size(options) == 0


def test_without_the_network_the_cache_answers(served):
    locate(NAME)
    served.close()
    offline = HubOptions(local_files_only=True)
    assert torch.equal(load_sae(locate(NAME, offline).path).W_dec, make(0).W_dec)
    by_commit = f"hf:{REPO}@{served.commit}:layers.6.mlp/seed0"
    assert locate(by_commit, offline).commit == served.commit
    with pytest.raises(FileNotFoundError, match=r"has no SAE '.*seed1'; SAEs in it: \S+/seed0$"):
        locate(f"hf:{REPO}:layers.6.mlp/seed1", offline)
    with pytest.raises(
        FileNotFoundError, match=r"^o/other@main is not in the local cache, and the"
    ):
        locate("hf:o/other:x", offline)
    with pytest.raises(OSError, match=r"^o/saes@main could not be read from the Hub: ") as told:
        locate(NAME)
    assert "\n" not in str(told.value)


def test_a_cut_download_goes_on_where_it_was(served, monkeypatch):
    big = torch.randn(1400, 2400)

    save_file({"W_dec": big}, served.root / REPO / "big.safetensors")
    monkeypatch.setattr("time.sleep", lambda _: None)
    served.cut_after = 11 * 2**20
    found = locate(f"hf:{REPO}:big.safetensors")
    assert found.path.read_bytes() == (served.root / REPO / "big.safetensors").read_bytes()
    parts = [part for method, _, part in served.asked if method == "GET"]
    assert parts[0] is None
    assert parts[1].startswith("bytes=10485760-")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (f"hf:{REPO}:layers.6.mlp/seed7", r"^o/saes has no SAE 'layers\.6\.mlp/seed7'; SAEs in it: "
         r"layers\.6\.mlp/seed0, layers\.6\.mlp/seed1$"),
        (f"hf:{REPO}", r"^o/saes has more than one SAE, or none, at its root; SAEs in it: "),
        ("hf:o/nothing:x", r"^the Hub has no repository o/nothing, or it is private: "),
        (f"hf:{REPO}@v2:layers.6.mlp", r"^o/saes has no revision 'v2'$"),
        ("hf:o/gated:x", r"^o/gated is gated: accept its licence on its page on the Hub, and log "),
    ],
)  # fmt: skip
def test_what_is_not_there_is_told_in_one_line(served, name, told):
    (served.root / "o" / "gated").mkdir()
    served.gated.add("o/gated")
    with pytest.raises(FileNotFoundError, match=told):
        locate(name)


def test_the_command_takes_names(served, tmp_path, capsys):
    words = ["match", NAME, f"hf:{REPO}:layers.6.mlp/seed1", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    assert "proved" in capsys.readouterr().out
    assert main(["convert", NAME, str(tmp_path / "new"), "--to", "saelens"]) == 0
    assert torch.equal(load_sae(tmp_path / "new").W_dec, make(0).W_dec)
    served.gated.add(REPO)
    assert main(words) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: o/saes is gated: accept its licence")
    assert err.count("\n") == 1


def test_a_repository_with_one_sae_needs_no_path(served):
    save_sae(make(5), served.root / "o" / "one" / "layers.3")
    assert torch.equal(load_sae("hf:o/one").W_dec, make(5).W_dec)
    assert torch.equal(SAE.from_pretrained("hf:o/one:layers.3").W_dec, make(5).W_dec)
    assert torch.equal(SAE.from_pretrained("o/one", "layers.3").W_dec, make(5).W_dec)
    with pytest.raises(ValueError, match="its hookpoint and revision are in the name already"):
        SAE.from_pretrained("hf:o/one:layers.3", "layers.3")


def test_names_are_matched_and_the_summary_tells_which_commit(served, tmp_path):
    other = f"hf:{REPO}:layers.6.mlp/seed1"
    summary = match_files(NAME, other, ["decoder"], tmp_path / "out")
    for letter, name in (("a", NAME), ("b", other)):
        facts = summary["inputs"][letter]
        assert (facts["name"], facts["repo"], facts["commit"]) == (name, REPO, served.commit)
        assert len(facts["sha256"]) == 64
    result = match_all([NAME, other], tmp_path / "all")
    assert [made["name"] for made in result["dictionaries"]] == ["seed0", "seed1"]
    written = json.loads((tmp_path / "all" / "seed0--seed1" / "summary.json").read_text())
    assert written["inputs"]["b"]["commit"] == served.commit


def test_a_repository_is_listed_without_its_weights(served, capsys):
    save_file(
        {"w_dec": torch.zeros(30, 8), "w_enc": torch.zeros(8, 30), "b_enc": torch.zeros(30)},
        (served.root / REPO / "params.safetensors"),
    )
    assert main(["list", f"hf:{REPO}"]) == 0
    out = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines()]
    rows = [row for row in rows if row]
    assert [row[:5] for row in rows] == [
        [".", "gemma_scope", "30", "8", "float32"],
        ["layers.6.mlp/seed0", "sparsify", "11", "6", "float32"],
        ["layers.6.mlp/seed1", "sparsify", "11", "6", "float32"],
    ]
    assert "3 SAEs" in out
    whole = [name for name in served.downloaded() if name.endswith(".safetensors")]
    assert whole == []
    assert main(["list", f"hf:{REPO}:layers.6.mlp/seed1"]) == 0
    assert "seed0" not in capsys.readouterr().out
    assert main(["list", f"hf:{REPO}:layers.7"]) == 2
    assert "has no SAE at or below 'layers.7'" in capsys.readouterr().err


def test_training_begins_with_a_name(served, tmp_path, capsys):
    x = torch.randn(64, 6, generator=torch.Generator().manual_seed(0))
    save_file({"x": x}, tmp_path / "x.safetensors")
    words = ["train", "--out", str(tmp_path / "run"), "--activations"]
    words += [str(tmp_path / "x.safetensors"), "--batch-size", "16", "--hookpoint", "h"]
    assert main([*words, "--start", NAME, "--seeds", "3", "--lr", "1e-12"]) == 0
    folder = tmp_path / "run" / "h" / "seed3"
    torch.testing.assert_close(load_sae(folder).W_dec, make(0).W_dec, atol=1e-6, rtol=0)
    facts = json.loads((folder / "cfg.json").read_text())["start"]
    assert (facts["name"], facts["commit"], len(facts["sha256"])) == (NAME, served.commit, 64)
    capsys.readouterr()
    for more, told in (
        (["--start", NAME], "seeds: with --start all become the same SAE: give one, such as"),
        (
            ["--start", NAME, "--seeds", "4", "--latents", "12"],
            "latents: the SAE to start with has 11, got 12",
        ),
        (["--start", NAME + "9", "--seeds", "4"], f"{REPO} has no SAE 'layers.6.mlp/seed09'; "),
    ):
        assert main([*words, *more]) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"error: {told}")
        assert err.count("\n") == 1
    torch.save(x[:, :5].clone(), tmp_path / "narrow.pt")
    words[words.index(str(tmp_path / "x.safetensors"))] = str(tmp_path / "narrow.pt")
    assert main([*words, "--start", NAME, "--seeds", "4"]) == 2
    err = capsys.readouterr().err
    assert err == "error: d_in: the SAE expects activations of width 6, these have 5\n"


def test_npz_and_pt_are_listed_by_parts(served, capsys):
    root = served.root / "o" / "mixed"
    p = {"W_enc": torch.zeros(50, 3000), "W_dec": torch.zeros(3000, 50), "b_enc": torch.zeros(3000)}
    p |= {"b_dec": torch.zeros(50)}
    arrays = {name: tensor.numpy() for name, tensor in p.items()}
    for folder, write in (("a", np.savez), ("b", np.savez_compressed)):
        (root / folder).mkdir(parents=True)
        write(root / folder / "params.npz", threshold=np.zeros(3000, np.float32), **arrays)
    torch.save({k: t.half() for k, t in p.items()}, root / "layer0.sae.pt")
    torch.save(p, root / "old.pt", _use_new_zipfile_serialization=False)
    assert main(["list", "hf:o/mixed"]) == 0
    out = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines()]
    assert [row[:5] for row in rows if row] == [
        ["a", "gemma_scope", "3,000", "50", "float32"],
        ["b", "gemma_scope", "3,000", "50", "float32"],
        ["layer0.sae.pt", "qwen_scope", "3,000", "50", "float16"],
        ["old.pt", "", "", "", ""],
    ]
    assert served.downloaded() == []
    parts = [(name, part) for _, name, part in served.asked if part]
    assert len(parts) == len(set(parts))  # no block is asked for twice
    for file in ("a/params.npz", "layer0.sae.pt"):
        assert sum(name == file for name, _ in parts) * BLOCK < (root / file).stat().st_size


def test_parts_of_a_file():
    content = np.random.default_rng(0).bytes(3 * BLOCK + 17)
    fetched = []

    def fetch(start, end):
        fetched.append((start, end))
        return content[start:end]

    file = io.BufferedReader(RangeFile(len(content), fetch, "x"), BLOCK)
    for start, length in ((len(content) - 22, 99), (5, 10), (BLOCK - 3, BLOCK + 9), (9, 0)):
        file.seek(start)
        assert file.read(length) == content[start : start + length]
    assert file.seek(-4, 2) == len(content) - 4
    assert file.read() == content[-4:]
    assert file.read() == b""
    assert len(fetched) == len(set(fetched)) == 4
    with pytest.raises(ValueError, match="x: there is no byte -1"):
        RangeFile(5, fetch, "x").seek(-1)


def test_a_header_without_end_is_refused():
    endless = RangeFile(2**40, lambda start, end: b"x" * (end - start), "x")
    with pytest.raises(ValueError, match=r"^x: its headers take over 16,777,216 bytes$"):
        io.BufferedReader(endless, BLOCK).read()
