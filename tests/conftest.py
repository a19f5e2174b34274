from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--device",
        choices=["cpu", "cuda", "rehearsal"],
        default="cpu",
        help="where tests/kernels checks the kernels' contracts; rehearsal: launches are compiled "
        "for an H100, and run in Triton's interpreter on the CPU",
    )
    parser.addoption("--specs", metavar="FILE", help="list a rehearsal's compiled kernels there")


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random GPT-2 of 2 layers, D = 12, with a tokenizer of single letters; EOS is token 26."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    path = tmp_path_factory.mktemp("gpt2")
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=28, n_positions=16, n_embd=12, n_layer=2, n_head=2)
    transformers.GPT2LMHeadModel(config).save_pretrained(path)
    vocabulary = {chr(97 + i): i for i in range(26)} | {"<eos>": 26, "?": 27}
    letters = Tokenizer(models.WordLevel(vocabulary, "?"))
    letters.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=letters, eos_token="<eos>", unk_token="?"
    ).save_pretrained(path)
    return path
