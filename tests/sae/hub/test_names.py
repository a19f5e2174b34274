"""Names of SAEs on the Hub, and SAELens' registry."""

import pytest
from twinsae.sae.hub import HubName, is_name, parse_name
from twinsae.sae.hub.saelens_names import table
from twinsae.sae.names import distinct_names


@pytest.mark.parametrize(
    ("text", "repo", "revision", "path"),
    [
        ("hf:o/r:layers.6.mlp", "o/r", None, "layers.6.mlp"),
        ("hf:o/r@v1.2:a/b/c.pt", "o/r", "v1.2", "a/b/c.pt"),
        ("hf:o/r@refs/pr/1:a", "o/r", "refs/pr/1", "a"),
        ("hf:t/gpt2:group_24576:v1", "t/gpt2", None, "group_24576:v1"),
        ("hf:o/r", "o/r", None, ""),
        ("hf:o/r:a/", "o/r", None, "a"),
        ("hf:Qwen/SAE-Qwen3-1.7B:layer0.sae.pt", "Qwen/SAE-Qwen3-1.7B", None, "layer0.sae.pt"),
    ],
)  # fmt: skip
def test_a_name_of_the_hub(text, repo, revision, path):
    assert parse_name(text) == HubName(text, repo, revision, path)


@pytest.mark.parametrize(
    "text", ["hf:r:a", "hf:", "hf:o/r/x:a", "hf:o/r@:a", "hf:o/r:a/../b", "hf::a"]
)
def test_a_wrong_name(text):
    with pytest.raises(ValueError, match=r"^expected hf:OWNER/REPO\[@REVISION\]:PATH, got 'hf:"):
        parse_name(text)


def test_a_prefix_is_never_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hf:o").mkdir()
    assert is_name("hf:o/r")
    assert is_name("saelens:x")
    assert not is_name(tmp_path / "hf:o")
    assert not is_name("runs/hf:o")


def test_names_of_the_registry():
    name = parse_name("saelens:gemma-scope-2b-pt-res-canonical/layer_12/width_16k/canonical")
    assert (name.repo, name.path) == (
        "google/gemma-scope-2b-pt-res", "layer_12/width_16k/average_l0_82",
    )  # fmt: skip
    assert (name.overrides, name.scaling, name.revision) == ({}, None, None)
    scaled = parse_name("saelens:gpt2-small-mlp-tm/blocks.0.hook_mlp_out")
    assert scaled.scaling == pytest.approx(1.0493, abs=1e-4)
    mistral = parse_name("saelens:mistral-7b-res-wg/blocks.8.hook_resid_pre")
    assert mistral.overrides == {"normalize_activations": "constant_norm_rescale"}


def test_a_name_that_the_registry_has_not():
    with pytest.raises(ValueError, match=r"^saelens: there is no release 'gpt2-small-mlp-tn'; the "
                       r"nearest are gpt2-small-mlp-tm"):  # fmt: skip
        parse_name("saelens:gpt2-small-mlp-tn/blocks.0.hook_mlp_out")
    with pytest.raises(ValueError, match=r"has no SAE 'blocks\.12\.hook_mlp_out'; the nearest are "
                       r"blocks\.\d+\.hook_mlp_out"):  # fmt: skip
        parse_name("saelens:gpt2-small-mlp-tm/blocks.12.hook_mlp_out")
    with pytest.raises(ValueError, match=r"has no SAE 'zzz'; it has 12, such as blocks"):
        parse_name("saelens:gpt2-small-mlp-tm/zzz")
    with pytest.raises(ValueError, match=r"^expected saelens:RELEASE/ID, got 'saelens:x'"):
        parse_name("saelens:x")


def test_the_table_is_whole_and_says_whose_it_is():
    found = table()
    assert "MIT License" in found["notice"]
    assert "Copyright" in found["notice"]
    assert sum(len(release["saes"]) for release in found["releases"].values()) > 13_000


def test_saes_are_called_by_what_tells_their_names_apart():
    same = [f"hf:E/sae_overlap:k32-sae-mlp-32k-seed{n}/layers.6.mlp" for n in (2, 3)]
    assert distinct_names(same) == ["k32-sae-mlp-32k-seed2", "k32-sae-mlp-32k-seed3"]
    other = "hf:E/sae-pythia-160m-32k:layers.6.mlp"
    assert distinct_names([same[0], other]) == ["k32-sae-mlp-32k-seed2", "sae-pythia-160m-32k"]
    assert distinct_names(["hf:o/r@a:x", "hf:o/r@b:x"]) == ["a", "b"]
