"""The page of a match says what the files say, and nothing that they contain can break it."""

import json
from pathlib import Path

import pytest
from twinsae.matching.report import latents, page, render

SIDES = [("decoder", "encoder"), ("decoder",), ("encoder",)]


def plain(text):
    return " ".join(text.split())


@pytest.fixture(autouse=True)
def without_figures(monkeypatch):
    """Leave out what takes seconds; `test_report_figures.py` draws."""
    monkeypatch.setattr(page, "shown_figures", lambda *_args, **_options: [])

    def write(_folder, report, **_options):
        report.mkdir(exist_ok=True)
        (report / "latents.html").write_text("")

    monkeypatch.setattr(latents, "write_browser", write, raising=False)


@pytest.mark.parametrize("sides", SIDES)
def test_table_holds_every_number_of_the_summary(tmp_path, write_match, parse, sides):
    overlap = write_match(tmp_path / "m", sides=sides)["overlap"]
    other = write_match(tmp_path / "u", sides=sides, quality=0, seed=1)["overlap"]

    found = parse(render(tmp_path / "m", baseline=tmp_path / "u"))

    for name, share in overlap["criteria"].items():
        live = overlap["live"]
        cells = found.rows[f"criterion-{name}"]
        assert [cell["values"] for cell in cells] == [
            [share, overlap["counts"][name]],
            [live["criteria"][name], live["counts"][name]],
            [other["criteria"][name], other["counts"][name]],
        ]
        assert plain(cells[0]["text"]) == f"{100 * share:.1f} % {overlap['counts'][name]}"
    rows = [name for name in found.rows if name.startswith("criterion-")]
    assert len(rows) == len(overlap["criteria"])


def test_heading_answers_the_question_by_the_names(tmp_path, write_match, write_log, parse):
    write_log(tmp_path / "run")
    overlap = write_match(tmp_path)["overlap"]
    overlap["intervals"] = {"and": [0.21, 0.29]}
    change(tmp_path, lambda summary: summary.update(overlap=overlap))
    found = parse(render(tmp_path, run=tmp_path / "run"))
    share = f"{100 * overlap['criteria']['and']:.1f} %"
    heading = f"{share} of the latents of seed0 have a partner in seed1"
    assert plain(found.text["h1"]) == heading
    assert plain(found.text["title"]) == f"seed0, seed1: {share} shared · layers.15.mlp"
    assert f"{overlap['counts']['and']} of 300 latents match one" in found.all_text()
    assert "interval over latents: 21.0 % to 29.0 %" in found.all_text()


@pytest.mark.parametrize("side", ["decoder", "encoder"])
def test_heading_of_one_side(tmp_path, write_match, parse, side):
    overlap = write_match(tmp_path, sides=(side,))["overlap"]
    found = parse(render(tmp_path))
    assert f"{100 * overlap['criteria'][side]:.1f}" in found.text["h1"]
    assert f"above 0.7 in the {side}, one to one" in found.all_text()


def bars(found):
    """Return the segments of each bar: latents, the empty ones left out."""
    widths = []
    for _, attributes in found.elements:
        if "track" in attributes.get("class", "").split():
            widths.append([])
        elif attributes.get("style", "").startswith("flex-grow"):
            widths[-1].append(int(attributes["style"].split(";")[0].split(":")[1]))
    return widths


def test_bars_of_one_side_beside_a_baseline_of_two(tmp_path, write_match, parse):
    counts = write_match(tmp_path / "m", sides=("encoder",))["overlap"]["counts"]
    other = write_match(tmp_path / "u", seed=1)["overlap"]["counts"]
    all_latents, _, baseline = bars(parse(render(tmp_path / "m", baseline=tmp_path / "u")))
    assert all_latents == [counts["encoder"], 300 - counts["encoder"]]
    assert baseline == [other["encoder"], 300 - other["encoder"]]


def test_groups_add_up_and_lead_into_the_browser(tmp_path, write_match, parse):
    overlap = write_match(tmp_path)["overlap"]
    counts = overlap["counts"]
    found = parse(render(tmp_path))
    parts, live = bars(found)
    same, both = counts["and_equal"], counts["and"]
    one = counts["decoder"] + counts["encoder"] - 2 * both
    assert parts == [n for n in (same, both - same, one, 300 - both - one) if n]
    assert sum(live) == overlap["live"]["num_latents"]
    links = {address: text for address, text in found.links() if "show=" in address}
    start = "latents.html#base=seed0&with=seed1&show="
    assert links == {
        f"{start}and_equal": f"{same}",
        f"{start}two_partners": f"{both - same}",
        f"{start}one_side": f"{one}",
        f"{start}neither": f"{300 - both - one}",
    }


def test_examples_are_the_middle_of_each_fifth(tmp_path, write_match, parse):
    write_match(tmp_path, sides=("encoder",), num_a=5, num_b=5, cosine=0.75)
    found = parse(render(tmp_path))
    assert [row for row in found.rows if " to 0." in row or " to 1." in row] == ["0.6 to 0.8"]
    latent, _, cosine, other = found.rows["0.6 to 0.8"]
    assert (plain(latent["text"]), cosine["values"], plain(other["text"])) == ("0", [0.75], "none")
    assert "latents.html#base=seed0&with=seed1&latent=0" in dict(found.links())


def test_facts_of_inputs_and_matching(tmp_path, write_match, parse):
    summary = write_match(tmp_path, num_a=310, num_b=290, d_in=48)
    found = parse(render(tmp_path))

    def cells(row):
        return [plain(cell["text"]) for cell in found.rows[row]]

    for name, size in (("seed0", 310), ("seed1", 290)):
        path, sha256, shape, layout = cells(name)
        assert path == f"layers.15.mlp/{name}, sae.safetensors"
        assert sha256 == ("a" if name == "seed0" else "b") * 12
        assert shape.replace("\N{MULTIPLICATION SIGN}", "x") == f"{size} x 48, float32"
        assert layout == "not recorded"
    assert cells("Optimal") == ["proved"] * 2
    assert cells("Proved again, apart") == ["not asked for twinsae match --verify"] * 2
    assert cells("Time") == ["1.58 s similarity 0.31 s, assignment 1.27 s"] * 2
    assert cells("Peak memory") == ["117.3 MiB"] * 2
    for row, key in (
        ("Sum of cosines", "objective"),
        ("Upper bound", "upper_bound"),
        ("Gap", "gap"),
        ("Mean cosine of matches", "mean_cosine"),
        ("Mean best cosine, seed0 to seed1", "mmcs_a_to_b"),
        ("Mean best cosine, seed1 to seed0", "mmcs_b_to_a"),
        ("Chance floor", "chance_floor"),
    ):
        values = [value for cell in found.rows[row] for value in cell["values"]]
        assert values == [side[key] for side in summary["sides"].values()]
    assert "twinsae 0.1.0" in found.all_text()
    assert "seed1 has only 290 latents, so at most 290 latents of seed0" in found.all_text()


def change(folder, edit):
    path = folder / "summary.json"
    summary = json.loads(path.read_text())
    edit(summary)
    path.write_text(json.dumps(summary))


def test_layouts_evidence_and_names_are_told(tmp_path, write_match, parse):
    write_match(tmp_path)

    def edit(summary):
        for letter, facts in summary["inputs"].items():
            facts |= {"family": "qwen_scope", "layout": "encoder (L, D), decoder (D, L)"}
            facts |= {"evidence": ["b_enc (9,)", "b_dec (4,)"]}
            facts |= {"name": f"hf:o/r:{letter}", "repo": "o/r", "commit": letter * 40}

    change(tmp_path, edit)
    rows = parse(render(tmp_path)).rows
    told = "qwen_scope: encoder (L, D), decoder (D, L) by b_enc (9,), b_dec (4,)"
    assert [plain(rows[name][3]["text"]) for name in ("seed0", "seed1")] == [told] * 2
    assert plain(rows["seed0"][0]["text"]).endswith(f"hf:o/r:a at {'a' * 12}")


def certificate(found):
    return plain(found.classes["certificate"])


def test_the_certificate_stands_at_the_top(tmp_path, write_match, parse):
    write_match(tmp_path)
    proved = "Proved optimal: the decoders and the encoders. No other one-to-one matching has a "
    proved += "sum of cosines larger by more than 3.0e-12. "
    line = certificate(parse(render(tmp_path)))
    assert line.startswith(f"{proved}twinsae match --verify proves it again")
    check = {"valid": True, "reasons": []}
    change(tmp_path, lambda s: [side.update(verified=check) for side in s["sides"].values()])
    line = certificate(parse(render(tmp_path)))
    assert line.startswith(f"{proved}An independent pass over all pairs of latents confirms it.")
    check = {"valid": False, "reasons": ["a price is too low"]}
    change(tmp_path, lambda s: s["sides"]["encoder"].update(verified=check))
    line = certificate(parse(render(tmp_path)))
    assert "does not confirm it: the encoders (a price is too low)." in line


def test_unproved_matching_is_said_to_be(tmp_path, write_match, parse):
    write_match(tmp_path)
    change(tmp_path, lambda s: s["sides"]["encoder"].update(certified=False, gap=0.125))
    found = parse(render(tmp_path))
    assert "Not proved optimal: the encoders. Another" in certificate(found)
    assert "larger by up to 0.125" in certificate(found)
    assert [plain(cell["text"]) for cell in found.rows["Optimal"]] == ["proved", "not proved"]


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda s: s["inputs"]["b"].update(sha256="a" * 64), "Both are the same file"),
        (lambda s: s["settings"].update(absolute=True), "Cosines are absolute values"),
    ],
)
def test_what_is_odd_is_told(tmp_path, write_match, parse, edit, told):
    write_match(tmp_path)
    assert told not in parse(render(tmp_path)).all_text()
    change(tmp_path, edit)
    assert told in parse(render(tmp_path)).all_text()


@pytest.mark.parametrize(("by", "told"), [("firing", "in the last epoch"), ("floor", "not known")])
def test_live_latents_are_explained(tmp_path, write_match, parse, by, told):
    write_match(tmp_path)
    change(tmp_path, lambda s: s["overlap"]["live"].update(by=by))
    assert told in parse(render(tmp_path)).all_text()


def test_a_baseline_of_untrained_saes_says_nothing_by_equal(tmp_path, write_match, parse):
    write_match(tmp_path / "m")
    write_match(tmp_path / "u", quality=0)
    text = parse(render(tmp_path / "m", baseline=tmp_path / "u")).all_text()
    assert "equal says nothing" not in text
    change(tmp_path / "u", lambda s: s["overlap"]["criteria"].update(equal=1))
    text = parse(render(tmp_path / "m", baseline=tmp_path / "u")).all_text()
    assert "equal says nothing" in text
    assert f"Baseline: {tmp_path.name}/u." in text


@pytest.mark.parametrize("place", ["", "layers.15.mlp/seed0", "layers.15.mlp/topk/seed0"])
def test_how_training_ended_is_found_around_the_inputs(
    tmp_path, write_match, write_log, parse, place
):
    lines = write_log(tmp_path / "run")
    paths = [tmp_path / "run" / place.replace("seed0", seed) for seed in ("seed0", "seed1")]
    write_match(tmp_path / "m", paths=paths if place else [tmp_path / "run"] * 2)
    path = render(tmp_path / "m")
    assert "layers.15.mlp" in parse(path).text["span"]
    for line in lines[-2:] if place else []:
        assert f'FVU <data value="{line["fvu"]}">' in path.read_text()
        assert f'L0 <data value="{line["l0"]}">' in path.read_text()


def test_run_without_log(tmp_path, write_match):
    write_match(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no log\.jsonl in"):
        render(tmp_path, run=tmp_path)


def test_baselines_that_do_not_fit_are_refused(tmp_path, write_match):
    write_match(tmp_path / "m")
    write_match(tmp_path / "u")
    change(tmp_path / "u", lambda s: s["overlap"].update(threshold=0.5))
    with pytest.raises(ValueError, match=r"counts at threshold 0\.5, expected 0\.7"):
        render(tmp_path / "m", baseline=tmp_path / "u")
    with pytest.raises(FileNotFoundError, match=r"baseline: no summary\.json in .*same command"):
        render(tmp_path / "m", baseline=tmp_path)


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("baseline_sides", SIDES)
def test_baseline_of_any_sides(tmp_path, write_match, parse, sides, baseline_sides):
    write_match(tmp_path / "m", sides=sides, num_a=30, num_b=30)
    write_match(tmp_path / "u", sides=baseline_sides, num_a=20, num_b=25)
    assert "Baseline" in parse(render(tmp_path / "m", baseline=tmp_path / "u")).all_text()


@pytest.mark.parametrize(
    ("cosine", "share"), [(-1.0, "None"), (0.0, "None"), (0.7, "None"), (1.0, "All")]
)
def test_constant_cosines(tmp_path, write_match, parse, cosine, share):
    write_match(tmp_path, cosine=cosine)
    assert plain(parse(render(tmp_path)).text["h1"]).startswith(f"{share} of the latents")


def test_nobody_live(tmp_path, write_match, parse):
    write_match(tmp_path)

    def kill(summary):
        live = summary["overlap"]["live"]
        live["num_latents"] = 0
        for block in (live["criteria"], live["counts"]):
            block.update(dict.fromkeys(block, 0))

    change(tmp_path, kill)
    assert "Live only: the 0 latents" in parse(render(tmp_path)).all_text()


def test_damaged_files_are_named(tmp_path, write_match):
    write_match(tmp_path)
    (tmp_path / "encoder.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"encoder\.npz is no matching"):
        render(tmp_path)
    (tmp_path / "encoder.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"encoder\.npz"):
        render(tmp_path)
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(ValueError, match=r"summary\.json is not valid JSON"):
        render(tmp_path)


def test_failed_write_keeps_the_old_page(tmp_path, write_match, monkeypatch):
    write_match(tmp_path)
    path = render(tmp_path)
    old = path.read_bytes()
    write = Path.write_text

    def fail(self, *args, **options):
        if "index" in self.name:
            raise OSError(28, "No space left on device")
        return write(self, *args, **options)

    monkeypatch.setattr("pathlib.Path.write_text", fail)
    with pytest.raises(OSError, match="No space left"):
        render(tmp_path)
    assert path.read_bytes() == old


HOSTILE = '/x/"><script>alert(1)</script><img src=http://evil.example/?'


def test_hostile_names_stay_text(tmp_path, write_match, write_log, parse):
    write_match(tmp_path / "m", paths=(HOSTILE + "a'&", HOSTILE + "b"))
    write_log(tmp_path / "run", hookpoints=("</style><script>alert(2)</script>",))
    path = render(tmp_path / "m", run=tmp_path / "run")
    found = parse(path)
    assert not found.tags() & {"script", "img", "iframe", "object", "embed"}
    assert not [name for _, attributes in found.elements for name in attributes if "on" in name[:2]]
    assert "alert(2)" in found.text["span"]
    assert "?a'&" in found.text["h1"]
    addresses = [address for address, _ in found.links() if address.startswith("latents.html#")]
    assert addresses
    assert not any(set("<>\"' ") & set(address) for address in addresses)


def test_no_absolute_path_is_on_the_page(tmp_path, write_match, write_log, monkeypatch):
    def gone(_folder, _report, **_options):
        raise FileNotFoundError(f"{tmp_path}/run/layers.15.mlp/seed0 does not exist")

    monkeypatch.setattr(latents, "write_browser", gone)
    write_log(tmp_path / "run")
    seeds = [tmp_path / "run" / "layers.15.mlp" / name for name in ("seed0", "seed1")]
    write_match(tmp_path / "m", paths=seeds)
    said = []
    html = render(tmp_path / "m", baseline=tmp_path / "m", say=said.append).read_text()
    assert str(tmp_path) not in html
    assert "latents.html" not in html
    assert "The latents cannot be browsed: layers.15.mlp/seed0 does not exist." in html
    assert said == [f"the latents cannot be browsed: {seeds[0]} does not exist"]
