"""What was matched, and reports of it, to the Hugging Face Hub."""

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..common.files import StrPath
from ..common.tables import read_json
from ..common.units import counted
from ..sae.hub.card import MARK, TAGS, Shared, SharedPair, header, shared_latents_text
from ..sae.hub.client import HubOptions
from ..sae.hub.pushing import Upload, carry_out, prepare
from ..sae.hub.upload import CARD
from ..sae.names import distinct_names
from .criteria.overlap import main_criterion
from .match_all import ALL_FORMAT, ALL_SUMMARY
from .match_files import SUMMARY
from .match_folder import read_summary

PAGE = "index.html"

_REPORT_FILES = re.compile(
    r"index\.html|latents\.html|static/app\.(css|js)|figures/[\w-]+\.(svg|png|csv|json)"
    r"|data/([\w-]+/)*[\w-]+\.js"
)
"""The files of a report, by their paths in its folder."""


def shared_latents(folder: StrPath) -> Shared:
    """Return what a folder of matches says of shared latents, for the cards of SAEs.

    Args:
        folder: one that `match_all` or `match_files` wrote.

    Returns:
        The share of latents of each pair, by the criterion of `match_all`; of one match by "and",
        or by the only side that was matched.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: its summary is corrupt.
    """
    folder = Path(folder)
    if not (folder / ALL_SUMMARY).is_file():
        return _one_match(read_summary(folder))
    found = read_json(folder / ALL_SUMMARY, ALL_FORMAT)
    hashes = {sae["name"]: sae["sha256"] for sae in found["dictionaries"]}
    criterion = found["criterion"]
    pairs = [
        SharedPair(
            pair["a"],
            pair["b"],
            pair["criteria"][criterion],
            all(side["certified"] for side in pair["sides"].values()),
            (hashes[pair["a"]], hashes[pair["b"]]),
        )
        for pair in found["pairs"]
    ]
    return Shared(criterion, found["threshold"], pairs)


def find_report(folder: Path) -> Path | None:
    """Return the folder of the report that ``folder`` is, or has; None if there is none."""
    places = (folder, folder / "report")
    return next((place for place in places if (place / PAGE).is_file()), None)


def push_report_to_hub(
    folder: StrPath,
    repo_id: str,
    *,
    public: bool = False,
    license: str | None = None,  # noqa: A002 - the Hub's word
    new_card: bool = False,
    token: str | bool | None = None,
    say: Callable[[str], None] | None = None,
) -> str:
    """Push a report to the Hugging Face Hub, as a Space of plain files, which shows the page.

    Args:
        folder: ``DIR/report``, or the DIR that `report.render` was given.
        repo_id: OWNER/NAME of the Space; made if there is none.
        public: make a new Space public; an old one stays what it is. A public one is only pushed
            to with this.
        license: for the card, in the Hub's words, such as "mit".
        new_card: replace a card that somebody wrote, in the folder or on the Hub.
        token: of the Hub; None: the one that was saved by logging in.
        say: told in lines what is going to be pushed, before it is.

    Returns:
        The address of the Space.

    Raises:
        FileNotFoundError: there is no report.
        ValueError, PermissionError, OSError: as for `sae.push.push_to_hub`.
    """
    report, options = find_report(Path(folder)), HubOptions(token=token)
    if report is None:
        raise FileNotFoundError(f"no report in {folder}: `twinsae report` writes one")
    upload = _upload(report, license)
    push = prepare(upload, repo_id, "space", options, public=public, new_card=new_card)
    for line in push.lines():
        if say is not None:
            say(line)
    return carry_out(push, options)


def _one_match(summary: dict[str, Any]) -> Shared:
    sides, (a, b) = summary["sides"], summary["inputs"].values()
    criterion = main_criterion(sides)
    names = distinct_names([sae.get("name") or sae["path"] for sae in (a, b)])
    pair = SharedPair(
        names[0],
        names[1],
        summary["overlap"]["criteria"][criterion],
        all(side["certified"] for side in sides.values()),
        (a["sha256"], b["sha256"]),
    )
    absolute = summary["settings"]["absolute"]
    return Shared(criterion, summary["overlap"]["threshold"], [pair], absolute)


def split_report(report: Path) -> tuple[dict[str, Path], dict[str, int]]:
    """Return the files of a report's folder that belong to it, and the bytes of the others.

    README.md belongs to it if its owner wrote one.
    """
    here = {path.relative_to(report).as_posix(): path for path in report.rglob("*")}
    known = {name for name in here if _REPORT_FILES.fullmatch(name) or name == CARD}
    files = {name: path for name, path in here.items() if path.is_file()}
    left_out = {name: path.stat().st_size for name, path in files.items() if name not in known}
    return {name: path for name, path in files.items() if name in known}, left_out


def _upload(report: Path, licence: str | None) -> Upload:
    files, left_out = split_report(report)
    page = (report / PAGE).read_text(encoding="utf-8")
    notes = []
    if elsewhere := len(set(re.findall(r"""href=["'](\.\./[^"']*)""", page))):
        links = counted(elsewhere, "link")
        notes.append(f"{links} to other reports, which are not pushed with it, will lead nowhere")
    if any(name.startswith("data/corpus-") for name in files):
        notes.append("the report holds text that the latents fire on: is it yours to show?")
    return Upload(files, _card(report, page, licence), left_out, notes)


def _card(report: Path, page: str, licence: str | None) -> str:
    """Return the README.md of a Space that shows a report's page."""
    found = re.search(r"<title>(.*?)</title>", page, re.DOTALL)
    title = " ".join(html.unescape(found[1]).split()) if found else "Shared latents"
    head = header(title=title, sdk="static", app_file=PAGE, tags=TAGS, license=licence)
    words = (
        "A report of twinsae: the Space shows it, and `index.html` opens without a network, too."
    )
    matches = report.parent
    known = any((matches / name).is_file() for name in (SUMMARY, ALL_SUMMARY))
    shared = shared_latents_text([shared_latents(matches)]) if known else []
    return "\n\n".join([head, f"# {title}", words, *shared, MARK]) + "\n"
