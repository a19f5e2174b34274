"""The page of a training run says what its log says."""

import json

import pytest
from twinsae.matching.report import render_training


def write_kinds(run, kinds=("topk", "relu"), steps=4):
    """Write the log of two seeds of each kind; return {SAE: its last line}."""
    run.mkdir()
    last = {}
    with (run / "log.jsonl").open("w") as file:
        for step in range(1, steps + 1):
            for seed in (0, 1):
                for place, kind in enumerate(kinds):
                    line = {
                        "step": step,
                        "tokens": 512 * step,
                        "sae": f"h.6/{kind}/seed{seed}",
                        "hookpoint": "h.6",
                        "seed": seed,
                        "fvu": 0.25 + 0.5 / step + 0.01 * place,
                        "l0": 8.0 * (1 + 100 * place / step),
                        "dead": 3 - seed,
                        "lr": 1e-3 / step,
                    }
                    if kind == "relu":
                        line |= {"sparsity": 5.0, "l1_loss": 0.125 / step}
                    last[line["sae"]] = line
                    file.write(json.dumps(line) + "\n")
    return last


def test_the_table_has_each_saes_last_figures(tmp_path, parse):
    last = write_kinds(tmp_path / "my-run")
    path = render_training(tmp_path / "my-run")
    assert path == tmp_path / "my-run/report/index.html"
    page = parse(path)
    for sae, line in last.items():
        values = [value for cell in page.rows[sae.removeprefix("h.6/")] for value in cell["values"]]
        assert values == [line[key] for key in ("fvu", "l0", "dead", "tokens")]
    assert len(page.rows) == 1 + len(last)
    assert page.text["h1"] == "4 SAEs after 2,048 tokens"
    assert "FVU from 0.375 to 0.385" in page.all_text()
    assert page.text["span"] == "my-runh.6"


def test_there_is_a_figure_for_all_that_is_logged(tmp_path, parse):
    write_kinds(tmp_path / "run")
    page = parse(render_training(tmp_path / "run"))
    names = [attributes["id"] for tag, attributes in page.elements if tag == "figure"]
    assert names == [f"training-{key}" for key in ("fvu", "l0", "dead", "lr", "l1-loss")]
    assert "Sparsity weight is 5 at every step." in page.all_text()
    assert len(page.ids()) == len(set(page.ids()))
    files = [address for address, _ in page.links() if address.startswith("figures/")]
    assert len(files) == 3 * len(names)
    assert all((tmp_path / "run/report" / file).is_file() for file in files)
    table = (tmp_path / "run/report/figures/training-l1-loss.csv").read_text().splitlines()
    assert table[:2] == ["sae,tokens,value", "h.6/relu/seed0,512.0,0.125"]


def test_matches_of_the_run_are_listed(tmp_path, write_match, write_log, parse):
    write_log(tmp_path / "run", steps=2)
    shares = {}
    for name in ("x", "y"):
        summary = write_match(tmp_path / "run/matches" / name, num_a=30, num_b=30, seed=len(name))
        shares[f"matches/{name}"] = summary["overlap"]["criteria"]["and"]
    page = tmp_path / "run/matches/x/report/index.html"
    page.parent.mkdir()
    page.touch()
    found = parse(render_training(tmp_path / "run"))
    links = {text: address for address, text in found.links()}
    assert links["matches/x"] == "../matches/x/report/index.html"
    assert "matches/y twinsae report matches/y" in found.rows
    assert found.rows["matches/x"][2]["values"] == [shares["matches/x"]]
    assert "matches/y" not in links


def strokes(path):
    page = path.read_text().partition("<tbody>")[2].partition("</tbody>")[0]
    return [part.partition("/>")[0] for part in page.split('stroke="')[1:]]


def test_seeds_of_a_kind_look_alike_and_kinds_differ(tmp_path):
    kinds = [f"k{number}" for number in range(8)]
    write_kinds(tmp_path / "kinds", kinds)
    found = strokes(render_training(tmp_path / "kinds"))
    assert len(found) == 16
    assert found[::2] == found[1::2]  # rows are by name: seed0, seed1 of each kind
    assert len(set(found)) == 8
    write_kinds(tmp_path / "one", ["k"])
    assert len(set(strokes(render_training(tmp_path / "one")))) == 2


def test_the_same_log_gives_the_same_bytes(tmp_path):
    write_kinds(tmp_path / "run", ["k"], steps=2)
    first = render_training(tmp_path / "run").read_bytes()
    assert render_training(tmp_path / "run").read_bytes() == first


def test_names_cannot_break_the_page(tmp_path, parse):
    write_kinds(tmp_path / "run", ["<b>&"])
    assert "b" not in parse(render_training(tmp_path / "run")).tags()


def test_a_run_that_has_logged_nothing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no log\.jsonl in"):
        render_training(tmp_path)
    (tmp_path / "log.jsonl").write_text("")
    with pytest.raises(ValueError, match=r"log\.jsonl has no line yet: nothing to draw"):
        render_training(tmp_path)
