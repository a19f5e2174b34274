"""`match_all`: every two of several dictionaries, and which latents are in how many of them."""

import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..common.files import StrPath, atomic_write, sha256
from ..common.progress import Progress, silent
from ..sae.formats.paths import sae_name, weight_file
from .criteria.overlap import THRESHOLD, shared
from .criteria.seed_counts import Others, in_exactly, only_in_base
from .match_files import FORMAT, SIDES, SUMMARY, match_files
from .matching import Matching

ALL_FORMAT = "twinsae-match-all/1"
ALL_SUMMARY = "seeds.json"
CRITERION = "and"
MOST = 20
"""Dictionaries at a time: each has 2^19 sets of others then."""

Pair = tuple[int, int]


def match_all(
    dictionaries: Sequence[StrPath],
    out: StrPath,
    *,
    names: Sequence[str] | None = None,
    memory_limit: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Match every two SAEs, decoders and encoders, and count in how many of them each latent is.

    Each pair's result goes to ``out/<a>--<b>/``, as `match_files` writes it, and what all of them
    say to ``out/seeds.json``. A pair that was matched before, from files of the same bytes, is left
    as it is: the same call goes on where a killed one stopped, and more SAEs can be added later.

    Args:
        dictionaries: 2 to 20 SAE folders or files, as `load_dictionary` reads them.
        out: the folder to write to; made if missing.
        names: `<a>` and `<b>`, one for each dictionary, all different; by default the folders'
            names, or the files' without their endings.
        memory_limit: as for `match`.
        progress: told how far each phase of each pair has come.

    Returns:
        See `AllSeeds.finish`.

    Raises:
        FileNotFoundError, ValueError, TypeError, OSError: as for `match_files`; or there are too
            few or too many dictionaries, or two of one name.
    """
    seeds = AllSeeds(dictionaries, out, names=names)
    for pair in seeds.missing():
        told = _named(seeds.folder(pair).name, progress or silent)
        seeds.match(pair, memory_limit=memory_limit, progress=told)
    return seeds.finish()


class AllSeeds:
    """The steps of `match_all`, for those who have something to do between two pairs.

    Args, and what is raised: as for `match_all`.
    """

    def __init__(
        self,
        dictionaries: Sequence[StrPath],
        out: StrPath,
        *,
        names: Sequence[str] | None = None,
    ) -> None:
        self._paths = [Path(path) for path in dictionaries]
        self._out = Path(out)
        if not 2 <= len(self._paths) <= MOST:
            raise ValueError(f"expected 2 to {MOST} dictionaries, got {len(self._paths)}")
        self._names = [sae_name(path) for path in self._paths] if names is None else list(names)
        self.pairs: list[Pair] = list(combinations(range(len(self._names)), 2))
        """Two places each in the list of dictionaries."""
        folders = {self.folder(pair) for pair in self.pairs}
        if len(set(self._names)) != len(self._paths) or len(folders) < len(self.pairs):
            raise ValueError(
                f"names: expected {len(self._paths)} different names, got {self._names}"
            )
        self._hashes = [sha256(weight_file(path)) for path in self._paths]

    def folder(self, pair: Pair) -> Path:
        """Return where a pair's result is."""
        a, b = pair
        return self._out / f"{self._names[a]}--{self._names[b]}"

    def missing(self) -> list[Pair]:
        """Return the pairs that have not been matched, or not from these files."""
        return [pair for pair in self.pairs if not self._is_done(pair)]

    def match(
        self, pair: Pair, *, memory_limit: int | None = None, progress: Progress | None = None
    ) -> None:
        """Match one pair and write the result."""
        a, b = (self._paths[place] for place in pair)
        match_files(a, b, SIDES, self.folder(pair), memory_limit=memory_limit, progress=progress)

    def finish(self) -> dict[str, Any]:
        """Count what the pairs, all of which must be there, share, and write ``seeds.json``.

        A latent is shared with another SAE by criterion "and" of `overlap`: the cosines of its
        decoder's match there and of its encoder's are above 0.7. ``only_in_base`` has, of n SAEs,
        the share of one's latents that it shares with none of the n - 1 others, over all choices
        of the one and the others (figure 2 of https://arxiv.org/abs/2501.16615, whose authors draw
        20 choices of each n). ``in_exactly`` counts each SAE's latents by the number of SAEs that
        they are in, itself among them.

        Returns:
            ``{"format", "criterion", "threshold", "dictionaries": [{"name", "path", "sha256",
            "num_latents"}], "pairs": [{"a", "b", "sides", "criteria"}], "only_in_base":
            [{"dictionaries": n, "mean", "std", "min", "max"}], "in_exactly": {name: [latents in
            1, in 2, ... SAEs]}}``; sides and criteria as in the pair's own summary.
        """
        others = self._others()
        facts = zip(self._names, self._paths, self._hashes, others, strict=True)
        content = {
            "format": ALL_FORMAT,
            "criterion": CRITERION,
            "threshold": THRESHOLD,
            "dictionaries": [
                {"name": name, "path": str(path.resolve()), "sha256": digest, "num_latents": len(o)}
                for name, path, digest, o in facts
            ],
            "pairs": [self._entry(pair) for pair in self.pairs],
            "only_in_base": only_in_base(others),
            "in_exactly": dict(zip(self._names, in_exactly(others), strict=True)),
        }
        with atomic_write(self._out / ALL_SUMMARY) as temporary:
            temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
        return content

    def _is_done(self, pair: Pair) -> bool:
        file = self.folder(pair) / SUMMARY  # written last, so that it stands for all the others
        if not file.is_file():
            return False
        try:
            summary = json.loads(file.read_text())
            hashes = [summary["inputs"][name]["sha256"] for name in "ab"]
            found = summary["format"], set(summary["sides"]), hashes
        except (ValueError, KeyError, TypeError):
            return False
        return found == (FORMAT, set(SIDES), [self._hashes[place] for place in pair])

    def _others(self) -> list[Others]:
        """Return for each SAE which others share each of its latents."""
        others: dict[int, Others] = {}
        for a, b in self.pairs:
            for one, other, mask in zip((a, b), (b, a), self._shared((a, b)), strict=True):
                bits = others.setdefault(one, np.zeros(len(mask), dtype=np.int64))
                bits |= mask.astype(np.int64) << (other - (other > one))
        return [others[place] for place in range(len(self._paths))]

    def _shared(self, pair: Pair) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which latents of A, and which of B, the other one shares."""
        decoder, encoder = (Matching.load(self.folder(pair) / f"{side}.npz") for side in SIDES)
        ours, theirs = shared(decoder, encoder), shared(decoder.swapped(), encoder.swapped())
        return ours[CRITERION], theirs[CRITERION]

    def _entry(self, pair: Pair) -> dict[str, Any]:
        summary = json.loads((self.folder(pair) / SUMMARY).read_text())
        names = {key: self._names[place] for key, place in zip("ab", pair, strict=True)}
        return {**names, "sides": summary["sides"], "criteria": summary["overlap"]["criteria"]}


def _named(name: str, progress: Progress) -> Progress:
    """Return a progress whose phases begin with the pair's name."""

    def told(phase: str, done: int, total: int, unit: str, **facts: float) -> None:
        progress(f"{name} {phase}", done, total, unit, **facts)

    return told
