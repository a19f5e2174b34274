"""Figures of several SAEs and of scores, from folders, read back from their CSV files."""

import csv
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from twinsae.matching.figures import draw
from twinsae.matching.figures.from_seeds import fired, read_latents, scored
from twinsae.matching.figures.pairs import read_pairs
from twinsae.matching.figures.score_files import read_scores


@pytest.fixture
def pair(matches: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(matches / "seed0--seed1", tmp_path / "pair"))


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    """Scores of seed1's latents 0 to 9, and of all of seed0's, in which latent n has n / 20."""
    path = tmp_path / "scores.csv"
    with path.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["sae", "latent", "score", "explanation_cosine"])
        writer.writerows(["seed0", n, n / 20, 1 - n / 20] for n in range(20))
        writer.writerows(["seed1", n, 0.5, 0.25] for n in range(10))
    return path


def test_fig_2_has_the_means_over_all_seeds(matches, tmp_path, read, in_exactly):
    draw("unique-by-seeds", matches, tmp_path)
    found = read(tmp_path / "unique-by-seeds.csv")
    assert found["saes"] == [2, 3]
    alone = [counts[0] / 20 for counts in in_exactly.values()]
    assert found["mean"][1] == pytest.approx(np.mean(alone))
    assert found["mean"][0] == pytest.approx(1 - np.mean([13, 12, 13, 11, 12, 11]) / 20)
    assert not (tmp_path / "unique-by-seeds-fit.csv").exists()  # three SAEs tell no curve


def test_fig_2_has_the_curve_that_match_all_fitted(matches, tmp_path, read):
    planted = tmp_path / "five"
    planted.mkdir()
    content = json.loads((matches / "seeds.json").read_text())
    parameters = {"a": 0.5, "b": -1.0, "c": 0.25}
    content["fits"] = {"power_offset": {"parameters": parameters, "intervals": {"a": [0, 1]}}}
    (planted / "seeds.json").write_text(json.dumps(content))
    for name in ("seed0--seed1", "seed0--seed2", "seed1--seed2"):
        (planted / name).symlink_to(matches / name)
    draw("unique-by-seeds", planted)
    curve = read(planted / "figures/unique-by-seeds-fit.csv")
    np.testing.assert_allclose(curve["share"], 0.5 / np.array(curve["saes"]) + 0.25)
    content["fits"]["power_offset"]["intervals"] = None  # the means do not determine a curve
    (planted / "seeds.json").write_text(json.dumps(content))
    assert len(draw("unique-by-seeds", planted, tmp_path / "none")) == 4


def test_counts_and_the_ring_are_of_the_planted_groups(matches, tmp_path, read, in_exactly):
    draw("counts-by-seeds", matches, tmp_path)
    found = read(tmp_path / "counts-by-seeds.csv")
    assert found["latents"] == [count for counts in in_exactly.values() for count in counts]
    assert found["saes"] == [1, 2, 3] * 3
    draw("donut", matches, tmp_path)
    shares = read(tmp_path / "donut.csv")["share"]
    np.testing.assert_allclose(shares, np.mean(list(in_exactly.values()), axis=0) / 20)


def test_the_heat_map_is_of_the_planted_pairs(matches, pair, tmp_path, read, shared_latents):
    draw("heat-map", matches, tmp_path)
    found = read(tmp_path / "heat-map.csv")
    cells = dict(zip(zip(found["of"], found["with"], strict=True), found["share"], strict=True))
    expected = {key: count / 20 for key, count in shared_latents.items()}
    assert cells == expected | {(b, a): share for (a, b), share in expected.items()}
    draw("heat-map", pair, tmp_path)
    assert read(tmp_path / "heat-map.csv")["share"] == [13 / 20] * 2


def test_fig_3_puts_every_latent_in_its_group(matches, tmp_path, read, in_exactly):
    draw("frequency", matches, tmp_path)
    found = read(tmp_path / "frequency.csv")
    for place, (name, counts) in enumerate(in_exactly.items()):
        own = [n for n, sae in enumerate(found["sae"]) if sae == name]
        groups = Counter(found["in_saes"][n] for n in own)
        assert [groups[n] for n in (1, 2, 3)] == counts
        assert [found["count"][n] for n in own] == [10 * n + place for n in range(20)]
    everywhere = np.array(found["in_saes"]) == 3
    np.testing.assert_allclose(np.array(found["similarity"])[everywhere], 1, atol=1e-6)
    bins = read(tmp_path / "frequency-count-histogram.csv")
    assert [sum(bins[f"in_{n}"]) for n in (1, 2, 3)] == [15, 18, 27]
    svg = (tmp_path / "frequency.svg").read_text()
    assert "on 1,000 tokens" in svg


def test_fig_3_of_a_pair_has_two_groups(pair, tmp_path, read):
    draw("frequency", pair, tmp_path)
    found = read(tmp_path / "frequency.csv")
    assert Counter(found["in_saes"]) == {2: 26, 1: 14}


def test_counts_of_different_tokens_are_not_pooled(matches):
    latents = read_latents(matches)
    assert fired(latents)[1] == 1000
    latents.tokens["seed1"] = 500
    with pytest.raises(ValueError, match=r"of different numbers of tokens, .*'seed1': 500"):
        fired(latents)
    latents.table["count"][:] = -1
    with pytest.raises(ValueError, match="no firing counts are known: run `twinsae fire`"):
        fired(latents)


@pytest.mark.parametrize("name", ["scores", "score-histogram"])
def test_scores_stand_beside_their_latents(matches, scores, tmp_path, read, name, in_exactly):
    table = scored(read_latents(matches), read_scores(scores))
    assert table["sae"].tolist() == ["seed0"] * 20 + ["seed1"] * 10
    assert table["score"].tolist() == [n / 20 for n in range(20)] + [0.5] * 10
    files = draw(name, matches, tmp_path, scores=scores)
    told = json.loads(files[-1].read_text())
    assert [Path(entry["path"]).name for entry in told["from"]] == ["seeds.json", "scores.csv"]
    first = read(tmp_path / f"{name}.csv")
    if name == "scores":
        assert first["score"] == table["score"].tolist()
        first = read(tmp_path / "scores-score-histogram.csv")
    total = [sum(first[f"in_{n}"]) for n in (1, 2, 3)]
    assert sum(total) == 30
    assert all(n >= least for n, least in zip(total, in_exactly["seed0"], strict=True))


def test_scores_of_matched_latents(matches, pair, scores, tmp_path, read):
    draw("score-pairs", matches, tmp_path, scores=scores)
    found = read(tmp_path / "score-pairs.csv")
    assert set(found["pair"]) == {"seed0--seed1"}
    assert len(found["latent"]) == 10
    assert found["score_a"] == [n / 20 for n in found["latent"]]
    assert max(found["match"]) < 10
    assert found["score_b"] == [0.5] * 10
    draw("explained-cosine", pair, tmp_path, scores=scores)
    found = read(tmp_path / "explained-cosine.csv")
    assert found["explanation_cosine"] == [1 - n / 20 for n in range(20)]
    assert sum(cosine > 0.999 for cosine in found["decoder_cosine"]) == 13


def test_a_pair_of_many_keeps_the_names_that_it_has_there(matches, tmp_path):
    shutil.copytree(matches / "seed0--seed1", tmp_path / "left--right")
    content = json.loads((matches / "seeds.json").read_text())
    content["pairs"] = [{"a": "left", "b": "right"}]
    (tmp_path / "seeds.json").write_text(json.dumps(content))
    assert read_pairs(tmp_path / "left--right")[0].name == "left--right"
    shutil.copytree(matches / "seed0--seed2", tmp_path / "other")
    assert read_pairs(tmp_path / "other")[0].name == "seed0--seed2"


def test_explanations_need_the_table_alone(scores, read):
    draw("explanations", scores)
    found = read(scores.parent / "figures/explanations.csv")
    assert sum(found["explanation_cosine"]) == 30
    means = read(scores.parent / "figures/explanations-means.csv")
    assert means["mean"][0] == pytest.approx((10.5 + 2.5) / 30)


def test_what_is_missing_is_said(matches, pair, scores, tmp_path):
    with pytest.raises(ValueError, match="holds 3 pairs, and cosines of explanations are of one"):
        draw("explained-cosine", matches, scores=scores)
    with pytest.raises(FileNotFoundError, match=r"no seeds\.json in"):
        draw("donut", pair)
    scores.write_text("sae,latent,score\nseed7,0,1\n")
    with pytest.raises(ValueError, match=r"expected some of seed0, .*, got those of seed7"):
        draw("scores", matches, tmp_path, scores=scores)
    with pytest.raises(ValueError, match="expected a column explanation_cosine, got sae, latent"):
        draw("explained-cosine", pair, scores=scores)
    with pytest.raises(ValueError, match="expected some of both of seed0 and seed1, got those of"):
        draw("score-pairs", pair, scores=scores)
    old = Path(shutil.copytree(matches, tmp_path / "old"))
    (old / "seed_latents.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"no seed_latents\.npz in .*: run `twinsae match-"):
        draw("frequency", old)
    content = json.loads((old / "seeds.json").read_text())
    (old / "seeds.json").write_text(json.dumps(content | {"only_in_base": [], "in_exactly": {}}))
    for name in ("unique-by-seeds", "donut"):
        with pytest.raises(ValueError, match="no SAE is matched with all others yet"):
            draw(name, old)
