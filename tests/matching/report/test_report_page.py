"""The page says what the files say, and nothing that they contain can break it."""

import json

import pytest
from twinsae.matching.report import render

SIDES = [("decoder", "encoder"), ("decoder",), ("encoder",)]


def plain(text):
    return " ".join(text.split())


@pytest.mark.parametrize("sides", SIDES)
def test_table_holds_every_number_of_the_summary(tmp_path, write_match, parse, sides):
    overlap = write_match(tmp_path / "m", sides=sides)["overlap"]
    other = write_match(tmp_path / "u", sides=sides, quality=0, seed=1)["overlap"]

    page = parse(render(tmp_path / "m", baseline=tmp_path / "u"))

    for name, share in overlap["criteria"].items():
        live = overlap["live"]
        cells = page.rows[f"criterion-{name}"]
        assert [cell["values"] for cell in cells] == [
            [share, overlap["counts"][name]],
            [live["criteria"][name], live["counts"][name]],
            [other["criteria"][name], other["counts"][name]],
        ]
        assert plain(cells[0]["text"]) == f"{100 * share:.1f} % {overlap['counts'][name]}"
    rows = [name for name in page.rows if name.startswith("criterion-")]
    assert len(rows) == len(overlap["criteria"])


def test_heading_answers_the_question(tmp_path, write_match, parse):
    overlap = write_match(tmp_path)["overlap"]
    page = parse(render(tmp_path))
    share = 100 * overlap["criteria"]["and"]
    assert plain(page.text["h1"]) == f"{share:.0f} % of the latents of A have a partner in B"
    assert page.text["title"] == page.text["h1"]
    assert f"{overlap['counts']['and']} of the 300 latents of A" in page.all_text()


@pytest.mark.parametrize("side", ["decoder", "encoder"])
def test_heading_of_one_side(tmp_path, write_match, parse, side):
    overlap = write_match(tmp_path, sides=(side,))["overlap"]
    page = parse(render(tmp_path))
    assert f"{100 * overlap['criteria'][side]:.0f}" in page.text["h1"]
    assert f"above 0.7 in the {side}, one to one" in page.all_text()
    assert "joint" not in page.ids()
    assert {"sweep", "histogram"} <= set(page.ids())


def bars(page):
    """Return each bar's segments: {kind: latents}."""
    found = []
    for _, attributes in page.elements:
        if attributes.get("class") == "track":
            found.append({})
        elif attributes.get("style", "").startswith("flex-grow"):
            found[-1][attributes["class"]] = int(attributes["style"].split(":")[1])
    return found


def test_bars_of_one_side_beside_a_baseline_of_two(tmp_path, write_match, parse):
    counts = write_match(tmp_path / "m", sides=("encoder",))["overlap"]["counts"]
    other = write_match(tmp_path / "u", seed=1)["overlap"]["counts"]
    all_latents, _, untrained = bars(parse(render(tmp_path / "m", baseline=tmp_path / "u")))
    assert all_latents == {"same": counts["encoder"], "none": 300 - counts["encoder"]}
    assert untrained == {"same": other["encoder"], "none": 300 - other["encoder"]}


def test_bars_add_up(tmp_path, write_match, parse):
    overlap = write_match(tmp_path)["overlap"]
    counts = overlap["counts"]
    parts, live = bars(parse(render(tmp_path)))
    assert sum(parts.values()) == 300
    assert sum(live.values()) == overlap["live"]["num_latents"]
    assert parts["same"] == counts["and_equal"]
    assert parts["same"] + parts["other"] == counts["and"]
    assert parts["one"] == counts["decoder"] + counts["encoder"] - 2 * counts["and"]


def test_facts_of_inputs_and_matching(tmp_path, write_match, parse):
    summary = write_match(tmp_path, num_a=310, num_b=290, d_in=48)
    page = parse(render(tmp_path))

    def cells(row):
        return [plain(cell["text"]) for cell in page.rows[row]]

    def values(row):
        return [value for cell in page.rows[row] for value in cell["values"]]

    assert cells("Path") == ["run/layers.15.mlp/seed0", "run/layers.15.mlp/seed1"]
    assert cells("File") == ["sae.safetensors"] * 2
    assert cells("SHA-256") == ["a" * 12, "b" * 12]
    shapes = [shape.replace("\N{MULTIPLICATION SIGN}", "x") for shape in cells("Shape, type")]
    assert shapes == ["310 x 48, float32", "290 x 48, float32"]
    assert cells("Optimal") == ["proved"] * 2
    assert cells("Time") == ["1.58 s similarity 0.31 s, assignment 1.27 s"] * 2
    assert cells("Peak memory") == ["117.3 MiB"] * 2
    for row, key in (
        ("Sum of cosines", "objective"),
        ("Upper bound", "upper_bound"),
        ("Gap", "gap"),
        ("Mean cosine of matches", "mean_cosine"),
        ("Mean best cosine, A to B", "mmcs_a_to_b"),
        ("Mean best cosine, B to A", "mmcs_b_to_a"),
        ("Chance floor", "chance_floor"),
    ):
        assert values(row) == [side[key] for side in summary["sides"].values()]
    assert "twinsae 0.1.0" in page.all_text()
    assert "B has only 290 latents, so at most 290 latents of A" in page.all_text()


def change(folder, edit):
    path = folder / "summary.json"
    summary = json.loads(path.read_text())
    edit(summary)
    path.write_text(json.dumps(summary))


def test_layouts_evidence_and_names_are_told(tmp_path, write_match, parse):
    write_match(tmp_path)
    assert "Layout" not in parse(render(tmp_path)).rows  # of a match before these were recorded

    def edit(summary):
        for letter, facts in summary["inputs"].items():
            facts |= {"family": "qwen_scope", "layout": "encoder (L, D), decoder (D, L)"}
            facts |= {"evidence": ["b_enc (9,)", "b_dec (4,)"]}
            facts |= {"name": f"hf:o/r:{letter}", "repo": "o/r", "commit": letter * 40}

    change(tmp_path, edit)
    rows = parse(render(tmp_path)).rows
    told = "qwen_scope: encoder (L, D), decoder (D, L) by b_enc (9,), b_dec (4,)"
    assert [plain(cell["text"]) for cell in rows["Layout"]] == [told] * 2
    names = [plain(cell["text"]) for cell in rows["Name"]]
    assert names == [f"hf:o/r:{letter} at {letter * 12}" for letter in "ab"]


def test_unproved_matching_is_said_to_be(tmp_path, write_match, parse):
    write_match(tmp_path)
    change(tmp_path, lambda s: s["sides"]["encoder"].update(certified=False, gap=0.125))
    text = parse(render(tmp_path)).all_text()
    assert "The encoder matching is not proved optimal" in text
    assert "larger by up to 0.125" in text
    assert "The decoder matching is proved optimal" in text


@pytest.mark.parametrize(
    ("verified", "told"),
    [
        (None, "not asked for"),
        ({"valid": True, "reasons": []}, "confirmed"),
        ({"valid": False, "reasons": ["a", "b"]}, "not confirmed a; b"),
    ],
)
def test_second_pass(tmp_path, write_match, parse, verified, told):
    write_match(tmp_path, sides=("decoder",))
    change(tmp_path, lambda s: s["sides"]["decoder"].update(verified=verified))
    (cell,) = parse(render(tmp_path)).rows["Checked by a second pass"]
    assert cell["text"] == told


def test_live_by_floor_is_explained(tmp_path, write_match, parse):
    write_match(tmp_path)
    change(tmp_path, lambda s: s["overlap"]["live"].update(by="floor", num_latents=123))
    assert "the 123 latents of A that are more like" in parse(render(tmp_path)).all_text()


def test_equal_by_construction_is_pointed_out(tmp_path, write_match, parse):
    write_match(tmp_path / "m")
    write_match(tmp_path / "u", agreement=1.0)
    words = "each decoder is still a copy of its encoder"
    assert words in parse(render(tmp_path / "m", baseline=tmp_path / "u")).all_text()
    assert words not in parse(render(tmp_path / "m", baseline=tmp_path / "m")).all_text()


def test_same_file_twice_is_pointed_out(tmp_path, write_match, parse):
    write_match(tmp_path)
    change(tmp_path, lambda s: s["inputs"]["b"].update(sha256=s["inputs"]["a"]["sha256"]))
    assert "A and B are the same file" in parse(render(tmp_path)).all_text()


def test_training_is_found_around_input_a(tmp_path, write_match, write_log, parse):
    lines = write_log(tmp_path / "run")
    paths = [str(tmp_path / "run" / "layers.15.mlp" / f"seed{n}") for n in (0, 1)]
    write_match(tmp_path / "m", paths=paths)
    path = render(tmp_path / "m")
    page, html = parse(path), path.read_text()
    assert {"training-fvu", "training-l0", "training-dead"} <= set(page.ids())
    for line in lines[-2:]:
        assert f'FVU <data value="{line["fvu"]}">' in html
        assert f'L0 <data value="{line["l0"]}">' in html
    assert "2 SAEs on layers.15.mlp" in page.all_text()


def test_training_of_a_run_named(tmp_path, write_match, write_log, parse):
    write_log(tmp_path / "elsewhere", seeds=(7,))
    write_match(tmp_path / "m", paths=("a.npy", "b.npy"))
    page = parse(render(tmp_path / "m", run=tmp_path / "elsewhere"))
    assert "training-fvu" in page.ids()
    assert "One SAE on layers.15.mlp" in page.all_text()


def test_without_log_a_sentence(tmp_path, write_match, parse):
    write_match(tmp_path, paths=(str(tmp_path / "a.npy"), str(tmp_path / "b.npy")))
    page = parse(render(tmp_path))
    assert "training-fvu" not in page.ids()
    assert "No training log was found" in page.all_text()


def test_run_without_log(tmp_path, write_match):
    write_match(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no log\.jsonl in"):
        render(tmp_path, run=tmp_path)


def test_baseline_of_another_threshold_is_refused(tmp_path, write_match):
    write_match(tmp_path / "m")
    write_match(tmp_path / "u")
    change(tmp_path / "u", lambda s: s["overlap"].update(threshold=0.5))
    with pytest.raises(ValueError, match=r"counts at threshold 0\.5, expected 0\.7"):
        render(tmp_path / "m", baseline=tmp_path / "u")


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("baseline_sides", SIDES)
def test_baseline_of_any_sides(tmp_path, write_match, parse, sides, baseline_sides):
    write_match(tmp_path / "m", sides=sides, num_a=30, num_b=30)
    write_match(tmp_path / "u", sides=baseline_sides, num_a=20, num_b=25)
    text = parse(render(tmp_path / "m", baseline=tmp_path / "u")).all_text()
    assert "Untrained" in text


@pytest.mark.parametrize(("num_a", "num_b"), [(1, 1), (1, 9), (9, 1), (12, 11), (3000, 5)])
def test_odd_sizes(tmp_path, write_match, parse, num_a, num_b):
    write_match(tmp_path, num_a=num_a, num_b=num_b, d_in=1)
    page = parse(render(tmp_path))
    assert {"joint", "sweep", "histogram"} <= set(page.ids())


@pytest.mark.parametrize("cosine", [-1.0, 0.0, 0.7, 1.0])
def test_constant_cosines(tmp_path, write_match, parse, cosine):
    overlap = write_match(tmp_path, cosine=cosine)["overlap"]
    page = parse(render(tmp_path))
    share = {0: "None of", 1: "100 % of"}[overlap["criteria"]["and"]]
    assert plain(page.text["h1"]).startswith(share)


def test_nobody_live(tmp_path, write_match, parse):
    write_match(tmp_path)

    def kill(summary):
        live = summary["overlap"]["live"]
        live["num_latents"] = 0
        for block in (live["criteria"], live["counts"]):
            block.update(dict.fromkeys(block, 0))

    change(tmp_path, kill)
    assert "Live only: the 0 latents" in parse(render(tmp_path)).all_text()


def test_same_input_same_bytes(tmp_path, write_match, write_log):
    write_match(tmp_path / "m", num_a=2500, num_b=2500)
    write_match(tmp_path / "u", quality=0)
    write_log(tmp_path / "run")
    options = {"run": tmp_path / "run", "baseline": tmp_path / "u"}
    path = render(tmp_path / "m", **options)
    first = path.read_bytes()
    assert render(tmp_path / "m", **options).read_bytes() == first
    assert path == tmp_path / "m" / "report" / "index.html"
    assert [entry.name for entry in path.parent.iterdir()] == ["index.html"]


def test_failed_write_keeps_the_old_page(tmp_path, write_match, monkeypatch):
    write_match(tmp_path)
    path = render(tmp_path)
    old = path.read_bytes()

    def fail(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", fail)
    with pytest.raises(OSError, match="No space left"):
        render(tmp_path)
    assert path.read_bytes() == old
    assert [entry.name for entry in path.parent.iterdir()] == ["index.html"]


HOSTILE = '/x/"><script>alert(1)</script><img src=http://evil.example/?'


def test_hostile_names_stay_text(tmp_path, write_match, write_log, parse):
    write_match(tmp_path / "m", paths=(HOSTILE + "a", HOSTILE + "b"))
    write_log(tmp_path / "run", hookpoints=("</style><script>alert(2)</script>",))
    page = parse(render(tmp_path / "m", run=tmp_path / "run"))
    assert not page.tags() & {"script", "img", "iframe", "object", "embed"}
    assert HOSTILE + "a" in page.text["td"]
    assert "alert(2)" in page.text["span"]


def test_page_needs_nothing_but_itself(tmp_path, write_match, write_log, parse):
    write_match(tmp_path / "m", num_a=2500, num_b=2500)
    write_log(tmp_path / "run")
    path = render(tmp_path / "m", run=tmp_path / "run")
    page = parse(path)
    assert "script" not in page.tags()
    for tag, attributes in page.elements:
        for name in ("src", "href", "xlink:href"):
            address = attributes.get(name, "#")
            assert address.startswith(("#", "data:")) or tag == "a"
    css = path.read_text().split("</style>")[0]
    assert "@import" not in css
    assert "url(" not in css


def test_ids_are_unique_and_figures_have_words(tmp_path, write_match, write_log, parse):
    write_match(tmp_path / "m")
    write_match(tmp_path / "u", quality=0)
    write_log(tmp_path / "run")
    page = parse(render(tmp_path / "m", run=tmp_path / "run", baseline=tmp_path / "u"))
    assert len(page.ids()) == len(set(page.ids()))
    figures = [attributes for tag, attributes in page.elements if tag == "svg"]
    assert len(figures) == 6
    assert all(figure["role"] == "img" and figure["aria-label"] for figure in figures)
    assert [tag for tag, _ in page.elements].count("figcaption") == 6
