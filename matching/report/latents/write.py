"""Writes the latent browser: its page, the app, and the chunks of all data."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....common.files import StrPath
from ....common.progress import Progress, renamed, silent
from ....sae.contexts import Contexts, Corpus, load_contexts, load_corpus
from ....sae.formats.registry import load
from ...criteria.metrics import alignment
from ...figures.pairs import Pair, read_pairs, read_seeds
from ...match_all import ALL_SUMMARY
from ...match_folder import OpenedMatch, open_match
from ...stable import links
from .chunks import write_chunk
from .columns import firing_columns, sae_columns
from .contexts import PER_CHUNK, write_contexts, write_corpus
from .nearest import nearest_latents, shared_latents
from .pairs import pair_arrays

FORMAT = "twinsae-report/1"
PAGE = "latents.html"
_PACKAGE = "twinsae.matching.report"


@dataclass
class _Sae:
    """One SAE, while its pairs are read."""

    name: str
    facts: dict[str, Any]
    """What a match's summary says of it."""
    shared: NDArray[np.bool_]
    """(S, L)"""
    linked: NDArray[np.int64]
    """(L,) in how many of the other SAEs it comes back: see `stable`."""
    contexts: tuple[Contexts, Corpus] | None = None
    own_cosine: dict[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Its folder or file."""
        return Path(self.facts["path"])

    @property
    def sha256(self) -> str:
        """Of its weights."""
        return str(self.facts["sha256"])


def write_browser(
    folder: StrPath,
    report: StrPath,
    *,
    scores: Mapping[str, Mapping[str, NDArray[Any]]] | None = None,
    explanations: Mapping[str, Sequence[str]] | None = None,
    title: str = "",
    progress: Progress | None = None,
) -> Path:
    """Write ``latents.html`` with its data, which then replaces what was there before.

    Args:
        folder: what `match_files` or `match_all` wrote. The SAEs must still be where they were;
            firing counts and contexts are taken from their folders.
        report: the folder to write to; made if missing.
        scores: {SAE: {name: (L,) numbers, NaN where a latent has none}}.
        explanations: {SAE: L texts, empty where a latent has none}.
        title: what the page is of, such as a hookpoint and a model; by default the SAEs' names.
        progress: told of the phases "nearest" and "browser".

    Returns:
        The page.

    Raises:
        FileNotFoundError: the folder is no match, or an SAE is gone.
        ValueError: a file is corrupt, or an SAE has changed since the match.
        OSError: a file could not be written.
    """
    place, out, told = Path(folder), Path(report), progress or silent
    pairs = read_pairs(place)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".data-", dir=out) as temporary:
        data = Path(temporary) / "data"
        writer = _Writer(place, data, pairs, scores or {}, explanations or {}, title)
        writer.write(told)
        _replace(data, out / "data")
    static = files(_PACKAGE).joinpath("static")
    (out / "static").mkdir(exist_ok=True)
    for name in ("app.js", "app.css"):
        (out / "static" / name).write_bytes(static.joinpath(name).read_bytes())
    from ..templates import write_template  # here, as chunks are read without jinja2

    variables = {"title": writer.title, "chunks": writer.first_chunks}
    return write_template(out / PAGE, PAGE, variables)


class _Writer:
    """Writes the chunks of a folder's pairs."""

    def __init__(
        self,
        folder: Path,
        data: Path,
        pairs: Sequence[Pair],
        scores: Mapping[str, Mapping[str, NDArray[Any]]],
        explanations: Mapping[str, Sequence[str]],
        title: str,
    ) -> None:
        self._data, self._pairs = data, pairs
        self._scores, self._explanations = scores, explanations
        self._saes = _saes_of(pairs, folder)
        self._missing: list[dict[str, str]] = []
        self._corpus: Corpus | None = None
        self.title = title or ", ".join(self._saes)
        self.first_chunks = ["manifest", "sae0/columns", "sae1/columns"]

    def write(self, progress: Progress) -> None:
        """Write all chunks, the manifest last."""
        total = len(self._pairs) + len(self._saes)
        progress("browser", 0, total, "parts")
        listed = []
        for number, pair in enumerate(self._pairs):
            listed.append(self._write_pair(pair, renamed(progress, before=f"{pair.name} ")))
            progress("browser", number + 1, total, "parts")
        self._find_contexts()
        others = len(self._saes) - 1
        every_two = len(self._pairs) == others * (others + 1) // 2 and others > 1
        written = []
        for number, (name, sae) in enumerate(self._saes.items()):
            come_back = {"reappearance": sae.linked / others} if every_two else {}
            written.append(self._write_sae(number, sae, sae.own_cosine | come_back))
            progress("browser", len(self._pairs) + number + 1, total, "parts")
            if name in self._explanations:
                self._write_explanations(number, self._explanations[name])
        corpus = None if self._corpus is None else write_corpus(self._data, self._corpus)
        manifest = {
            "format": FORMAT,
            "twinsae": version("twinsae"),
            "title": self.title,
            "threshold": self._pairs[0].summary["overlap"]["threshold"],
            "saes": written,
            "pairs": listed,
            "corpus": corpus,
            "vocabulary": corpus is not None,
            "missing": self._missing,
        }
        write_chunk(self._data, "manifest", {}, manifest)
        if listed:
            self.first_chunks.append(f"pair-{listed[0]['a']}-{listed[0]['b']}")

    def _write_pair(self, pair: Pair, progress: Progress) -> dict[str, Any]:
        opened = open_match(pair.folder)
        places = list(self._saes)
        a, b = places.index(pair.a), places.index(pair.b)
        arrays = pair_arrays(opened, nearest_latents(opened, progress))
        write_chunk(self._data, f"pair-{a}-{b}", arrays, {})
        matchings = {side: found.matching for side, found in opened.sides.items()}
        of_a, of_b = shared_latents(matchings)
        self._saes[pair.a].shared[b], self._saes[pair.b].shared[a] = of_a, of_b
        self._link_and_align(opened, pair)
        overlap = pair.summary["overlap"]
        return {
            "a": a,
            "b": b,
            "sides": list(opened.sides),
            "chance_floor": {side: pair.chance_floor(side) for side in opened.sides},
            "matchings": {side: found.sha256 for side, found in opened.sides.items()},
            "counts": {
                name: {"count": overlap["counts"][name], "share": overlap["criteria"][name]}
                for name in overlap["criteria"]
            },
            "threshold": overlap["threshold"],
        }

    def _link_and_align(self, opened: OpenedMatch, pair: Pair) -> None:
        """Count links, and measure each SAE's own cosines once, where both sides were matched."""
        if len(opened.sides) < 2:
            return
        decoder, encoder = opened.sides["decoder"], opened.sides["encoder"]
        found = links(decoder.matching, encoder.matching)
        self._saes[pair.a].linked[found.rows] += 1
        self._saes[pair.b].linked[found.cols] += 1
        for name, own in ((pair.a, (decoder.a, encoder.a)), (pair.b, (decoder.b, encoder.b))):
            if not self._saes[name].own_cosine:
                self._saes[name].own_cosine = {"own_cosine": alignment(*own)}

    def _find_contexts(self) -> None:
        """Read the contexts of all SAEs; they count if they are of the first one's text."""
        for name, sae in self._saes.items():
            command = f"twinsae contexts {'/'.join(sae.path.parts[-2:])} --activations STORE"
            try:
                contexts = load_contexts(sae.path, sae.sha256)
                corpus = self._corpus or load_corpus(Path(contexts.facts["corpus"]["path"]))
                if contexts.facts["corpus"]["sha256"] != corpus.facts["sha256"]:
                    raise FileNotFoundError("its contexts are of another text")
            except FileNotFoundError:
                self._missing.append({"what": f"contexts of {name}", "command": command})
                continue
            self._corpus = corpus
            sae.contexts = contexts, corpus

    def _write_sae(
        self, number: int, sae: _Sae, others: Mapping[str, NDArray[Any]]
    ) -> dict[str, Any]:
        contexts = sae.contexts and sae.contexts[0]
        firing, tokens = firing_columns(sae.path, sae.sha256, contexts)
        if not firing:
            path = "/".join(sae.path.parts[-2:])
            self._missing.append(
                {
                    "what": f"firing of {sae.name}",
                    "command": f"twinsae fire {path} --activations STORE",
                }
            )
        scores = self._scores.get(sae.name, {})
        columns = sae_columns(firing, tokens, sae.shared, others, sae.contexts, scores)
        write_chunk(self._data, f"sae{number}/columns", columns.arrays, {})
        described = None
        if contexts is not None:
            described = {
                "chunks": write_contexts(self._data, number, contexts),
                "per_chunk": PER_CHUNK,
                "tokens": contexts.facts["tokens"],
                "logit_lens": contexts.lens is not None,
            }
        architecture, k = _architecture(sae.path)
        return {
            "name": sae.name,
            "num_latents": sae.facts["num_latents"],
            "d_in": sae.facts["d_in"],
            "architecture": architecture,
            "k": k,
            "sha256": sae.sha256,
            "path": "/".join(sae.path.parts[-2:]),
            "firing_tokens": columns.firing_tokens,
            "contexts": described,
            "explanations": sae.name in self._explanations,
            "columns": columns.shown,
        }

    def _write_explanations(self, number: int, texts: Sequence[str]) -> None:
        parts = [text.encode() for text in texts]
        arrays: dict[str, NDArray[Any]] = {
            "bytes": np.frombuffer(b"".join(parts), dtype=np.uint8),
            "offsets": np.cumsum([0, *map(len, parts)]).astype(np.uint32),
        }
        write_chunk(self._data, f"sae{number}/text", arrays, {})


def _architecture(path: Path) -> tuple[str, int | None]:
    """Return an SAE's activation and its k; what was matched may be bare matrices without one."""
    try:
        config = load(path).config
    except ValueError:
        return "unknown", None
    return config.activation, config.k or None


def _saes_of(pairs: Sequence[Pair], folder: Path) -> dict[str, _Sae]:
    """Return the SAEs in their order, in which each pair's first one comes before its second."""
    facts: dict[str, dict[str, Any]] = {}
    for pair in pairs:
        for name, letter in ((pair.a, "a"), (pair.b, "b")):
            facts.setdefault(name, pair.summary["inputs"][letter])
    names = list(facts)
    if (folder / ALL_SUMMARY).is_file():
        listed = [each["name"] for each in read_seeds(folder)["dictionaries"]]
        names.sort(key=listed.index)
    found = {}
    for name in names:
        size = facts[name]["num_latents"]
        shared, linked = np.zeros((len(names), size), np.bool_), np.zeros(size, np.int64)
        found[name] = _Sae(name, facts[name], shared, linked)
    return found


def _replace(new: Path, old: Path) -> None:
    """Put a folder in the place of another, so that no chunk of before remains."""
    discarded = new.with_name("before")
    if old.exists():
        old.rename(discarded)
    new.rename(old)
