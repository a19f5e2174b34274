"""The page's figures: all are listed, those that can be are drawn, and links lead somewhere."""

import json
import re

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from twinsae.matching.figures.analyses import ANALYSES
from twinsae.matching.figures.drawing import Drawing
from twinsae.matching.figures.registry import FIGURES
from twinsae.matching.push import split_report
from twinsae.matching.report import latents, render
from twinsae.matching.report.catalogue import CATALOGUE
from twinsae.matching.report.inline import inline_svg
from twinsae.matching.report.training_figure import Curve, training_figure


@pytest.fixture(scope="module", autouse=True)
def browser():
    """An empty page in place of the latent browser, whose SAEs are not there."""

    def write(_folder, report, **_options):
        report.mkdir(exist_ok=True)
        (report / "latents.html").write_text("")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latents, "write_browser", write, raising=False)
        yield


@pytest.fixture(scope="module")
def report(tmp_path_factory, write_match):
    """The page of a match of SAEs of two sizes, which are gone."""
    folder = tmp_path_factory.mktemp("drawn") / "match"
    write_match(folder, num_a=60, num_b=50)
    return render(folder)


def test_every_figure_of_the_paper_has_one_entry():
    names = [entry.name for entry in CATALOGUE]
    assert sorted(names) == sorted(FIGURES.keys() - ANALYSES.keys())
    ids = [entry.id for entry in CATALOGUE]
    assert len(set(ids)) == len(ids)
    order = [int(entry.paper[-1]) for entry in CATALOGUE if entry.anchor]
    assert order == [1, 2, 3]


def test_what_can_be_drawn_is_and_the_rest_is_listed_with_a_command(report, parse):
    found = parse(report)
    ids = {attributes["id"] for tag, attributes in found.elements if tag == "figure"}
    assert ids == {"fig-1", "thresholds", "max-vs-matched", "max-cosine", "matched-cosine"}
    grey = " ".join(found.classes["missing"].split())
    for entry in CATALOGUE:
        assert (entry.title in grey) == (entry.id not in ids)
        assert entry.id in ids or f"{entry.paper}" in grey
        assert entry.id in ids or entry.command in grey
    assert "(run/layers.15.mlp/seed0 does not exist): twinsae fire" in grey
    assert "twinsae figure by-size SERIES" in grey


def test_one_side_has_the_figures_of_one_side(tmp_path, write_match, parse):
    write_match(tmp_path, sides=("encoder",), num_a=30, num_b=30)
    found = parse(render(tmp_path))
    ids = {attributes["id"] for tag, attributes in found.elements if tag == "figure"}
    assert ids == {"max-vs-matched", "max-cosine"}


def test_every_link_leads_somewhere(report, parse):
    found = parse(report)
    ids = found.ids()
    assert len(ids) == len(set(ids))
    addresses = [address for address, _ in found.links()]
    inside = {address[1:] for address in addresses if address.startswith("#")}
    assert inside <= set(ids)
    assert {"figures", "criteria", "provenance", "fig-1"} <= inside
    files = {a.partition("#")[0] for a in addresses if not a.startswith(("#", "https:"))}
    assert "figures/alignment.csv" in files
    assert all((report.parent / file).is_file() for file in files)
    views = [a for a in addresses if a.startswith("latents.html#") and "x=" in a]
    assert "latents.html#base=seed0&with=seed1&x=decoder&y=encoder" in views


def test_the_page_is_complete_without_any_other_file(report, parse):
    found = parse(report)
    assert not found.tags() & {"script", "img", "iframe", "object", "embed"}
    for tag, attributes in found.elements:
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:")) or tag == "a"
    css = report.read_text().split("</style>")[0]
    assert "@import" not in css
    assert "url(" not in css


def test_every_figure_has_words(report, parse):
    found = parse(report)
    svgs = [attributes for tag, attributes in found.elements if tag == "svg"]
    assert len(svgs) == 5
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in svgs)
    assert [tag for tag, _ in found.elements].count("figcaption") == 5
    shares = json.loads((report.parents[1] / "summary.json").read_text())["overlap"]["criteria"]
    told = "At 0.7: " + ", ".join(f"{n} {100 * shares[n]:.1f} %" for n in ("max", "and"))
    assert told in found.all_text().replace("\N{NO-BREAK SPACE}", " ")


def test_figures_lie_beside_and_tell_no_absolute_path(report):
    folder = report.parent / "figures"
    assert {path.suffix for path in folder.iterdir()} == {".svg", ".png", ".csv", ".json"}
    for path in folder.glob("*.json"):
        (source,) = json.loads(path.read_text())["from"]
        assert source["path"] == "../../summary.json"
    assert split_report(report.parent)[1] == {}  # all of them would be pushed to the Hub


def test_the_same_files_give_the_same_bytes(report):
    first = report.read_bytes()
    assert render(report.parents[1]).read_bytes() == first


def curve(values, label="seed 0", colour="#123456"):
    return Curve(label, np.arange(len(values)) * 2048.0, np.array(values), colour)


def test_training_curves_are_the_logs():
    curves = [curve([5.0, 3.0, 0.0]), curve([4.0, 2.0, 1.0], "seed 1", "#654321")]
    drawing = training_figure(curves, "Latents", whole=True)
    (axes,) = drawing.figure.axes
    assert [line.get_label() for line in axes.lines] == ["seed 0", "seed 1"]
    assert [line.get_color() for line in axes.lines] == ["#123456", "#654321"]
    for line, given in zip(axes.lines, curves, strict=True):
        np.testing.assert_array_equal(line.get_xydata(), np.c_[given.tokens, given.values])
    assert drawing.table["sae"].tolist() == ["seed 0"] * 3 + ["seed 1"] * 3
    assert drawing.table["tokens"].tolist() == [0, 2048, 4096] * 2
    assert drawing.table["value"].tolist() == [5, 3, 0, 4, 2, 1]


@pytest.mark.parametrize("values", [[np.nan, np.nan], [0.0, 0.0], [np.inf, 1.0], [-1.0, -2.0]])
def test_training_curves_survive(values, tmp_path):
    files = training_figure([curve(values)], "FVU", log=True).save(tmp_path, "x")
    assert files[0].read_text().rstrip().endswith("</svg>")


def test_a_single_logged_step_is_visible():
    assert training_figure([curve([0.5])], "FVU").figure.axes[0].lines[0].get_marker() == "o"


@pytest.mark.parametrize(("low", "scale"), [(1.0, "log"), (6.0, "linear"), (0.0, "linear")])
def test_a_wide_range_has_a_logarithmic_axis(low, scale):
    curves = [curve([100.0, 50.0]), curve([low, low])]
    assert training_figure(curves, "L0", log=True).figure.axes[0].get_yscale() == scale
    assert training_figure(curves, "FVU").figure.axes[0].get_yscale() == "linear"


@pytest.fixture(scope="module")
def scribble(tmp_path_factory):
    """The text of an SVG file with a name of two words in it."""
    figure = Figure()
    axes = figure.subplots()
    (line,) = axes.plot([0, 1], marker="o")
    line.set_gid("line: a b")
    axes.set_title("a title")
    with mpl.rc_context({"svg.fonttype": "none"}):
        svg, *_ = Drawing(figure, {}).save(tmp_path_factory.mktemp("scribble"), "x")
    return svg.read_text()


def test_ids_of_two_figures_do_not_clash_and_references_resolve(scribble):
    texts = [inline_svg(scribble, name, "label") for name in ("one", "two")]
    ids = [re.findall(r'\bid="([^"]+)"', text) for text in texts]
    assert not set(ids[0]) & set(ids[1])
    assert "a b" not in texts[0]
    for text, known in zip(texts, ids, strict=True):
        assert len(set(known)) == len(known)
        assert not re.search(r"\s", "".join(known))
        used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', text))
        assert used
        assert used <= set(known)


def test_a_figure_takes_its_type_from_the_page(scribble):
    text = inline_svg(scribble, "x", "label")
    assert text.startswith("<svg ")
    assert not re.search("font-family|<style|<metadata|<!DOCTYPE|<[?]xml", text)
    assert ">a title</text>" in text


def test_a_label_is_escaped(scribble):
    text = inline_svg(scribble, "x", 'a "b" <c> \\1 \\g<0>')
    assert 'aria-label="a &quot;b&quot; &lt;c&gt; \\1 \\g&lt;0&gt;"' in text
