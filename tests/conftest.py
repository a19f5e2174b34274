from collections.abc import Callable
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


@pytest.fixture
def four_saes(tmp_path: Path) -> list[Path]:
    """Four random SAEs, s0 to s3, of width 8 and of 30 to 33 latents."""
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(0)
    folders = [tmp_path / f"s{place}" for place in range(4)]
    for place, folder in enumerate(folders):
        folder.mkdir()
        names = ("W_dec", "encoder.weight")
        tensors = {name: torch.randn(30 + place, 8, generator=generator) for name in names}
        save_file(tensors, folder / "sae.safetensors")
    return folders


@pytest.fixture
def assert_equal_matches() -> Callable[..., None]:
    """Compare what two runs of match-all made of `four_saes`, to the last bit.

    Prices are compared on request: with other numbers of threads they differ in the last bits.
    """
    import numpy as np
    from twinsae.matching import Matching

    def compare(out: Path, other: Path, *prices: str) -> None:
        names = [f"s{a}--s{b}" for a in range(4) for b in range(a + 1, 4)]
        for file in (f"{name}/{side}.npz" for name in names for side in ("decoder", "encoder")):
            found, expected = (Matching.load(each / file) for each in (out, other))
            for array in ("cols", "cosine", *prices):
                np.testing.assert_array_equal(getattr(found, array), getattr(expected, array))

    return compare
