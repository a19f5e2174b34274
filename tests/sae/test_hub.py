"""`SAE.from_pretrained` on folders, files and a local Hub cache."""

import huggingface_hub
import pytest
import torch
from twinsae.sae import SAE, SAEConfig, hub, save_sae
from twinsae.sae.formats.registry import FORMATS

REPO = "EleutherAI/sae-pythia-160m-32k"
COMMIT = "a" * 40


def make(seed):
    return SAE(SAEConfig(d_in=5, num_latents=7, k=2), seed=seed)


@pytest.fixture
def cache(tmp_path):
    """What the Hub's client would have left of a repository with two hookpoints."""
    repo = tmp_path / ("models--" + REPO.replace("/", "--"))
    snapshot = repo / "snapshots" / COMMIT
    save_sae(make(0), snapshot / "layers.6.mlp")
    save_sae(make(1), snapshot / "k32" / "layers.6" / "seed1")
    FORMATS["arrays"].save(make(2).stored(), snapshot / "alone.pt")
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(COMMIT)
    return tmp_path


@pytest.mark.parametrize(
    ("hookpoint", "seed"), [("layers.6.mlp", 0), ("k32/layers.6/seed1", 1), ("alone.pt", 2)]
)
def test_an_sae_of_the_hub_comes_from_its_cache(cache, hookpoint, seed):
    sae = SAE.from_pretrained(REPO, hookpoint, cache_dir=cache, local_files_only=True)
    assert torch.equal(sae.W_dec, make(seed).W_dec)
    sae = SAE.from_pretrained(
        REPO, hookpoint, revision=COMMIT, cache_dir=cache, local_files_only=True
    )
    assert torch.equal(sae.W_dec, make(seed).W_dec)


def test_a_folder_is_taken_before_a_repository(cache):
    root = cache / ("models--" + REPO.replace("/", "--")) / "snapshots" / COMMIT
    assert torch.equal(SAE.from_pretrained(root, "layers.6.mlp").W_dec, make(0).W_dec)
    assert torch.equal(SAE.from_pretrained(root / "layers.6.mlp").W_dec, make(0).W_dec)


def test_a_missing_hookpoint_is_told_with_those_that_are_there(cache):
    options = {"cache_dir": cache, "local_files_only": True}
    with pytest.raises(FileNotFoundError, match=r"'layers\.7'; SAEs in it: k32.*, layers\.6\.mlp"):
        SAE.from_pretrained(REPO, "layers.7", **options)
    with pytest.raises(FileNotFoundError, match=r"SAEs below it: k32.*, layers\.6\.mlp"):
        SAE.from_pretrained(REPO, **options)


def test_what_is_neither_a_path_nor_on_the_hub_is_told(cache):
    for name in ("nobody/nothing", "not/a/repository"):
        with pytest.raises(FileNotFoundError, match=f"'{name}' is neither a path nor on the Hub: "):
            SAE.from_pretrained(name, "h.0", cache_dir=cache, local_files_only=True)


@pytest.mark.parametrize(
    ("hookpoint", "expected"),
    [
        (None, ["cfg.json", "sae.safetensors"]),
        ("h.0", ["h.0/cfg.json", "h.0/sae.safetensors"]),
        ("h.0/seed1", ["h.0/seed1/cfg.json"]),
        ("6.pt", ["6.pt"]),
    ],
)
def test_nothing_but_the_one_sae_is_downloaded(tmp_path, monkeypatch, hookpoint, expected):
    files = ["cfg.json", "sae.safetensors", "h.0/cfg.json", "h.0/sae.safetensors", "6.pt"]
    files += ["h.0/seed1/cfg.json", "h.01/cfg.json"]
    asked = {}

    def snapshot_download(repo, *, allow_patterns=None, ignore_patterns, **options):
        assert (repo, options) == (REPO, {"token": None})
        filtered = huggingface_hub.utils.filter_repo_objects(
            files, allow_patterns=allow_patterns, ignore_patterns=ignore_patterns
        )
        asked["files"] = sorted(filtered)
        for name in asked["files"]:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    found = hub.locate(REPO, hookpoint, token=None)
    assert found == (tmp_path / hookpoint if hookpoint else tmp_path)
    assert [name for name in asked["files"] if name != "6.pt" or hookpoint] == expected


def test_without_the_client_it_is_named(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(hub, "import_module", missing)
    with pytest.raises(ImportError, match=r"is no path; .* pip install 'twinsae\[hub\]'"):
        SAE.from_pretrained(REPO, "h.0")
