"""Which files of a repository or folder make an SAE."""

import pytest
from twinsae.sae.formats.layouts import sae_files, sae_places
from twinsae.sae.formats.paths import weight_file

# Layouts as published: files of the repository, the place asked for, what is read of it.
LAYOUTS = {
    "sparsify": (
        ["README.md", "h.0/cfg.json", "h.0/sae.safetensors", "h.0/seed1/cfg.json", "h.01/cfg.json"],
        "h.0", ["h.0/cfg.json", "h.0/sae.safetensors"],
    ),
    "saelens": (
        ["b/cfg.json", "b/sae_weights.safetensors", "b/sparsity.safetensors", "b/log_sparsity.pt"],
        "b", ["b/cfg.json", "b/sae_weights.safetensors"],
    ),
    "saelens checkpoint": (
        ["b/cfg.json", "b/sae_weights.safetensors", "b/activation_scaler.json"],
        "b", ["b/activation_scaler.json", "b/cfg.json", "b/sae_weights.safetensors"],
    ),
    "dictionary_learning": (
        ["t/ae.pt", "t/config.json", "t/eval_results.json", "t/checkpoints/ae_5.pt"],
        "t", ["t/ae.pt", "t/config.json"],
    ),
    "its file alone": (["t/ae.pt", "t/config.json"], "t/ae.pt", ["t/ae.pt", "t/config.json"]),
    "gemma scope": (["l/w/params.npz", "l/v/params.npz"], "l/w", ["l/w/params.npz"]),
    "gemma scope 2": (
        ["r/a/params.safetensors", "r/a/config.json", "r/config.json"],
        "r/a", ["r/a/config.json", "r/a/params.safetensors"],
    ),
    "crosscoder": (
        ["c/params_layer_0.safetensors", "c/params_layer_1.safetensors", "c/config.json"],
        "c", ["c/config.json", "c/params_layer_0.safetensors", "c/params_layer_1.safetensors"],
    ),
    "qwen scope": (
        ["config.json", "layer0.sae.pt", "layer1.sae.pt", "README.md"],
        "layer1.sae.pt", ["config.json", "layer1.sae.pt"],
    ),
    "circuit-tracer": (
        ["config.yaml", "wanb-config.yaml", "layer_0.safetensors", "features/layer_0.bin"],
        "layer_0.safetensors", ["config.yaml", "layer_0.safetensors", "wanb-config.yaml"],
    ),
    "llama scope": (
        ["L15R/hyperparams.json", "L15R/checkpoints/final.safetensors", "L15R/lm_config.json"],
        "L15R", ["L15R/checkpoints/final.safetensors", "L15R/hyperparams.json"],
    ),
    "llama scope's file": (
        ["L15R/hyperparams.json", "L15R/checkpoints/final.safetensors"],
        "L15R/checkpoints/final.safetensors",
        ["L15R/checkpoints/final.safetensors", "L15R/hyperparams.json"],
    ),
    "goodfire": (["README.md", "Llama-SAE-l19.pth"], "", ["Llama-SAE-l19.pth"]),
    "ckkissane": (
        ["L0_z.pt", "L0_z_cfg.json", "L1_z.pt", "L1_z_cfg.json"],
        "L1_z.pt", ["L1_z.pt", "L1_z_cfg.json"],
    ),
    "mlsae": (["model.safetensors", "config.json"], "", ["config.json", "model.safetensors"]),
    "sharded": (
        ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
         "model.safetensors.index.json", "config.json"],
        "", ["config.json", "model-00001-of-00002.safetensors",
             "model-00002-of-00002.safetensors", "model.safetensors.index.json"],
    ),
    "nothing there": (["h.0/cfg.json", "h.0/sae.safetensors"], "h.1", []),
    "a folder of several": (["a.pt", "b.pt"], "", []),
    "a name that begins another": (["h.0/cfg.json", "h.01/sae.safetensors"], "h.0", []),
    "states of training": (["r/optimizer.pt", "r/lr_scheduler.pt", "r/state.pt"], "r", []),
}  # fmt: skip


@pytest.mark.parametrize(("tree", "path", "expected"), LAYOUTS.values(), ids=LAYOUTS)
def test_files_of_one_sae(tree, path, expected):
    found = sae_files(tree, path)
    assert (found.files if found else []) == expected


@pytest.mark.parametrize(
    ("tree", "path"),
    [(tree, path) for tree, path, expected in LAYOUTS.values() if expected],
    ids=[name for name, (_, _, expected) in LAYOUTS.items() if expected],
)
def test_each_sae_has_a_place(tree, path):
    places = sae_places(tree)
    folder = path.removesuffix("/checkpoints/final.safetensors").removesuffix("/ae.pt")
    assert folder in places or (not path and len(places) == 1)
    assert all(sae_files(tree, place) for place in places)


@pytest.mark.parametrize(
    ("tree", "path"),
    [(tree, path) for tree, path, expected in LAYOUTS.values() if expected],
    ids=[name for name, (_, _, expected) in LAYOUTS.items() if expected],
)
def test_what_is_downloaded_is_what_is_read(tree, path, tmp_path):
    found = sae_files(tree, path)
    for file in found.files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    place = tmp_path / found.place
    if path == "c":
        with pytest.raises(ValueError, match=r"c holds 2 layers: name one file, such as .*_0\.saf"):
            weight_file(place)
    else:
        assert str(weight_file(place).relative_to(tmp_path)) in found.files


def test_of_two_layouts_in_a_folder_one_is_taken(tmp_path):
    tree = ["sae.safetensors", "cfg.json", "sae_weights.safetensors", "model.safetensors"]
    for file in tree:
        (tmp_path / file).touch()
    assert sae_files(tree, "").files == ["cfg.json", "sae_weights.safetensors"]
    assert weight_file(tmp_path).name == "sae_weights.safetensors"


def test_places_below_a_prefix():
    tree = ["a/x/sae.safetensors", "a/y/ae.pt", "ab/sae.safetensors", "5.pt", "a/optimizer.pt"]
    assert sae_places(tree) == ["5.pt", "a/x", "a/y", "ab"]
    assert sae_places(tree, "a") == ["a/x", "a/y"]
    assert sae_places(tree, "a/x") == ["a/x"]
    assert (
        sae_places(["features/0.safetensors", "sparsity.safetensors", "latents.safetensors"]) == []
    )
