"""The card of a repository: README.md with a header, from facts. Nothing is read here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import fmean
from typing import Any, NamedTuple

import yaml

from ..config import SAEConfig

MARK = "<!-- Written by twinsae, which replaces it when it pushes again unless you delete this. -->"
"""Tells our cards from those that people wrote or changed."""

TAGS = ["sparse-autoencoder", "mechanistic-interpretability"]

_SHARED_IF = {
    "and": "both cosines of these pairs are above",
    "decoder": "the cosine of the decoder rows of its pair is above",
    "encoder": "the cosine of the encoder rows of its pair is above",
}
"""By the names of the criteria of a match."""

_CITATION = """\
```bibtex
@article{paulo2025sparse,
  title = {Sparse Autoencoders Trained on the Same Data Learn Different Features},
  author = {Paulo, Gonçalo and Belrose, Nora},
  journal = {arXiv preprint arXiv:2501.16615},
  year = {2025}
}
```"""


class Quality(NamedTuple):
    """How good an SAE is; None for what is not known."""

    fvu: float | None
    """Fraction of variance unexplained."""
    l0: float | None
    """Active latents per token."""
    dead: float | None
    """Share of latents that were never active."""
    measured_on: str
    """What the first two were measured on, in words."""
    dead_on: str
    """What the third was."""


class CardSAE(NamedTuple):
    """One SAE of a card."""

    place: str
    """Its folder in the repository; "": the repository itself."""
    facts: Mapping[str, str]
    """What is known of it, as Markdown, by what it is called: "model", "latents"."""
    quality: Quality | None = None


class SharedPair(NamedTuple):
    """What two SAEs were found to share."""

    a: str
    b: str
    share: float
    """Of A's latents."""
    proved: bool
    """Whether its matchings are proved to be optimal."""
    sha256: tuple[str, str] = ("", "")
    """Of the files with the weights of A and B, where they are known."""


class Shared(NamedTuple):
    """What was matched."""

    criterion: str
    """By which a latent counts as shared: "and", "decoder" or "encoder"."""
    threshold: float
    pairs: Sequence[SharedPair]
    absolute: bool = False
    """Whether cosines count by their absolute values."""


@dataclass(frozen=True)
class Card:
    """All that a card of SAEs says."""

    repo: str
    """OWNER/NAME."""
    saes: Sequence[CardSAE]
    base_model: str | None = None
    """The language model, if it is on the Hub."""
    datasets: Sequence[str] = ()
    """Those of the Hub that the text is from."""
    license: str | None = None
    shared: Sequence[Shared] = ()


def shape_facts(config: SAEConfig) -> dict[str, str]:
    """Return what a card says of an SAE's shape."""
    facts = {
        "architecture": config.activation + (", transcoder" if config.d_out else ""),
        "active latents, k": f"{config.k}" if config.k else "",
        "latents": f"{config.num_latents:,}",
        "width": f"{config.d_in:,}" + (f" to {config.d_out:,}" if config.d_out else ""),
        "nested sizes": ", ".join(f"{size:,}" for size in config.prefixes),
        "normalization": config.normalization if config.normalization != "none" else "",
    }
    return {name: text for name, text in facts.items() if text}


def card_text(card: Card) -> str:
    """Return README.md: its header, then what all SAEs have in common, each one, and the rest."""
    parts = [
        header(
            library_name="twinsae",
            tags=TAGS,
            base_model=card.base_model,
            datasets=list(card.datasets),
            license=card.license,
        ),
        f"# {_title(card)}",
        *_facts(card.saes),
        *_quality(card.saes),
        *_loading(card),
        *shared_latents_text(card.shared),
    ]
    return "\n\n".join([*parts, MARK]) + "\n"


def shared_latents_text(shared: Sequence[Shared]) -> list[str]:
    """Return the parts of a card that say what was matched, and whose method it is."""
    if not shared:
        return []
    return [*chain.from_iterable(map(_shared, shared)), "## Citation", _CITATION]


def header(**facts: Any) -> str:
    """Return the part of a card that the Hub reads, without what is empty."""
    known = {name: value for name, value in facts.items() if value}
    return f"---\n{yaml.safe_dump(known, sort_keys=False, allow_unicode=True)}---"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; the first row is its head."""
    head, *body = [f"| {' | '.join(_cell(text) for text in row)} |" for row in rows]
    return "\n".join([head, "|---" * len(rows[0]) + "|", *body])


def _cell(text: str) -> str:
    return " ".join(text.replace("|", r"\|").split())


def _title(card: Card) -> str:
    hookpoints = {sae.facts.get("hookpoint") for sae in card.saes}
    of = hookpoints.pop() if len(hookpoints) == 1 else None
    what = "Sparse autoencoders" if len(card.saes) > 1 else "Sparse autoencoder"
    return f"{what} of {of}" if of else what


def _facts(saes: Sequence[CardSAE]) -> list[str]:
    """Return a table of what is the same for all SAEs, and one of what is not."""
    names = list(dict.fromkeys(name for sae in saes for name in sae.facts))
    same = [name for name in names if len({sae.facts.get(name) for sae in saes}) == 1]
    common = [["", "all SAEs" if len(saes) > 1 else ""]]
    parts = [table(common + [[name, saes[0].facts[name]] for name in same])] if same else []
    own = [name for name in names if name not in same]
    if own:
        rows = [[_name(sae), *(sae.facts.get(name, "") for name in own)] for sae in saes]
        parts.append(table([["SAE", *own], *rows]))
    return parts


def _quality(saes: Sequence[CardSAE]) -> list[str]:
    found = [(sae, sae.quality) for sae in saes if sae.quality is not None]
    if not found:
        return []
    rows = [["SAE", "FVU", "L0", "dead latents"]]
    rows += [
        [_name(sae), _number(q.fvu, "{:.4f}"), _number(q.l0, "{:.1f}"), _percent(q.dead)]
        for sae, q in found
    ]
    measured = _once(q.measured_on for _, q in found if q.fvu is not None or q.l0 is not None)
    dead = _once(q.dead_on for _, q in found if q.dead is not None)
    words = "FVU is the fraction of variance unexplained, L0 the number of active latents per token"
    told = [f"{words}, measured on {measured}." if measured else ""]
    told += [f"Dead latents are active on none of {dead}." if dead else ""]
    return ["## Quality", table(rows), " ".join(filter(None, told))]


def _once(texts: Any) -> str:
    return "; or ".join(dict.fromkeys(texts))


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def _name(sae: CardSAE) -> str:
    return f"`{sae.place}`" if sae.place else "this one"


def _loading(card: Card) -> list[str]:
    first, *more = [sae.place for sae in card.saes]
    place = f', "{first}"' if first else ""
    load = f'sae = SAE.from_pretrained("{card.repo}"{place})'
    code = f"```python\nfrom twinsae.sae import SAE\n\n{load}\n```"
    parts = ["## Load", "Install `twinsae`, then:", code]
    if more:
        names = " ".join(f"hf:{card.repo}:{name}" for name in (first, more[0]))
        parts += ["What two of them share:", f"```sh\ntwinsae match {names} --out match\n```"]
    return parts


def _shared(shared: Shared) -> list[str]:
    rule = _SHARED_IF.get(shared.criterion, f"it meets the criterion `{shared.criterion}` at")
    cosines = f"the {'absolute ' if shared.absolute else ''}cosines"
    words = f"Latents were matched one to one, by {cosines} of their {shared.criterion} rows."
    if shared.criterion not in ("decoder", "encoder"):
        words = (
            f"Latents were matched one to one, by {cosines} of their decoder rows and of their "
            "encoder rows, as in [arXiv 2501.16615](https://arxiv.org/abs/2501.16615)."
        )
    rows = [["A", "B", "share of A's latents", "proved to be the best matching"]]
    rows += [
        [f"`{pair.a}`", f"`{pair.b}`", _percent(pair.share), "yes" if pair.proved else "no"]
        for pair in shared.pairs
    ]
    mean = f" The mean over these pairs is {_percent(fmean(pair.share for pair in shared.pairs))}."
    return [
        "## Shared latents",
        f"{words} A latent counts as shared (`{shared.criterion}`) if {rule} "
        f"{shared.threshold:g}.{mean if len(shared.pairs) > 1 else ''}",
        table(rows),
    ]
