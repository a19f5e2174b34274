"""The logit lens, against dense products and the models' own norms."""

from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor
from twinsae.sae.contexts import logit_lens
from twinsae.sae.contexts.lens import unembedding_of

SIZES = {"vocab_size": 23, "hidden_size": 8, "num_hidden_layers": 1}
HEADS = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4, "intermediate_size": 8}


def small(kind: str) -> Any:
    """A random model whose final norm has a random weight, and a bias where it has any."""
    config: Any = {
        "GPT2LMHeadModel": lambda: transformers.GPT2Config(
            vocab_size=23, n_embd=8, n_layer=1, n_head=2
        ),
        "GPTNeoXForCausalLM": lambda: transformers.GPTNeoXConfig(
            **SIZES, num_attention_heads=2, intermediate_size=8
        ),
        "LlamaForCausalLM": lambda: transformers.LlamaConfig(**SIZES, **HEADS),
        "GemmaForCausalLM": lambda: transformers.GemmaConfig(**SIZES, **HEADS, pad_token_id=0),
        "BertModel": lambda: transformers.BertConfig(
            **SIZES, num_attention_heads=2, intermediate_size=8
        ),
    }[kind]()
    torch.manual_seed(0)
    return getattr(transformers, kind)(config).eval()


NORMS = {
    "GPT2LMHeadModel": "transformer.ln_f",
    "GPTNeoXForCausalLM": "gpt_neox.final_layer_norm",
    "LlamaForCausalLM": "model.norm",
    "GemmaForCausalLM": "model.norm",
}


@pytest.mark.parametrize("kind", NORMS)
def test_the_unembedding_is_what_the_model_s_end_does(kind):
    model = small(kind)
    norm = model.get_submodule(NORMS[kind])
    with torch.no_grad():
        for parameter in norm.parameters():
            parameter.uniform_(-1, 2)
    x = torch.randn(5, 8)
    with torch.no_grad():
        logits = model.get_output_embeddings()(norm(x)) - model.get_output_embeddings()(norm(-x))
    mean = x.mean(dim=1, keepdim=True) if isinstance(norm, torch.nn.LayerNorm) else 0
    length = (x - mean).square().mean(dim=1, keepdim=True).sqrt()
    matrix = unembedding_of(model)
    torch.testing.assert_close(x @ matrix.T / length, logits / 2, atol=1e-4, rtol=1e-4)


def test_an_encoder_has_none():
    assert unembedding_of(small("BertModel")) is None


def test_a_model_without_a_final_norm():
    model = small("GPT2LMHeadModel")
    model.transformer.ln_f = torch.nn.Identity()
    torch.testing.assert_close(unembedding_of(model), model.lm_head.weight)


def dense_lens(directions: Tensor, matrix: Tensor, listed: int) -> list[np.ndarray]:
    logits = directions.double() @ matrix.double().T
    order = np.argsort(-logits.numpy(), axis=1, kind="stable")
    ends = (order[:, :listed], order[:, ::-1][:, :listed])
    return [a for end in ends for a in (end, np.take_along_axis(logits.numpy(), end, axis=1))]


@pytest.mark.parametrize(("latents", "words"), [(7, 101), (1, 10), (33, 3)])
def test_tokens_and_logits_are_those_of_a_dense_product(latents, words):
    generator = torch.Generator().manual_seed(1)
    directions = torch.randn(latents, 12, generator=generator)
    matrix = torch.randn(words, 12, generator=generator) - 3  # most logits have one sign
    found = logit_lens(directions, matrix)
    for got, expected in zip(found, dense_lens(directions, matrix, min(10, words)), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
