"""What the folder of a training run tells of an SAE, for a card."""

import json

import pytest
import torch
from twinsae.sae import SAEConfig, TrainConfig, train
from twinsae.sae.activations import open_activations
from twinsae.sae.hub.card import Quality, shape_facts
from twinsae.sae.run_facts import Given, read_evaluation, run_facts, short_name, text_name


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("facts")
    x = torch.randn(64, 6, generator=torch.Generator().manual_seed(0))
    torch.save(x, folder / "x.pt")
    settings = TrainConfig(seeds=(3,), batch_size=16, epochs=2, betas=(0.8, 0.99), lr=1e-3)
    shape = SAEConfig(d_in=6, num_latents=11, k=3)
    train(open_activations(folder / "x.pt"), folder / "run", "h.3", shape, settings)
    return folder / "run"


@pytest.fixture
def meta(trained):
    """Write what a harvest says of the run's activations, until the test ends."""
    file = trained / "activations" / "h.3" / "meta.json"

    def write(**facts):
        file.parent.mkdir(parents=True, exist_ok=True)
        told = {"format": "twinsae-activations/2", "rows": 64, "context": 128, "hookpoint": "h.3"}
        file.write_text(json.dumps(told | facts))

    yield write
    file.unlink(missing_ok=True)


def test_a_run_tells_model_data_shape_and_training(trained, meta):
    meta(model="o/gpt", text="hf:o/text:en")
    found = run_facts(trained / "h.3" / "seed3", Given())
    assert found.facts == {
        "model": "`o/gpt`",
        "hookpoint": "`h.3`",
        "text": "`o/text:en`",
        "tokens": "64, in sequences of 128",
        "architecture": "topk",
        "active latents, k": "3",
        "latents": "11",
        "width": "6",
        "seed": "3",
        "tokens seen": "128",
        "passes": "2",
        "batch": "16",
        "optimizer": "adam, learning rate 0.001",
        "other settings": "`betas` [0.8, 0.99]",
    }
    assert (found.base_model, found.dataset) == ("o/gpt", "o/text")
    assert found.quality.measured_on == "the last batch of training"
    assert found.quality.fvu == found.log[-1]["fvu"]


def test_paths_become_names_and_are_no_model_of_the_hub(trained, meta, tmp_path, monkeypatch):
    meta(model="/home/me/models/gpt", text="/home/me/private/text.txt")
    found = run_facts(trained / "h.3" / "seed3", Given())
    assert (found.facts["model"], found.facts["text"]) == ("`gpt`", "`text.txt`")
    assert (found.base_model, found.dataset) == (None, None)
    (tmp_path / "models" / "gpt").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    local = run_facts(trained / "h.3" / "seed3", Given(model="models/gpt"))
    assert (local.facts["model"], local.base_model) == ("`gpt`", None)
    told = run_facts(trained / "h.3" / "seed3", Given(model="o/other", text="hf:o/new"))
    assert (told.facts["model"], told.base_model, told.dataset) == ("`o/other`", "o/other", "o/new")


def test_without_activations_and_log_little_is_known(trained, tmp_path):
    found = run_facts(trained / "h.3" / "seed3", Given())
    assert "model" not in found.facts
    assert "tokens" not in found.facts
    for name in ("cfg.json", "sae.safetensors"):
        (tmp_path / name).write_bytes((trained / "h.3" / "seed3" / name).read_bytes())
    alone = run_facts(tmp_path, Given())
    assert list(alone.facts) == ["architecture", "active latents, k", "latents", "width"]
    assert (alone.quality, alone.log, alone.base_model) == (None, [], None)


def test_held_out_numbers_come_before_those_of_a_batch(trained):
    log = trained / "log.jsonl"
    text = log.read_text()
    last = json.loads(text.splitlines()[-1]) | {"held_out_fvu": 0.25, "held_out_l0": 2.5}
    log.write_text(text + json.dumps(last) + "\n")
    found = run_facts(trained / "h.3" / "seed3", Given()).quality
    log.write_text(text)
    assert (found.fvu, found.l0) == (0.25, 2.5)
    assert found.measured_on == "activations that were not trained on"


def test_the_runs_evaluation_is_read_by_itself(trained):
    file = trained / "evaluation.json"
    measured = {"fvu": 0.5, "l0": 3.0, "dead": None, "tokens": 2000}
    saes = {"seed3": {"path": str(trained / "h.3" / "seed3"), "measured": measured}}
    file.write_text(json.dumps({"model": {"text": "builtin"}, "saes": saes}))
    found = run_facts(trained / "h.3" / "seed3", Given()).quality
    on = "2,000 tokens of Python's documentation, as it comes with Python"
    assert found == Quality(0.5, 3.0, None, on, "them")
    for place, told in (
        (trained / "activations" / "h.3", "the activations of its own training"),
        (trained.parent / "held", "the activations `held`"),
    ):
        file.write_text(json.dumps({"activations": str(place), "target": None, "saes": saes}))
        (quality,) = read_evaluation(file).values()
        assert quality.measured_on == f"2,000 tokens of {told}"
    file.write_text('{"saes": {"a": {}}}')
    with pytest.raises(ValueError, match=r"evaluation\.json is not what `twinsae evaluate` writes"):
        run_facts(trained / "h.3" / "seed3", Given())
    file.unlink()
    with pytest.raises(FileNotFoundError, match=r"^evaluation: .*evaluation\.json does not exist$"):
        read_evaluation(file)


def test_shapes_in_words():
    config = SAEConfig(
        d_in=6, d_out=4, num_latents=1200, k=3, transcode=True, activation="batch_topk",
        prefixes=(600, 1200), normalization="layer_norm",
    )  # fmt: skip
    assert shape_facts(config) == {
        "architecture": "batch_topk, transcoder",
        "active latents, k": "3",
        "latents": "1,200",
        "width": "6 to 4",
        "nested sizes": "600, 1,200",
        "normalization": "layer_norm",
    }
    assert "active latents, k" not in shape_facts(SAEConfig(d_in=6, activation="relu"))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("o/gpt", "o/gpt"),
        ("gpt2", "gpt2"),
        ("/home/me/gpt", "gpt"),
        ("../me/gpt", "gpt"),
        ("~/gpt", "gpt"),
        ("me/models/gpt", "gpt"),
        ("models/x.gguf", "x.gguf"),
        ("smollm2-135m", "smollm2-135m"),
    ],
)
def test_a_name_tells_nothing_of_the_machine(text, name):
    assert short_name(text) == name
    assert text_name(text) == f"`{name}`"
