"""`SAE.from_pretrained` on folders, files and a local Hub cache."""

import pytest
import torch
from twinsae.sae import SAE, SAEConfig, save_sae
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
    with pytest.raises(FileNotFoundError, match=r"'layers\.7'; SAEs in it: .*, layers\.6\.mlp$"):
        SAE.from_pretrained(REPO, "layers.7", **options)
    with pytest.raises(
        FileNotFoundError, match=r"has no SAE 'k32'; SAEs in it: k32/layers\.6/seed1$"
    ):
        SAE.from_pretrained(REPO, "k32", **options)
    assert torch.equal(SAE.from_pretrained(REPO, **options).W_dec, make(2).W_dec)  # alone.pt
    root = cache / ("models--" + REPO.replace("/", "--")) / "snapshots" / COMMIT
    with pytest.raises(FileNotFoundError, match=r"has no 'layers\.7'; SAEs in it: k32.*layers\.6"):
        SAE.from_pretrained(root, "layers.7")


def test_what_is_neither_a_path_nor_on_the_hub_is_told(cache):
    with pytest.raises(FileNotFoundError, match=r"^nobody/nothing@main is not in the local cache"):
        SAE.from_pretrained("nobody/nothing", "h.0", cache_dir=cache, local_files_only=True)
    with pytest.raises(FileNotFoundError, match=r"^'not/a/repository' is neither a path nor OWNER"):
        SAE.from_pretrained("not/a/repository", "h.0", cache_dir=cache, local_files_only=True)
