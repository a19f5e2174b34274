"""The page of several SAEs: planted latents are counted, and every cell leads into the browser."""

import json
import shutil
from urllib.parse import quote

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from twinsae.matching import match_all
from twinsae.matching.report import latents, page, render

# Which SAEs have a latent, and how many such latents there are: 10 in each SAE.
STOCK = {(0, 1, 2): 4, (0, 1): 3, (0, 2): 2, (1, 2): 1, (0,): 1, (1,): 2, (2,): 3}
IN_EXACTLY = [[1, 5, 4], [2, 4, 4], [3, 3, 4]]
SHARED = {(0, 1): 7, (0, 2): 6, (1, 2): 5}
NAMES = ["seed0", "seed1", 'two "b" <i>&\'']


@pytest.fixture(scope="module")
def matches(tmp_path_factory):
    """A folder of `match_all`; the SAEs' names must be quoted in addresses and in HTML."""
    root = tmp_path_factory.mktemp("seeds")
    rng = np.random.default_rng(7)
    rows = [[], [], []]
    for owners, number in STOCK.items():
        for row in rng.standard_normal((number, 2, 96)):
            for owner in owners:
                rows[owner].append(row)
    saes = [root / f"sae{place}" for place in range(3)]
    for place, own in zip(saes, rows, strict=True):
        place.mkdir()
        decoder, encoder = torch.tensor(np.array(own)).float().unbind(1)
        tensors = {"W_dec": decoder.contiguous(), "encoder.weight": encoder.contiguous()}
        save_file(tensors, place / "sae.safetensors")
    match_all(saes, root / "matches", names=NAMES)
    return root / "matches"


@pytest.fixture(autouse=True)
def browser(monkeypatch):
    def write(_folder, report, **_options):
        report.mkdir(exist_ok=True)
        (report / "latents.html").write_text("")

    monkeypatch.setattr(latents, "write_browser", write, raising=False)


@pytest.fixture
def without_figures(monkeypatch):
    monkeypatch.setattr(page, "shown_figures", lambda *_args, **_options: [])


@pytest.fixture
def found(matches, parse, without_figures):  # noqa: ARG001 - it must come first
    return parse(render(matches))


def plain(text):
    return " ".join(text.split())


def test_the_heading_is_a_mean_over_pairs(found):
    assert plain(found.text["h1"]) == (
        "60.0 % of an SAE's latents have a partner in another of 3 SAEs"
    )
    assert "20.0 % of an SAE's latents are in no other, and 40.0 % in all 3." in found.all_text()
    assert plain(found.classes["certificate"]).startswith("Proved optimal: 6 matchings. No other")
    assert plain(found.text["title"]) == f"3 SAEs, seed0 to {NAMES[2]}: 60.0 % shared"


def test_counts_by_the_number_of_saes_lead_to_their_latents(found):
    links = dict(found.links())
    for name, counts in zip(NAMES, IN_EXACTLY, strict=True):
        for others, count in enumerate(counts):
            address = f"latents.html#base={quote(name)}&seeds={others}:{others}"
            assert links[address] == f"{count}"


def test_cells_of_the_heat_map_lead_to_their_pair(found):
    links = dict(found.links())
    for (one, other), count in SHARED.items():
        for a, b in ((one, other), (other, one)):
            address = f"latents.html#base={quote(NAMES[a])}&with={quote(NAMES[b])}&show=and"
            assert plain(links[address]) == f"{10 * count}.0 %"
    cells = [address for address, _ in found.links() if address.endswith("show=and")]
    rows = [quote(name) for name in NAMES]
    assert cells == [
        f"latents.html#base={of}&with={other}&show=and"
        for of in rows
        for other in rows
        if other != of
    ]


def test_criteria_have_mean_and_extremes(found):
    mean, interval, lowest, highest = found.rows["criterion-and"]
    assert mean["values"] == [pytest.approx(0.6)]
    assert "to" in interval["text"]
    assert (lowest["values"], highest["values"]) == ([0.5], [0.7])


@pytest.mark.usefixtures("without_figures")
def test_a_baseline_is_shown_beside(matches, tmp_path, parse):
    shutil.copytree(matches, tmp_path / "other")
    seeds = json.loads((tmp_path / "other/seeds.json").read_text())
    seeds["over_seeds"]["and"]["mean"] = 0.25
    del seeds["over_seeds"]["equal"]
    (tmp_path / "other/seeds.json").write_text(json.dumps(seeds))
    rows = parse(render(matches, baseline=tmp_path / "other")).rows
    assert rows["criterion-and"][-1]["values"] == [0.25]
    assert plain(rows["criterion-equal"][-1]["text"]) == "none"
    with pytest.raises(FileNotFoundError, match=r"baseline: no seeds\.json in"):
        render(matches, baseline=matches / "seed0--seed1")


@pytest.mark.usefixtures("without_figures")
def test_missing_pairs_are_named(matches, tmp_path, parse):
    shutil.copytree(matches, tmp_path / "m")
    path = tmp_path / "m/seeds.json"
    seeds = json.loads(path.read_text())
    gone = seeds["pairs"].pop(0)
    seeds |= {"missing": [{"a": gone["a"], "b": gone["b"], "reason": "/secret/place is gone"}]}
    seeds |= {"in_exactly": {}, "exactly": [], "only_in_base": [], "fits": {}}
    path.write_text(json.dumps(seeds))
    written = render(tmp_path / "m")
    found = parse(written)
    assert "Not matched yet: seed0--seed1." in found.all_text()
    assert "No SAE is matched with all others yet" in found.all_text()
    assert "secret" not in written.read_text()
    assert not [address for address, _ in found.links() if "seeds=" in address]


@pytest.mark.usefixtures("without_figures")
def test_a_pair_keeps_its_names_and_links_to_its_report(matches, parse):
    folder = matches / f"seed0--{NAMES[2]}"
    assert f"have a partner in {NAMES[2]}" in parse(render(folder)).text["h1"]
    found = parse(render(matches))
    (address,) = (address for address, text in found.links() if text == "report")
    assert (matches / "report" / address).resolve() == (folder / "report/index.html").resolve()
    shutil.rmtree(folder / "report")


@pytest.mark.slow
def test_figures_over_seeds(matches, tmp_path, parse):
    lines = ["sae,latent,score"]
    lines += [f"{name},{latent},0.{latent}5" for name in NAMES[:2] for latent in range(10)]
    (tmp_path / "scores.csv").write_text("\n".join(lines))
    path = render(matches, scores=tmp_path / "scores.csv")
    found = parse(path)
    ids = [attributes["id"] for tag, attributes in found.elements if tag == "figure"]
    assert ids == [
        *("fig-1", "fig-2", "thresholds", "max-vs-matched", "max-cosine"),
        *(
            "scores",
            "score-histogram",
            "score-pairs",
            "donut",
            "heat-map",
            "counts-by-seeds",
            "matched-cosine",
        ),
    ]
    rows = (path.parent / "figures/alignment.csv").read_text().splitlines()
    assert len(rows) == 1 + 10  # of the first pair alone
    assert "Of seed0 and seed1; the report of another pair's folder draws that" in found.all_text()
    assert "expected a column explanation_cosine" in found.classes["missing"]
    assert not found.tags() & {"script", "img", "i"}
    assert "#fig-2" in dict(found.links())
