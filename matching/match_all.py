"""`match_all`: every two of several dictionaries, and which latents are in how many of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, Literal, get_args

from ..common.devices import Device, check_device
from ..common.files import StrPath, atomic_write, sha256
from ..common.parts import part_of
from ..common.progress import Named, Progress, renamed, silent
from ..common.running import Here, run_tasks, why_failed
from ..common.tables import save_table
from ..common.tasks import Need, Tools
from ..sae.firing import KnownFiring, known_firing
from ..sae.formats.dictionary import read_dictionary
from ..sae.formats.orientation import Orientation
from ..sae.formats.paths import weight_file
from ..sae.hub import locate
from ..sae.names import all_names
from .criteria.curve_fits import fit_curves
from .criteria.overlap import THRESHOLD
from .criteria.seed_counts import exact_shares, in_exactly, only_in_base
from .criteria.seed_tables import SeedTables, over_seeds
from .match import match_memory
from .match_files import SIDES, SUMMARY, is_match_of, match_files, renew_live
from .matching import Matching

ALL_FORMAT = "twinsae-match-all/2"
ALL_SUMMARY = "seeds.json"
CRITERION = "and"
LATENTS_FORMAT = "twinsae-seed-latents/1"
PAIRS_FORMAT = "twinsae-seed-pairs/1"

_BYTES = 4
"""Of a number of a dictionary in memory."""

Pair = tuple[int, int]
Pairs = Literal["all", "chain", "to-first"]


def match_all(
    dictionaries: Sequence[StrPath],
    out: StrPath,
    *,
    names: Sequence[str | None] | None = None,
    pairs: Pairs = "all",
    shard: tuple[int, int] = (1, 1),
    orientation: Orientation | None = None,
    device: Device = "cpu",
    memory_limit: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Match every two SAEs, decoders and encoders, and count in how many of them each latent is.

    Each pair's result goes to ``out/<a>--<b>/``, as `match_files` writes it, and what all of them
    say to ``out/seeds.json`` and two tables; see `AllSeeds.finish`. A pair that was matched before,
    from files of the same bytes in the same orientation, is left as it is: the same call goes on
    where a killed one stopped, and more SAEs can be added later. A pair that cannot be matched does
    not stop the others.

    Args:
        dictionaries: 2 or more SAE folders, files or names, as `match_files` takes them.
        out: the folder to write to; made if missing.
        names: `<a>` and `<b>`, one for each dictionary, all different; None for one that
            `sae.names.distinct_names` gives.
        pairs: "all": every two; "chain": each with the next; "to-first": the first with each other.
        shard: (i, n): match only part i, 1 to n, of n equal parts of the pairs. Several machines
            that share ``out`` can match one part each; ``seeds.json`` says what is there so far.
        orientation: as for `match_files`.
        device: as for `match_files`.
        memory_limit: as for `match`.
        progress: told how far each phase of each pair has come.

    Returns:
        See `AllSeeds.finish`.

    Raises:
        FileNotFoundError, ValueError, TypeError, OSError: as for `match_files`; or there are too
            few dictionaries, two of one name, or ``pairs`` or ``shard`` is not as above.
    """
    check_device(device)
    seeds = AllSeeds(
        dictionaries, out, names=names, pairs=pairs, orientation=orientation, device=device,
        progress=progress,
    )  # fmt: skip
    told = Named(progress or silent)
    here = Here(Tools(told, lambda _line: None, lambda: False))
    tasks = seeds.tasks(shard, memory_limit=memory_limit)
    run_tasks(tasks, Path(out), here, begins=told.begin)
    return seeds.finish()


@dataclass(frozen=True)
class PairMatch:
    """The task to match one pair; see `common.tasks.Task`."""

    seeds: "AllSeeds"
    pair: Pair
    memory_limit: int | None

    @property
    def name(self) -> str:
        """That of the pair's folder."""
        return self.seeds.folder(self.pair).name

    def is_done(self) -> bool:
        """Return whether the pair was matched, from these files."""
        return self.seeds.is_done(self.pair)

    def waits_for(self) -> str | None:
        """Wait for nothing."""
        return None

    def need(self) -> Need:
        """Return the memory of the match and of the two dictionaries."""
        return self.seeds.need(self.pair)

    def run(self, tools: Tools) -> None:
        """Match."""
        limit = self.memory_limit
        self.seeds.match(self.pair, memory_limit=limit, progress=tools.progress)


class AllSeeds:
    """The steps of `match_all`, for code that has something to do between two pairs.

    Args, and what is raised: as for `match_all`; ``progress`` is told of downloads alone, and
    ``device`` is looked for by `match`, which may run elsewhere.
    """

    def __init__(
        self,
        dictionaries: Sequence[StrPath],
        out: StrPath,
        *,
        names: Sequence[str | None] | None = None,
        pairs: Pairs = "all",
        orientation: Orientation | None = None,
        device: Device = "cpu",
        progress: Progress | None = None,
    ) -> None:
        self._orientation, self._device = orientation, device
        given = list(dictionaries)
        self._out = Path(out)
        if len(given) < 2:
            raise ValueError(f"expected 2 dictionaries or more, got {len(given)}")
        self._names = all_names(given, names or [None] * len(given))
        self.pairs: list[Pair] = pairs_of(len(given), pairs)
        """Two places each in the list of dictionaries."""
        if len({self.folder(pair) for pair in self.pairs}) < len(self.pairs):
            raise ValueError(f"names: two pairs would have one folder, of {self._names}")
        told = zip(given, self._names, strict=True)
        self._located = [
            locate(path, progress=renamed(progress or silent, before=f"{name} "))
            for path, name in told
        ]
        self._shapes: dict[int, tuple[int, int]] = {}
        files = [weight_file(sae.path) for sae in self._located]
        self._states = [_state(file) for file in files]
        self._hashes = [sha256(file) for file in files]

    def folder(self, pair: Pair) -> Path:
        """Return where a pair's result is."""
        a, b = pair
        return self._out / f"{self._names[a]}--{self._names[b]}"

    def tasks(
        self, shard: tuple[int, int] = (1, 1), *, memory_limit: int | None = None
    ) -> list[PairMatch]:
        """Return the pairs of a shard as tasks, those that are done among them.

        Args:
            shard: as for `match_all`.
            memory_limit: as for `match`.

        Raises:
            ValueError: ``shard`` is not (i, n) with 1 <= i <= n.
        """
        return [PairMatch(self, pair, memory_limit) for pair in part_of(self.pairs, shard)]

    def need(self, pair: Pair) -> Need:
        """Return what matching a pair needs; its memory is 0 where a file cannot be read."""
        try:
            (num_a, d_in), (num_b, _) = (self._shape(place) for place in pair)
        except (ValueError, TypeError, OSError):
            return Need()
        rows = (num_a + num_b) * d_in * _BYTES
        return Need(memory=match_memory(num_a, num_b, d_in).host + rows)

    def _shape(self, place: int) -> tuple[int, int]:
        if place not in self._shapes:
            path = self._located[place].path
            weight = read_dictionary(path, "decoder", orientation=self._orientation).weight
            self._shapes[place] = weight.shape[0], weight.shape[1]
        return self._shapes[place]

    def match(
        self, pair: Pair, *, memory_limit: int | None = None, progress: Progress | None = None
    ) -> None:
        """Match one pair and write the result.

        Raises:
            FileNotFoundError, ValueError, TypeError, OSError, MemoryError: as `match_files`.
        """
        a, b = pair
        match_files(
            self._located[a],
            self._located[b],
            SIDES,
            self.folder(pair),
            memory_limit=memory_limit,
            orientation=self._orientation,
            device=self._device,
            sha256s=[self._known_hash(place) for place in pair],
            first_wins=True,
            progress=progress,
        )

    def _known_hash(self, place: int) -> str | None:
        """Return the hash of an SAE's file; None if the file may have changed since it was read."""
        same = _state(weight_file(self._located[place].path)) == self._states[place]
        return self._hashes[place] if same else None

    def finish(self, reasons: Mapping[Pair, str | None] | None = None) -> dict[str, Any]:
        """Count what the matched pairs share, and write ``seeds.json`` and two tables.

        A latent is shared with another SAE by criterion "and" of `overlap`: the cosines of its
        decoder's match there and of its encoder's are above 0.7. ``only_in_base`` has, of n SAEs,
        the share of one's latents that it shares with none of the n - 1 others (figure 2 of
        https://arxiv.org/abs/2501.16615, whose authors draw 20 choices of each n); see
        `criteria.seed_counts.only_in_base`, and for ``fits`` through its means
        `criteria.curve_fits.fit_curves`. ``in_exactly`` counts each SAE's latents by the number of
        SAEs that they are in, itself among them, and ``exactly`` has the mean shares. All are over
        the SAEs that were matched with all others: with ``pairs="to-first"`` that is the first
        alone. ``over_seeds`` has each criterion's mean over the pairs, and its interval of level
        0.95, which is None for fewer than three SAEs: see `criteria.seed_tables.over_seeds`.

        ``seed_latents.npz`` has one row a latent, and ``seed_pairs.npz`` one an ordered pair; see
        `criteria.seed_tables`. Their descriptions, of the same names with the ending .json, list
        the SAEs, and where their firing counts come from. Where these have changed since a pair was
        matched, its live latents are counted anew.

        Args:
            reasons: why pairs could not be matched; by default what is noted in ``out/.failed``.

        Returns:
            ``{"format", "criterion", "threshold", "dictionaries": [{"name", "path", "sha256",
            "num_latents"}], "pairs": [{"a", "b", "sides", "criteria"}], "missing": [{"a", "b",
            "reason"}], "over_seeds": {criterion: {"mean", "interval"}}, "only_in_base":
            [{"dictionaries": n, "mean", "std", "min", "max", "sets"}],
            "fits": {model: ...}, "in_exactly": {name: [latents in 1, in 2, ... SAEs]}, "exactly":
            [{"dictionaries": n, "mean", "std", "min", "max"}]}``. Sides and criteria are as in the
            pair's own summary. A reason is None for a pair that was not tried, and num_latents for
            an SAE of which no pair is done.

        Raises:
            ValueError: the firing counts in an SAE's folder are of other weights.
            OSError: a file could not be written.
        """
        if reasons is None:
            names = {pair: self.folder(pair).name for pair in self.pairs}
            reasons = {pair: why_failed(self._out, name) for pair, name in names.items()}
        done = [pair for pair in self.pairs if self.is_done(pair)]
        tables = SeedTables(len(self._located), CRITERION)
        for pair in done:
            tables.add(*pair, *(Matching.load(self.folder(pair) / f"{side}.npz") for side in SIDES))
        bases = {place: latents.others for place, latents in tables.complete().items()}
        curve = only_in_base(list(bases.values())) if bases else []
        firing = self._renew(done)
        summaries = {pair: self._summary(pair) for pair in done}
        content = {
            "format": ALL_FORMAT,
            "criterion": CRITERION,
            "threshold": THRESHOLD,
            "dictionaries": self._dictionaries(summaries),
            "pairs": [
                {
                    **self._named(pair),
                    "sides": summary["sides"],
                    "criteria": summary["overlap"]["criteria"],
                }
                for pair, summary in summaries.items()
            ],
            "missing": [
                {**self._named(pair), "reason": reasons.get(pair)}
                for pair in self.pairs
                if pair not in done
            ],
            "over_seeds": over_seeds(tables.pairs(), len(self._located)),
            "only_in_base": curve,
            "fits": fit_curves(
                [point["dictionaries"] for point in curve], [point["mean"] for point in curve]
            ),
            "in_exactly": {self._names[place]: in_exactly(base) for place, base in bases.items()},
            "exactly": exact_shares(list(bases.values())) if bases else [],
        }
        self._write(content, tables, firing)
        return content

    def _dictionaries(self, summaries: Mapping[Pair, dict[str, Any]]) -> list[dict[str, Any]]:
        sizes = {
            place: summary["inputs"][letter]["num_latents"]
            for pair, summary in summaries.items()
            for letter, place in zip("ab", pair, strict=True)
        }
        told = zip(self._names, self._located, self._hashes, strict=True)
        return [
            {
                "name": name,
                "path": str(located.path.resolve()),
                "sha256": digest,
                "num_latents": sizes.get(place),
            }
            for place, (name, located, digest) in enumerate(told)
        ]

    def _renew(self, done: Sequence[Pair]) -> dict[int, KnownFiring | None]:
        """Count the pairs' live latents by what is known now, and return that, by place."""
        firing: dict[int, KnownFiring | None] = {}
        for pair in done:
            inputs = self._summary(pair)["inputs"]
            for letter, place in zip("ab", pair, strict=True):
                if place not in firing:
                    path, digest = self._located[place].path, self._hashes[place]
                    firing[place] = known_firing(path, digest, inputs[letter]["num_latents"])
            renew_live(self.folder(pair), [firing[place] for place in pair])
        return firing

    def _write(
        self,
        content: dict[str, Any],
        tables: SeedTables,
        firing: Mapping[int, KnownFiring | None],
    ) -> None:
        self._out.mkdir(parents=True, exist_ok=True)
        facts = {name: content[name] for name in ("criterion", "threshold", "dictionaries")}
        told = {self._names[place]: known and known.facts for place, known in firing.items()}
        counts = {place: known.count for place, known in firing.items() if known is not None}
        save_table(
            self._out / "seed_latents.npz",
            LATENTS_FORMAT,
            tables.latents(counts),
            {**facts, "firing": told},
        )
        save_table(self._out / "seed_pairs.npz", PAIRS_FORMAT, tables.pairs(), facts)
        with atomic_write(self._out / ALL_SUMMARY) as temporary:
            temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")

    def is_done(self, pair: Pair) -> bool:
        """Return whether a pair was matched, from these files."""
        hashes = [self._hashes[place] for place in pair]
        return is_match_of(self.folder(pair), SIDES, hashes, self._orientation)

    def _summary(self, pair: Pair) -> dict[str, Any]:
        summary: dict[str, Any] = json.loads((self.folder(pair) / SUMMARY).read_text())
        return summary

    def _named(self, pair: Pair) -> dict[str, str]:
        return {key: self._names[place] for key, place in zip("ab", pair, strict=True)}


def _state(file: Path) -> tuple[int, int]:
    stat = file.stat()
    return stat.st_mtime_ns, stat.st_size


def pairs_of(number: int, pairs: Pairs) -> list[Pair]:
    """Return the pairs of so many dictionaries, in their order.

    Raises:
        ValueError: there are no such ``pairs``.
    """
    if pairs not in get_args(Pairs):
        raise ValueError(f"pairs: expected one of {', '.join(get_args(Pairs))}, got {pairs!r}")
    if pairs == "chain":
        return list(pairwise(range(number)))
    every = list(combinations(range(number), 2))
    return every if pairs == "all" else [pair for pair in every if pair[0] == 0]
