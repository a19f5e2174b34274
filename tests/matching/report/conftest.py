"""Match folders and training runs of made-up numbers, in the files' exact formats; a browser."""

import json
import os
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from playwright.sync_api import expect, sync_playwright
from twinsae.matching import Matching

from .planted_browser import plant

TAU = 0.7
BOTH = ("decoder", "encoder")
PATIENCE = 20_000  # ms that a page may take on a busy machine


def made_up_matching(rng, num_a, num_b, quality):
    """Match min(L_A, L_B) latents; a share `quality` of them well (cosine .7-1), the rest badly."""
    matched = min(num_a, num_b)
    rows = np.sort(rng.choice(num_a, matched, replace=False)).astype(np.int64)
    cols = rng.permutation(num_b)[:matched].astype(np.int64)
    good = rng.random(matched) < quality
    cosine = np.where(good, rng.beta(8, 1.2, matched), rng.normal(0.3, 0.07, matched))
    return rows, cols, np.clip(cosine, -1, 1).astype(np.float32)


def second_side(rng, partner, by_row, agreement):
    """Match as the decoder did, except for a share of the latents, with slightly lower cosines."""
    rows = np.flatnonzero(partner >= 0)
    cols = partner[rows]
    near = by_row["decoder"]["cosine"][rows] - 0.05 + rng.normal(0, 0.04, rows.size)
    changed = np.flatnonzero(rng.random(rows.size) >= agreement)
    cols[changed] = rng.permutation(cols[changed])
    free = np.flatnonzero(partner < 0)[: changed.size]
    rows[changed[: free.size]] = free
    order = np.argsort(rows)
    return rows[order], cols[order], np.clip(near, -1, 1).astype(np.float32)[order]


def criteria(sides, tau, equal):
    """Name each criterion's (L_A,) mask, from (L_A,) cosines and row maxima by side (-2: none)."""
    masks = {side: values["cosine"] > tau for side, values in sides.items()}
    masks |= {f"max_{side}": values["row_max"] > tau for side, values in sides.items()}
    if len(sides) == 2:
        decoder, encoder = sides["decoder"], sides["encoder"]
        masks["and"] = masks["decoder"] & masks["encoder"]
        masks["and_equal"] = masks["and"] & equal
        masks["mean"] = (decoder["cosine"] + encoder["cosine"]) / 2 > tau
        masks["max"] = masks["max_decoder"] & masks["max_encoder"]
        masks["equal"] = equal
    return masks


def overlap_block(sides, num_a, equal, live):
    grid = np.round(np.linspace(0, 1, 101), 2)
    masks = criteria(sides, TAU, equal)
    sweep = {"threshold": grid.tolist()}
    for tau in grid:
        for name, mask in criteria(sides, tau, equal).items():
            if name != "equal":
                sweep.setdefault(name, []).append(float(mask.mean()))
    return {
        "threshold": TAU,
        "criteria": {name: float(mask.mean()) for name, mask in masks.items()},
        "counts": {name: int(mask.sum()) for name, mask in masks.items()},
        "num_latents": num_a,
        "live": {
            "by": "firing",
            "num_latents": int(live.sum()),
            "criteria": {n: float(m[live].mean()) if live.any() else 0.0 for n, m in masks.items()},
            "counts": {name: int(mask[live].sum()) for name, mask in masks.items()},
        },
        "sweep": sweep,
    }


def side_block(cosine, num_b, d_in):
    objective = float(cosine.astype(np.float64).sum())
    return {
        "objective": objective,
        "upper_bound": objective + 3e-12,
        "gap": 3e-12,
        "certified": True,
        "seconds": {"similarity": 0.31, "assignment": 1.27},
        "peak_memory_bytes": 123_000_000,
        "mean_cosine": float(cosine.mean()),
        "mmcs_a_to_b": 0.61,
        "mmcs_b_to_a": 0.62,
        "chance_floor": float(np.sqrt(2 * np.log(num_b) / d_in)),
        "verified": None,
    }


def input_block(path, num_latents, d_in, digit):
    return {
        "path": str(path),
        "file": "sae.safetensors",
        "sha256": digit * 64,
        "num_latents": num_latents,
        "d_in": d_in,
        "dtype": "float32",
        "firing": {"file": "latents.safetensors", "sha256": "1" * 64, "tokens": None},
    }


@pytest.fixture(scope="session")
def write_match():
    """Return a function that writes a match folder and returns its summary."""

    def write(
        folder,
        *,
        num_a=300,
        num_b=300,
        d_in=64,
        sides=BOTH,
        quality=0.45,
        agreement=0.8,
        seed=0,
        paths=("run/layers.15.mlp/seed0", "run/layers.15.mlp/seed1"),
        cosine=None,
    ):
        rng = np.random.default_rng(seed)
        folder.mkdir(parents=True, exist_ok=True)
        by_row, blocks, partners = {}, {}, {}
        for side in sides:
            rows, cols, values = made_up_matching(rng, num_a, num_b, quality)
            if side == "encoder" and "decoder" in by_row:
                rows, cols, values = second_side(rng, partners["decoder"], by_row, agreement)
            if cosine is not None:
                values = np.full_like(values, cosine)
            full = np.full(num_a, -2.0)
            full[rows] = values
            by_row[side] = {"cosine": full, "row_max": np.maximum(full, 0.05)}
            partners[side] = np.full(num_a, -1)
            partners[side][rows] = cols
            blocks[side] = side_block(values, num_b, d_in)
            Matching(
                rows, cols, values,
                row_price=np.zeros(num_a), col_price=np.zeros(num_b),
                row_max=by_row[side]["row_max"], col_max=np.full(num_b, 0.5),
                objective=blocks[side]["objective"], upper_bound=blocks[side]["upper_bound"],
            ).save(folder / f"{side}.npz")  # fmt: skip
        equal = partners[sides[0]] == partners[sides[-1]]
        live = rng.random(num_a) < 0.9
        summary = {
            "format": "twinsae-match/1",
            "versions": {"twinsae": "0.1.0", "numpy": "2.4.6", "python": "3.11.7"},
            "inputs": {
                "a": input_block(paths[0], num_a, d_in, "a"),
                "b": input_block(paths[1], num_b, d_in, "b"),
            },
            "settings": {"sides": list(sides), "memory_limit": None, "verify": False},
            "sides": blocks,
            "overlap": overlap_block(by_row, num_a, equal & (partners[sides[0]] >= 0), live),
        }
        (folder / "summary.json").write_text(json.dumps(summary))
        return summary

    return write


@pytest.fixture(scope="session")
def write_log():
    """Return a function that writes a run's log.jsonl of `seeds` and returns its lines."""

    def write(run, *, seeds=(0, 1), hookpoints=("layers.15.mlp",), steps=40, latents=300):
        run.mkdir(parents=True, exist_ok=True)
        lines = [
            {
                "step": step,
                "tokens": step * 2048,
                "hookpoint": hookpoint,
                "seed": seed,
                "fvu": 0.33 + 0.6 / (1 + step / 4) + 0.002 * seed,
                "l0": 32.0 - seed / 10,
                "dead": max(0, latents // 10 - step) + seed,
                "lr": 4e-3,
            }
            for step in range(steps)
            for hookpoint in hookpoints
            for seed in seeds
        ]
        (run / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return lines

    return write


class Page(HTMLParser):
    """A parsed page.

    `elements` holds (tag, attributes); `text` the text directly inside each kind of tag; `rows` the
    table rows by id or else by header, each a list of cells with their text and <data> values;
    `classes` the text within the elements of each class.
    """

    VOID = frozenset({"meta", "link", "use", "path", "rect", "image"})

    def __init__(self, html):
        super().__init__()
        self.elements, self.open, self.text, self.rows = [], [], {}, {}
        self.classes, self.within, self.anchors = {}, [], []
        self.row_id, self.cells = None, []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if tag not in self.VOID:
            self.open.append(tag)
            self.within.append(attributes.get("class", "").split())
        if tag == "a":
            self.anchors.append([attributes["href"], ""])
        if tag == "tr":
            self.row_id, self.cells = attributes.get("id"), []
        elif tag in {"th", "td"}:
            self.cells.append({"text": "", "values": []})
        elif tag == "data" and self.cells:
            self.cells[-1]["values"].append(float(attributes["value"]))

    def handle_endtag(self, tag):
        while self.open and self.within.pop() is not None and self.open.pop() != tag:
            pass
        if tag == "tr":
            header, *cells = self.cells
            self.rows[self.row_id or " ".join(header["text"].split())] = cells
            self.cells = []

    def handle_data(self, data):
        if self.open:
            self.text[self.open[-1]] = self.text.get(self.open[-1], "") + data
        for name in {name for names in self.within for name in names}:
            self.classes[name] = self.classes.get(name, "") + data
        if "a" in self.open:
            self.anchors[-1][1] += data
        if self.cells:
            self.cells[-1]["text"] += data

    def ids(self):
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]

    def links(self):
        """Return (address, text) of each link."""
        return [(address, " ".join(text.split())) for address, text in self.anchors]

    def tags(self):
        return {tag for tag, _ in self.elements}

    def all_text(self):
        return " ".join(" ".join(text.split()) for text in self.text.values())


@pytest.fixture
def parse():
    """Return a function that reads an HTML file into a `Page`."""
    return lambda path: Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def planted(tmp_path_factory):
    """A latent browser of three SAEs; the last one is smaller and has markup as its name."""
    return plant(tmp_path_factory.mktemp("planted"), (1000, 1000, 800))


@pytest.fixture(scope="module")
def chromium():
    """Debian's Chromium, without a window.

    Playwright's event loop counts as running until the browser is closed, which code that starts
    a loop of its own cannot bear: so a module's tests share a browser, and not all of them.
    """
    path = shutil.which("chromium")
    if not path:
        missing = "needs Chromium (Debian: chromium)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, chromium_sandbox=False)
        yield browser
        browser.close()


@pytest.fixture
def problems():
    """What pages of `open_page` reported; a test fails if anything is left in it."""
    found = []
    yield found
    assert found == []


@pytest.fixture
def open_page(chromium, problems):
    """Return a function that opens a file of a folder, in a context of its own."""
    contexts = []

    def open_(path, *, address="", width=1280, height=900, scheme="light", prepare=None, **options):
        """`address` comes behind the file's, as in "#latent=3"; `prepare` gets the empty page."""
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, **options
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        watch(page, path.parent.as_uri(), problems)
        if prepare:
            prepare(page)
        page.goto(path.as_uri() + address)
        return page

    yield open_
    for context in contexts:
        context.close()


def watch(page, folder, problems):
    """Append errors of the page's console and code to `problems`, and requests outside `folder`."""

    def check(request):
        if not request.url.startswith((f"{folder}/", "data:", "blob:")):
            problems.append(f"{request.url} is outside the folder")

    page.on("console", lambda said: said.type == "error" and problems.append(said.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", check)
