"""The text of a card, from facts."""

import yaml
from twinsae.sae.hub.card import (
    MARK,
    Card,
    CardSAE,
    Quality,
    Shared,
    SharedPair,
    card_text,
    table,
)

FACTS = {"model": "`o/gpt`", "hookpoint": "`h.6.mlp`", "latents": "2,304"}
WHOLE = """\
---
library_name: twinsae
tags:
- sparse-autoencoder
- mechanistic-interpretability
base_model: o/gpt
datasets:
- o/text
license: mit
---

# Sparse autoencoders of `h.6.mlp`

|  | all SAEs |
|---|---|
| model | `o/gpt` |
| hookpoint | `h.6.mlp` |
| latents | 2,304 |

| SAE | seed |
|---|---|
| `seed0` | 0 |
| `seed1` | 1 |

## Quality

| SAE | FVU | L0 | dead latents |
|---|---|---|---|
| `seed0` | 0.2667 | 32.0 | 1.3 % |
| `seed1` | 0.2694 | 31.5 |  |

FVU is the fraction of variance unexplained, L0 the number of active latents per token, measured \
on 20,000 tokens of `held.txt`. Dead latents are active on none of 60,000 tokens.

## Load

Install `twinsae`, then:

```python
from twinsae.sae import SAE

sae = SAE.from_pretrained("me/saes", "seed0")
```

What two of them share:

```sh
twinsae match hf:me/saes:seed0 hf:me/saes:seed1 --out match
```

## Shared latents

Latents were matched one to one, by the cosines of their decoder rows and of their encoder rows, \
as in [arXiv 2501.16615](https://arxiv.org/abs/2501.16615). A latent counts as shared (`and`) if \
both cosines of these pairs are above 0.7.

| A | B | share of A's latents | proved to be the best matching |
|---|---|---|---|
| `seed0` | `seed1` | 5.2 % | yes |

## Citation

```bibtex
@article{paulo2025sparse,
  title = {Sparse Autoencoders Trained on the Same Data Learn Different Features},
  author = {Paulo, Gonçalo and Belrose, Nora},
  journal = {arXiv preprint arXiv:2501.16615},
  year = {2025}
}
```

"""
BARE = """\
---
library_name: twinsae
tags:
- sparse-autoencoder
- mechanistic-interpretability
---

# Sparse autoencoder

|  |  |
|---|---|
| latents | 11 |

## Load

Install `twinsae`, then:

```python
from twinsae.sae import SAE

sae = SAE.from_pretrained("me/one")
```

"""


def test_a_card_says_all_that_is_known():
    on = {"measured_on": "20,000 tokens of `held.txt`", "dead_on": "60,000 tokens"}
    saes = [
        CardSAE("seed0", FACTS | {"seed": "0"}, Quality(0.26674, 32.0, 0.0131, **on)),
        CardSAE("seed1", FACTS | {"seed": "1"}, Quality(0.2694, 31.5, None, **on)),
    ]
    shared = Shared("and", 0.7, [SharedPair("seed0", "seed1", 0.0521, proved=True)])
    card = Card("me/saes", saes, "o/gpt", ["o/text"], "mit", [shared])
    assert card_text(card) == WHOLE + MARK + "\n"


def test_what_is_not_known_is_left_out():
    text = card_text(Card("me/one", [CardSAE("", {"latents": "11"})]))
    assert text == BARE + MARK + "\n"


def test_the_header_is_yaml_whatever_is_in_it():
    card = Card("me/one", [CardSAE("", {})], license="a: b # 'c'\nd", datasets=["yes", "1e3"])
    head = yaml.safe_load(card_text(card).split("---\n")[1])
    assert head["license"] == "a: b # 'c'\nd"
    assert head["datasets"] == ["yes", "1e3"]


def test_what_differs_has_a_column_and_no_cell_breaks_its_table():
    saes = [CardSAE("a/x", {"k": "32", "text": "a|b\nc"}), CardSAE("b/x", {"k": "64"})]
    text = card_text(Card("me/two", saes))
    assert "| SAE | k | text |\n|---|---|---|\n| `a/x` | 32 | a\\|b c |\n| `b/x` | 64 |  |" in text
    assert "all SAEs" not in text
    assert table([["a"], ["b"]]) == "| a |\n|---|\n| b |"


def test_several_pairs_have_a_mean_and_one_side_says_so():
    pairs = [SharedPair("a", "b", 0.25, proved=True), SharedPair("a", "c", 0.5, proved=False)]
    text = card_text(Card("me/x", [CardSAE("", {})], shared=[Shared("encoder", 0.8, pairs)]))
    assert (
        "by the cosines of their encoder rows. A latent counts as shared (`encoder`) if the" in text
    )
    assert "pair is above 0.8. The mean over these pairs is 37.5 %." in text
    assert "| `a` | `c` | 50.0 % | no |" in text
