"""Folders of SAEs to repositories of the Hugging Face Hub."""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ..common.files import StrPath
from ..common.units import counted
from .firing.table import FIRING
from .formats.dictionary import LATENTS
from .formats.layouts import sae_files
from .formats.paths import find_saes, no_sae
from .hub.card import Card, CardSAE, Shared, card_text
from .hub.client import HubOptions
from .hub.pushing import Upload, carry_out, prepare
from .hub.upload import CARD, Content, check_writable
from .run_facts import Given, RunFacts, read_evaluation, run_facts
from .training.log import LOG

_BESIDE = (LATENTS, FIRING, str(Path(FIRING).with_suffix(".json")))
"""What is pushed with an SAE, besides the files that it is read from."""
_PATH = re.compile(r'"(?:/|[A-Za-z]:\\\\)[^"]*"')
"""A string of a JSON file that is a whole path."""


def push_to_hub(
    folders: StrPath | Sequence[StrPath],
    repo_id: str,
    *,
    public: bool = False,
    license: str | None = None,  # noqa: A002 - the Hub's word
    model: str | None = None,
    text: str | None = None,
    evaluation: StrPath | None = None,
    shared: Sequence[Shared] = (),
    new_card: bool = False,
    token: str | bool | None = None,
    say: Callable[[str], None] | None = None,
) -> str:
    """Push the SAEs in folders to a repository of the Hugging Face Hub, with a card.

    Pushed are the files that an SAE is read from, its firing counts, and its lines of the run's
    log; never checkpoints. A call that was interrupted is repeated, and files that are there
    already are not sent again. Nothing on the Hub is deleted.

    Args:
        folders: an SAE, which becomes the repository itself; or a folder with several below it,
            such as RUN/<hookpoint>; or several of these, whose paths in the repository begin where
            they differ.
        repo_id: OWNER/NAME; made if there is none.
        public: make a new repository public; an old one stays what it is. A public one is only
            pushed to with this.
        license: for the card, in the Hub's words, such as "mit".
        model: the language model, where the run does not tell it.
        text: what the SAEs were trained on, as `HarvestConfig` names it, where the run does not.
        evaluation: what `twinsae evaluate --out` wrote; by default RUN/evaluation.json.
        shared: what was matched, for the card; `matching.shared_latents` reads it.
        new_card: replace a card that somebody wrote, in the folder or on the Hub.
        token: of the Hub; None: the one that was saved by logging in.
        say: told in lines what is going to be pushed, before it is.

    Returns:
        The address of the repository's page.

    Raises:
        FileNotFoundError: a folder has no SAE in it, or ``evaluation`` is not there.
        ValueError: the repository is public and ``public`` is not set, its name is wrong, or the
            Hub refuses the card.
        PermissionError: there is no token.
        OSError: the Hub cannot be reached, refuses the token, or fails.
    """
    options = HubOptions(token=token)
    check_writable(repo_id, options)
    measured = None if evaluation is None else read_evaluation(Path(evaluation))
    given = [folders] if isinstance(folders, str | os.PathLike) else folders
    upload = _upload(
        [Path(each) for each in given], repo_id, Given(model, text, measured, license), shared
    )
    push = prepare(upload, repo_id, "model", options, public=public, new_card=new_card)
    for line in push.lines():
        if say is not None:
            say(line)
    return carry_out(push, options)


def _upload(folders: Sequence[Path], repo: str, given: Given, shared: Sequence[Shared]) -> Upload:
    root, places = find_places(folders)
    if given.evaluation is not None:
        known = given.evaluation.keys() & {folder.resolve() for folder in places.values()}
        if not known:
            raise ValueError("evaluation: it has none of the SAEs that are pushed")
    found = {place: run_facts(folder, given) for place, folder in places.items()}
    mine = list(of_these(shared, {facts.sha256: place for place, facts in found.items()}))
    text = card_text(_card(repo, found, given.license, mine))
    files, left_out = _files(root, folders, places, found)
    matched = counted(sum(len(each.pairs) for each in mine), "matched pair")
    return Upload(files, text, left_out, [f"card: {matched}"] if shared else [])


def find_places(folders: Sequence[Path]) -> tuple[Path, dict[str, Path]]:
    """Return the folder that the repository mirrors, and the SAEs by their places in it.

    Raises:
        FileNotFoundError: one of the folders has no SAE in it.
    """
    saes: dict[Path, None] = {}
    for folder in folders:
        below = find_saes(folder) if folder.is_dir() else []
        if not below:
            raise no_sae(folder)
        saes |= dict.fromkeys(Path(os.path.abspath(sae)) for sae in below)  # noqa: PTH100 - links
    root = Path(os.path.abspath(folders[0]))  # noqa: PTH100 - as above
    if len(folders) > 1:
        root = Path(os.path.commonpath(saes))
    places = {sae.relative_to(root).as_posix(): sae for sae in saes}
    return root, {"" if place == "." else place: sae for place, sae in places.items()}


def of_these(shared: Sequence[Shared], places: Mapping[str, str]) -> Iterator[Shared]:
    """Yield what was matched with one of some SAEs, which are called by their places.

    Args:
        shared: what was matched.
        places: {SHA-256 of the file with the weights: place in the repository}.
    """
    for each in shared:
        pairs = []
        for pair in each.pairs:
            if places.keys() & set(pair.sha256):
                a, b = (
                    places.get(digest) or name
                    for digest, name in zip(pair.sha256, pair[:2], strict=True)
                )
                pairs.append(pair._replace(a=a, b=b))
        if pairs:
            yield each._replace(pairs=pairs)


def without_paths(text: str) -> str:
    """Return a JSON text in which of each string that is a whole path the last two parts are left.

    A path tells how its owner's machine is laid out, and often the owner's name.
    """

    def short(found: re.Match[str]) -> str:
        parts = re.split(r"/+|(?:\\\\)+", found[0].strip('"'))
        return f'"{"/".join(list(filter(None, parts))[-2:])}"'

    return _PATH.sub(short, text)


def _card(
    repo: str, found: Mapping[str, RunFacts], licence: str | None, shared: Sequence[Shared]
) -> Card:
    models = {facts.base_model for facts in found.values()}
    datasets = dict.fromkeys(facts.dataset for facts in found.values() if facts.dataset)
    return Card(
        repo,
        [CardSAE(place, facts.facts, facts.quality) for place, facts in found.items()],
        models.pop() if len(models) == 1 else None,
        list(datasets),
        licence,
        shared,
    )


def _files(
    root: Path, folders: Sequence[Path], places: Mapping[str, Path], found: Mapping[str, RunFacts]
) -> tuple[dict[str, Content], dict[str, int]]:
    """Return what is pushed, by its path in the repository, and the bytes of what is not."""
    here = [path for folder in folders for path in folder.absolute().rglob("*") if path.is_file()]
    tree = {Path(os.path.relpath(path, root)).as_posix(): path for path in here}
    files: dict[str, Content] = {}
    for place in places:
        saes = sae_files(tree, place)
        inside = f"{place}/" if place else ""
        beside = (f"{inside}{name}" for name in _BESIDE)
        for name in [*(saes.files if saes else ()), *filter(tree.__contains__, beside)]:
            files[name] = _content(tree[name])
    if CARD in tree:
        files[CARD] = tree[CARD]
    left_out = {name: path.stat().st_size for name, path in tree.items() if name not in files}
    log = "".join(
        json.dumps(record | {"sae": place or places[place].name}) + "\n"
        for place, facts in found.items()
        for record in facts.log
    )
    if log:
        files[LOG] = log.encode()
    return files, left_out


def _content(path: Path) -> Content:
    """Return a file as it is pushed: JSON without paths."""
    if path.suffix != ".json":
        return path
    text = path.read_text(encoding="utf-8")
    short = without_paths(text)
    return path if short == text else short.encode()
