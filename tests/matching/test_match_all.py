"""`match_all`: every pair once, and again only what is missing."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file
from twinsae.common.tables import load_table
from twinsae.matching import AllSeeds, Matching, match_all, overlap
from twinsae.matching.criteria.intervals import mean_over_seeds
from twinsae.sae.firing import Firing

NAMES = ("s0", "s1", "s2", "s3")
PAIRS = list(combinations(NAMES, 2))


@pytest.fixture
def folders(tmp_path) -> list[Path]:
    """Four SAEs of different sizes: latents of one stock, more or less changed, and their own."""
    rng = np.random.default_rng(0)
    stock = rng.standard_normal((2, 30, 8))
    made = []
    for place, name in enumerate(NAMES):
        chosen = rng.permutation(30)[: 20 + place]
        noise = rng.uniform(0, 0.7, (len(chosen), 1)) * rng.standard_normal((2, len(chosen), 8))
        decoder, encoder = (torch.from_numpy(stock[:, chosen] + noise)).float()
        made.append(tmp_path / name)
        made[-1].mkdir()
        tensors = {"W_dec": decoder, "encoder.weight": encoder.contiguous()}
        save_file(tensors, made[-1] / "sae.safetensors")
    return made


def files(out: Path) -> dict[str, tuple[int, int]]:
    """Every pair's files, and what changes when one is written anew."""
    found = sorted(out.glob("*--*/*"))
    return {
        str(path.relative_to(out)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in found
    }


def cosines_of(folders: list[Path], key: str) -> dict[tuple[int, int], np.ndarray]:
    rows = [load_file(folder / "sae.safetensors")[key].astype(np.float64) for folder in folders]
    units = [matrix / np.linalg.norm(matrix, axis=1, keepdims=True) for matrix in rows]
    return {(i, j): units[i] @ units[j].T for i in range(4) for j in range(4)}


def test_all_pairs_are_matched_and_counted(folders, tmp_path, best_objective):
    out = tmp_path / "out"
    result = match_all(folders, out)
    assert json.loads((out / "seeds.json").read_text()) == result
    assert set(files(out)) == {
        f"{a}--{b}/{file}"
        for a, b in PAIRS
        for file in ("decoder.npz", "encoder.npz", "summary.json")
    }
    assert [(pair["a"], pair["b"]) for pair in result["pairs"]] == PAIRS
    similarities = {
        "decoder": cosines_of(folders, "W_dec"),
        "encoder": cosines_of(folders, "encoder.weight"),
    }
    is_shared = {}
    for (i, j), pair in zip(combinations(range(4), 2), result["pairs"], strict=True):
        over = []
        for side, similarity in similarities.items():
            optimum = best_objective(similarity[i, j])
            assert pair["sides"][side]["objective"] == pytest.approx(optimum, abs=1e-9)
            matching = Matching.load(out / f"s{i}--s{j}" / f"{side}.npz")
            high = similarity[i, j][matching.rows, matching.cols] > 0.7
            over.append((set(matching.rows[high].tolist()), set(matching.cols[high].tolist())))
        is_shared[i, j], is_shared[j, i] = over[0][0] & over[1][0], over[0][1] & over[1][1]
        assert pair["criteria"]["and"] == pytest.approx(len(is_shared[i, j]) / (20 + i))
    for i, name in enumerate(NAMES):
        found = [
            1 + sum(latent in is_shared[i, j] for j in range(4) if j != i)
            for latent in range(20 + i)
        ]
        assert result["in_exactly"][name] == [found.count(number) for number in (1, 2, 3, 4)]
        assert result["dictionaries"][i]["num_latents"] == 20 + i
    for point, number in zip(result["only_in_base"], (2, 3, 4), strict=True):
        shares = [
            1 - len(set().union(*(is_shared[i, j] for j in asked))) / (20 + i)
            for i in range(4)
            for asked in combinations([j for j in range(4) if j != i], number - 1)
        ]
        assert point["dictionaries"] == number
        expected = (np.mean(shares), np.std(shares), min(shares), max(shares))
        found = tuple(point[name] for name in ("mean", "std", "min", "max"))
        assert found == pytest.approx(expected)
    assert 0.1 < result["only_in_base"][0]["mean"] < 0.9
    assert list(result["fits"]) == ["power"]  # three points
    exactly = [result["in_exactly"][name][2] / (20 + i) for i, name in enumerate(NAMES)]
    assert result["exactly"][2]["mean"] == pytest.approx(np.mean(exactly))
    found = result["over_seeds"]["and"]
    shares = np.full((4, 4), np.nan)
    for (i, j), latents in is_shared.items():
        shares[i, j] = len(latents) / (20 + i)
    assert found["mean"] == pytest.approx(np.nanmean(shares))
    assert found["interval"] == pytest.approx(mean_over_seeds(shares))
    assert_tables(out, similarities, is_shared)


def assert_tables(out: Path, similarities: dict, is_shared: dict) -> None:
    """Compare both tables with the matchings of all pairs, looked up latent by latent."""
    latents = load_table(out / "seed_latents.npz", "twinsae-seed-latents/1")
    assert [made["name"] for made in latents.facts["dictionaries"]] == list(NAMES)
    rows = {name: column.tolist() for name, column in latents.columns.items()}
    assert list(zip(rows["seed"], rows["latent"], strict=True)) == [
        (i, latent) for i in range(4) for latent in range(20 + i)
    ]
    partners = {}
    for i, j in combinations(range(4), 2):
        for side in similarities:
            matching = Matching.load(out / f"s{i}--s{j}" / f"{side}.npz")
            matched = list(zip(matching.rows.tolist(), matching.cols.tolist(), strict=True))
            partners[i, j, side] = dict(matched)
            partners[j, i, side] = {col: row for row, col in matched}
    for place, (i, latent) in enumerate(zip(rows["seed"], rows["latent"], strict=True)):
        others = [j for j in range(4) if j != i]
        assert rows["in_seeds"][place] == 1 + sum(latent in is_shared[i, j] for j in others)
        means = []
        for side, similarity in similarities.items():
            cosines = [
                similarity[i, j][latent, partners[i, j, side][latent]]
                for j in others
                if latent in partners[i, j, side]
            ]
            means.append(np.mean(cosines))
            assert rows[f"{side}_cosine"][place] == pytest.approx(means[-1], abs=1e-6)
        assert rows["similarity"][place] == pytest.approx(np.mean(means), abs=1e-6)
    pairs = load_table(out / "seed_pairs.npz", "twinsae-seed-pairs/1").columns
    for a, b, share in zip(pairs["a"], pairs["b"], pairs["and"], strict=True):
        assert share == pytest.approx(len(is_shared[a, b]) / (20 + a))
    assert len(pairs["a"]) == 12


def save_firing(folder: Path, count: np.ndarray) -> None:
    digest = hashlib.sha256((folder / "sae.safetensors").read_bytes()).hexdigest()
    flat = np.zeros(len(count))
    firing = Firing(count, flat, flat, flat, flat, tokens=99)
    firing.save(folder / "firing.npz", {"sae": {"sha256": digest}})


def test_live_latents_are_counted_anew_when_firing_is_known_later(folders, tmp_path):
    out = tmp_path / "out"
    match_all(folders, out)
    before = files(out)
    fired = [np.arange(20 + place) % 3 for place in (0, 1)]
    for folder, count in zip(folders, fired, strict=False):
        save_firing(folder, count)
    match_all(folders, out)
    after = files(out)
    changed = {name for name in after if after[name] != before[name]}
    with_either = {f"{a}--{b}/summary.json" for a, b in PAIRS if {a, b} & {"s0", "s1"}}
    assert changed == with_either
    matchings = [Matching.load(out / "s0--s1" / f"{side}.npz") for side in ("decoder", "encoder")]
    summary = json.loads((out / "s0--s1" / "summary.json").read_text())
    assert summary["overlap"] == overlap(*matchings, d_in=8, fired=fired)
    other = json.loads((out / "s0--s2" / "summary.json").read_text())
    assert other["overlap"]["live"]["by"] == "floor"
    assert other["inputs"]["a"]["firing"]["file"] == "firing.npz"
    match_all(folders, out)
    assert files(out) == after


def test_firing_counts_stand_beside_the_seeds(folders, tmp_path):
    fired = np.arange(21) % 5
    save_file({"fired": torch.from_numpy(fired)}, folders[1] / "latents.safetensors")
    save_firing(folders[2], np.arange(22))
    match_all(folders, tmp_path / "out")
    table = load_table(tmp_path / "out/seed_latents.npz", "twinsae-seed-latents/1")
    told = table.facts["firing"]
    assert told["s0"] is told["s3"] is None
    assert (told["s1"]["file"], told["s1"]["tokens"]) == ("latents.safetensors", None)
    assert (told["s2"]["file"], told["s2"]["tokens"]) == ("firing.npz", 99)
    expected = [*[-1] * 20, *fired.tolist(), *range(22), *[-1] * 23]
    assert table.columns["count"].tolist() == expected


def test_a_second_call_matches_nothing(folders, tmp_path):
    first = match_all(folders, tmp_path / "out")
    before = files(tmp_path / "out")
    told = []
    again = match_all(folders, tmp_path / "out", progress=lambda *call: told.append(call))
    assert again == first
    assert files(tmp_path / "out") == before
    assert not told


def test_a_new_sae_is_matched_with_the_others_alone(folders, tmp_path):
    match_all(folders[:3], tmp_path / "out")
    before = files(tmp_path / "out")
    match_all(folders, tmp_path / "out")
    after = files(tmp_path / "out")
    assert before.items() <= after.items()
    assert len(after) == 2 * len(before)


def test_what_is_stale_or_broken_is_matched_again(folders, tmp_path):
    out = tmp_path / "out"
    match_all(folders, out)
    before = files(out)
    shutil.copy(folders[1] / "sae.safetensors", folders[0])  # s0 is another one now
    (out / "s1--s2" / "summary.json").write_text("{")
    (out / "s1--s3" / "summary.json").unlink()
    summary = json.loads((out / "s2--s3" / "summary.json").read_text())
    del summary["sides"]["encoder"]
    (out / "s2--s3" / "summary.json").write_text(json.dumps(summary))
    shutil.rmtree(out / "s0--s3")
    assert sum(not task.is_done() for task in AllSeeds(folders, out).tasks()) == 6
    result = match_all(folders, out)
    assert not set(before.values()) & set(files(out).values())
    assert result["pairs"][0]["criteria"]["and"] == 1  # s0 and s1


@pytest.mark.parametrize("broken", [{"settings": []}, {"sides": 3}, {"inputs": {"a": {}}}])
def test_a_summary_of_another_form_is_no_match(folders, tmp_path, broken):
    out = tmp_path / "out"
    match_all(folders[:2], out)
    (task,) = AllSeeds(folders[:2], out).tasks()
    assert task.is_done()
    file = out / "s0--s1" / "summary.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | broken))
    assert not task.is_done()


KILLED = """
import os, signal, sys
from twinsae.matching import match_all

def progress(phase, *_):
    if phase.startswith("s0--s3 encoder"):
        os.kill(os.getpid(), signal.SIGKILL)

match_all(sys.argv[2:], sys.argv[1], progress=progress)
"""


def test_a_killed_run_goes_on_where_it_was(folders, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-c", KILLED, str(out), *map(str, folders)]
    killed = subprocess.run(command, env=os.environ | {"PYTHONSAFEPATH": "1"}, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    before = files(out)
    assert len(before) == 2 * 3  # s0--s1 and s0--s2 are whole
    assert not (out / "seeds.json").exists()
    told = []
    result = match_all(folders, out, progress=lambda phase, *_: told.append(phase.split()[0]))
    assert before.items() <= files(out).items()
    assert sorted(set(told)) == ["s0--s3", "s1--s2", "s1--s3", "s2--s3"]
    uninterrupted = match_all(folders, tmp_path / "other")
    for name in ("dictionaries", "only_in_base", "in_exactly"):
        assert result[name] == uninterrupted[name]


def test_names_and_numbers_of_saes(folders, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ValueError, match="expected 2 dictionaries or more, got 1"):
        match_all(folders[:1], out)
    with pytest.raises(ValueError, match="s0 is given twice"):
        match_all([*folders[:2], folders[0]], out)
    odd = [tmp_path / name for name in ("x--y", "z", "x", "y--z")]
    for folder in odd:
        shutil.copytree(folders[0], folder)
    with pytest.raises(ValueError, match=r"^names: two pairs would have one folder"):
        match_all(odd, out)
    for names, told in (
        (["a"], "2 of them, got 1"),
        (["a", "a"], r"2 different names, got \['a', 'a'\]"),
        (["s1", None], r"2 different names, got \['s1', 's1'\]"),
        (["a", "b", "c"], "2 of them, got 3"),
    ):
        with pytest.raises(ValueError, match=f"^names: expected {told}"):
            match_all(folders[:2], out, names=names)
    with pytest.raises(
        ValueError, match=r"^pairs: expected one of all, chain, to-first, got 'some'"
    ):
        match_all(folders, out, pairs="some")
    for shard in ((0, 2), (3, 2), (1, 0)):
        with pytest.raises(ValueError, match=r"^shard: expected i/n with 1 <= i <= n, got \d/\d"):
            match_all(folders, out, shard=shard)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        match_all([*folders, tmp_path / "nowhere"], out)
    assert not out.exists()


def test_saes_of_one_name_get_others_and_links_keep_theirs(folders, tmp_path):
    for name in ("a", "b"):
        shutil.copytree(folders[0], tmp_path / name / "seed0")
    same = [tmp_path / "a" / "seed0", tmp_path / "b" / "seed0"]
    result = match_all(same, tmp_path / "out")
    assert [made["name"] for made in result["dictionaries"]] == ["a", "b"]
    result = match_all(same, tmp_path / "out", names=["first", "second"])
    assert [made["name"] for made in result["dictionaries"]] == ["first", "second"]
    assert (tmp_path / "out" / "first--second" / "decoder.npz").is_file()
    links = [tmp_path / "one", tmp_path / "two"]
    for link, folder in zip(links, same, strict=True):
        link.symlink_to(folder)
    assert [made["name"] for made in match_all(links, tmp_path / "linked")["dictionaries"]] == [
        "one",
        "two",
    ]


def test_files_are_named_without_their_endings(folders, tmp_path):
    paths = []
    for folder in folders[:2]:
        paths.append(tmp_path / f"{folder.name}.v2.safetensors")
        shutil.copy(folder / "sae.safetensors", paths[-1])
    match_all(paths, tmp_path / "out")
    matching = Matching.load(tmp_path / "out" / "s0.v2--s1.v2" / "decoder.npz")
    decoders = [cosines_of(folders, "W_dec")[0, 1]]
    assert matching.objective == pytest.approx(
        decoders[0][matching.rows, matching.cols].sum(), abs=1e-9
    )


def test_a_pair_that_fails_does_not_stop_the_others(folders, tmp_path):
    wide = torch.ones(5, 9)
    save_file({"W_dec": wide, "encoder.weight": wide.clone()}, folders[1] / "sae.safetensors")
    result = match_all(folders, tmp_path / "out")
    assert [(pair["a"], pair["b"]) for pair in result["pairs"]] == [
        ("s0", "s2"), ("s0", "s3"), ("s2", "s3"),
    ]  # fmt: skip
    assert [(pair["a"], pair["b"]) for pair in result["missing"]] == [
        ("s0", "s1"), ("s1", "s2"), ("s1", "s3"),
    ]  # fmt: skip
    for pair in result["missing"]:
        assert "must have the same d_in (columns), not " in pair["reason"]
    assert result["only_in_base"] == []  # none has met all others
    assert [made["num_latents"] for made in result["dictionaries"]] == [20, None, 22, 23]
    assert match_all(folders, tmp_path / "out2", memory_limit=1)["pairs"] == []


def test_a_chain_and_pairs_with_the_first(folders, tmp_path):
    every = match_all(folders, tmp_path / "all")
    chain = match_all(folders, tmp_path / "chain", pairs="chain")
    assert [(pair["a"], pair["b"]) for pair in chain["pairs"]] == [
        ("s0", "s1"), ("s1", "s2"), ("s2", "s3"),
    ]  # fmt: skip
    assert chain["in_exactly"] == chain["fits"] == {}
    assert chain["exactly"] == []
    table = load_table(tmp_path / "chain/seed_latents.npz", "twinsae-seed-latents/1")
    assert table.facts["rows"] == 0
    star = match_all(folders, tmp_path / "star", pairs="to-first")
    assert [(pair["a"], pair["b"]) for pair in star["pairs"]] == PAIRS[:3]
    assert star["in_exactly"] == {"s0": every["in_exactly"]["s0"]}
    assert star["only_in_base"][-1]["mean"] == every["in_exactly"]["s0"][0] / 20
    assert star["missing"] == chain["missing"] == every["missing"] == []


def test_shards_share_the_work_and_the_last_one_has_all(folders, tmp_path):
    whole, out = match_all(folders, tmp_path / "whole"), tmp_path / "out"
    first = match_all(folders, out, shard=(1, 2))
    before = files(out)
    assert [(pair["a"], pair["b"]) for pair in first["pairs"]] == PAIRS[::2]
    assert [pair["reason"] for pair in first["missing"]] == [None] * 3
    second = match_all(folders, out, shard=(2, 2))
    assert before.items() <= files(out).items()
    for key in ("dictionaries", "only_in_base", "in_exactly", "missing"):
        assert second[key] == whole[key]


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
@pytest.mark.parametrize("pairs", ["all", "chain", "to-first"])
def test_the_union_of_the_shards_is_the_whole(folders, tmp_path, parts, pairs):
    seeds = AllSeeds(folders, tmp_path, pairs=pairs)
    shards = [[task.pair for task in seeds.tasks((part, parts))] for part in range(1, parts + 1)]
    assert sorted(pair for shard in shards for pair in shard) == sorted(seeds.pairs)
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_the_users_orientation_reaches_every_pair(tmp_path):
    rows = np.random.default_rng(0).standard_normal((3, 9, 4)).astype(np.float32)
    paths = []
    for place, W in enumerate(rows):
        paths.append(tmp_path / f"s{place}.npz")
        np.savez(paths[-1], W_enc=W.T, W_dec=W.T)
    refused = match_all(paths, tmp_path / "out")
    assert "nothing tells whether" in refused["missing"][0]["reason"]
    for orientation, num_latents in (("DL/DL", 9), ("LD/LD", 4)):  # the other is matched anew
        result = match_all(paths, tmp_path / "out", orientation=orientation)
        assert [made["num_latents"] for made in result["dictionaries"]] == [num_latents] * 3
        assert result["missing"] == []
        states = {path: path.stat().st_mtime_ns for path in tmp_path.glob("out/*/summary.json")}
        assert match_all(paths, tmp_path / "out", orientation=orientation) == result
        assert {path: path.stat().st_mtime_ns for path in states} == states
