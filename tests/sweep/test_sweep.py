"""A whole sweep of a tiny model: what comes out, what is skipped, what fails, and shards."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from twinsae.matching import AllSeeds, Matching, match
from twinsae.sae import load_sae, train
from twinsae.sae.activations import ActivationStream, HarvestPart, open_activations
from twinsae.sae.firing import load_firing
from twinsae.sae.training import Job, train_many
from twinsae.sweep import Sweep, finish, read_grid
from twinsae.sweep.planning import plan

GRID = """
base: {{model: {model}, hookpoint: h.1, text: {text}, tokens: 600, context: 16, num_latents: 20,
        k: 3, batch_size: 100, warmup_steps: 2, lr: 4.0e-3, seeds: [0, 1, 2]}}
series:
  size: {{num_latents: 31, seeds: [0, 1]}}
  tokens: {{tokens: 300, epochs: 3, seeds: [0, 1]}}
  place: {{hookpoint: h.0.mlp, seeds: [1, 0]}}
"""
PAIRS = {
    "base/h.1/base": 3,
    "base/h.1/num_latents=31": 1,
    "tokens=300,epochs=3/h.1/base": 1,
    "base/h.0.mlp/base": 1,
}


@pytest.fixture(scope="module")
def grid(tmp_path_factory, model_folder):
    folder = tmp_path_factory.mktemp("grid")
    letters = random.Random(0).choices("abcdefghijklmnopqrstuvwxyz", k=1500)
    (folder / "text.txt").write_text("".join(letters))
    text = GRID.format(model=model_folder, text=folder / "text.txt")
    (folder / "grid.yaml").write_text(text)
    return read_grid(folder / "grid.yaml")


@pytest.fixture(scope="module")
def done(tmp_path_factory, grid):
    out = tmp_path_factory.mktemp("sweep")
    begun = []
    sweep = Sweep(grid, out)
    outcome = sweep.run(begins=begun.append)
    assert not outcome.failed
    assert not outcome.waiting
    assert outcome.done == begun == [task.name for task in sweep.tasks]
    return sweep


@pytest.fixture(scope="module")
def streamed(tmp_path_factory, grid, model_folder):
    base = grid.configurations[0].settings
    folder = tmp_path_factory.mktemp("streamed")
    text = GRID.format(model=model_folder, text=base["text"]).split("series")[0]
    text = text.replace("tokens: 600", "tokens: 600, stored_tokens: 250").replace(", 2]", "]")
    (folder / "grid.yaml").write_text(text)
    sweep = Sweep(read_grid(folder / "grid.yaml"), folder / "sweep")
    outcome = sweep.run()
    assert not outcome.failed
    assert not outcome.waiting
    return sweep


def files_of(folder: Path):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def itemsize(sweep) -> int:
    """The bytes of a stored number: a processor that multiplies bfloat16 harvests in it."""
    return open_activations(sweep.out / "activations/base/h.1").dtype.itemsize


def test_hookpoints_of_which_one_leaves_out_first_tokens(tmp_path, grid, monkeypatch):
    answers = iter([True, False])
    monkeypatch.setattr("twinsae.sae.activations.plan.is_sink", lambda *_: next(answers))
    outcome = Sweep(grid, tmp_path).run()
    assert not outcome.failed
    assert not outcome.waiting
    skip = {
        name: open_activations(tmp_path / "activations/base" / name).meta["skip_first"]
        for name in ("h.1", "h.0.mlp")
    }
    assert sorted(skip.values()) == [False, True]


def test_there_is_one_harvest_for_modules_that_need_equally_many_tokens(done):
    names = [task.name for task in done.every if task.name.startswith("harvest")]
    assert names == ["harvest base h.1 h.0.mlp"]


def test_the_saes_are_those_of_training_alone(done, grid, tmp_path):
    _, size, tokens, _ = grid.configurations
    store = open_activations(done.out / "activations/base/h.1")
    assert store.rows == 600
    for each, own in ((size, store), (tokens, store.first(300))):
        alone = train(own, tmp_path / each.variant, "h.1", each.sae(12), each.training)
        for seed, sae in zip(each.seeds, alone, strict=True):
            found = load_sae(done.out / "saes" / each.folder / f"seed{seed}")
            assert torch.equal(found.encoder.weight, sae.encoder.weight)
            assert torch.equal(found.W_dec, sae.W_dec)


def test_firing_is_counted_on_the_tokens_of_training(done, grid):
    for each in grid.configurations:
        table = json.loads((done.out / "saes" / each.folder / "seed1/firing.json").read_text())
        assert table["tokens"] == each.settings["tokens"]
    store = open_activations(done.out / "activations/base/h.1")
    folder = done.out / "saes/tokens=300,epochs=3/h.1/base/seed0"
    sae = load_sae(folder)
    fired = sae.encode(store.gather(np.arange(300))).indices
    found = json.loads((folder / "firing.json").read_text())
    count = load_firing(folder, found["sae"]["sha256"]).count
    expected = torch.bincount(fired[fired >= 0].flatten(), minlength=20)
    np.testing.assert_array_equal(count, expected.numpy())


def test_with_stored_tokens_training_streams_and_the_stored_ones_are_counted(streamed, tmp_path):
    (each,) = streamed.grid.configurations
    assert open_activations(streamed.out / "activations/base/h.1").rows == 250
    with ActivationStream(each.streamed) as stream:
        jobs = [Job("h.1", each.sae(12), each.training, seed, f"seed{seed}") for seed in (0, 1)]
        assert stream.tokens == 600
        train_many(stream, tmp_path, jobs)
    for seed in each.seeds:
        folder = streamed.out / f"saes/base/h.1/base/seed{seed}"
        assert torch.equal(load_sae(folder).W_dec, load_sae(tmp_path / f"seed{seed}").W_dec)
        assert json.loads((folder / "firing.json").read_text())["tokens"] == 250


def test_the_plan_of_a_stream_stores_no_more_than_it_counts(streamed, tmp_path):
    kinds = {kind.name: kind for kind in plan(Sweep(streamed.grid, tmp_path)).kinds}
    assert kinds["harvest"].disk == 250 * (12 * itemsize(streamed) + 16)
    assert kinds["train"].tokens == 600
    assert kinds["count"].tokens == 250


def test_every_two_seeds_are_matched(done):
    for folder, number in PAIRS.items():
        summaries = sorted((done.out / "matches" / folder).glob("seed*--seed*/summary.json"))
        assert len(summaries) == number
    a, b = (load_sae(done.out / f"saes/base/h.0.mlp/base/seed{seed}") for seed in (1, 0))
    found = Matching.load(done.out / "matches/base/h.0.mlp/base/seed1--seed0/decoder.npz")
    expected = match(a.W_dec.detach(), b.W_dec.detach())
    np.testing.assert_array_equal(found.cols, expected.cols)


def test_what_is_done_is_skipped(done, grid):
    before = files_of(done.out)
    begun = []
    outcome = Sweep(grid, done.out).run(begins=begun.append)
    assert begun == []
    assert len(outcome.done) == len(done.tasks)
    assert files_of(done.out) == before


def test_figures_series_and_pages(done):
    told = []
    page = finish(done, told.append)
    assert page == done.out / "report/index.html"
    assert "base/h.1/num_latents=31" in page.read_text()
    drawn = [line.removeprefix(f"figure: {done.out}/series/") for line in told]
    assert drawn == [
        "size/figures/by-size.svg", "size/figures/cosine-by-size.svg",
        "tokens/figures/by-tokens.svg", "tokens/figures/cosine-by-tokens.svg",
        "place/figures/by-layer.svg", "place/figures/by-model.svg",
    ]  # fmt: skip
    seeds = done.out / "matches/base/h.1/base/report"
    assert (seeds / "latents.html").is_file()
    series = json.loads((done.out / "series/tokens/series.json").read_text())
    assert sorted({row["tokens"] for row in series["rows"]}) == [600, 900]
    model = done.grid.configurations[0].settings["model"]
    assert {row["model"] for row in series["rows"]} == {model}
    assert (done.out / "matches/base/h.1/num_latents=31/seeds.json").is_file()


def test_nothing_is_left_in_the_plan_of_a_sweep_that_is_done(done):
    found = plan(done)
    assert [(kind.name, kind.tasks, kind.left) for kind in found.kinds] == [
        ("harvest", 1, 0), ("train", 2, 0), ("count", 3, 0), ("match", 6, 0),
    ]  # fmt: skip
    assert found.disk == 0
    found.check()


def test_the_plan_of_a_sweep_that_is_to_be_done(tmp_path, grid, done):
    sweep = Sweep(grid, tmp_path / "new")
    kinds = {kind.name: kind for kind in plan(sweep).kinds}
    assert [kind.left for kind in kinds.values()] == [1, 2, 3, 6]
    assert kinds["harvest"].tokens == 600
    assert kinds["harvest"].disk == 600 * 2 * (12 * itemsize(done) + 16)
    assert kinds["train"].tokens == 600 + 900
    weights = 2 * 12 * (3 * 20 + 2 * 31 + 2 * 20 + 2 * 20)
    assert kinds["train"].disk == 4 * 4 * weights
    assert all(kind.seconds > 0 for kind in kinds.values())
    assert not (tmp_path / "new").exists()


def test_a_task_that_fails_stops_no_other_and_is_tried_again(tmp_path, grid, done, monkeypatch):
    out = tmp_path / "sweep"
    out.mkdir()
    for name in ("activations", "saes"):
        (out / name).symlink_to(done.out / name)
    real = AllSeeds.match

    def fails(self, pair, **options):
        if self.folder(pair).parent.name == "num_latents=31":
            raise ValueError("out of luck")
        return real(self, pair, **options)

    monkeypatch.setattr(AllSeeds, "match", fails)
    outcome = Sweep(grid, out).run()
    name = "match base/h.1/num_latents=31 seed0--seed1"
    assert outcome.failed == {name: "out of luck"}
    assert len(outcome.done) == len(done.tasks) - 1
    (note,) = (out / ".failed").iterdir()
    assert json.loads(note.read_text()) == {"task": name, "reason": "out of luck"}
    monkeypatch.undo()
    begun = []
    assert not Sweep(grid, out).run(begins=begun.append).failed
    assert begun == [name]
    assert not list((out / ".failed").iterdir())


def test_tasks_wait_for_what_another_shard_makes(tmp_path, grid):
    outcome = Sweep(grid, tmp_path, shard=(2, 2)).run()
    assert outcome.done == ["harvest base h.1 h.0.mlp 2/2"]
    assert not outcome.failed
    assert outcome.waiting["train tokens=300,epochs=3"] == "activations of h.1"
    assert outcome.waiting["fire base h.0.mlp"] == "SAEs of base h.0.mlp"
    assert len(outcome.waiting) == 1 + 1 + 3


@pytest.mark.parametrize("parts", [1, 2, 3, 50])
def test_the_union_of_the_shards_is_the_whole(tmp_path, grid, parts):
    shards = [
        [task.name for task in Sweep(grid, tmp_path, shard=(part, parts)).tasks]
        for part in range(1, parts + 1)
    ]
    harvest, *others = [task.name for task in Sweep(grid, tmp_path).tasks]
    assert len(others) == len(set(others)) == 11
    if parts > 1:  # each shard has its own part of the one harvest
        assert [names[0] for names in shards] == [
            f"{harvest} {part + 1}/{parts}" for part in range(parts)
        ]
        shards = [names[1:] for names in shards]
    else:
        others = [harvest, *others]
    assert sorted(name for names in shards for name in names) == sorted(others)


def test_a_harvest_is_cut_for_all_workers_of_all_shards(tmp_path, grid):
    sweeps = [Sweep(grid, tmp_path, shard=(part, 2), workers=3) for part in (1, 2)]
    cut = [
        [task.shard for task in sweep.tasks if isinstance(task, HarvestPart)] for sweep in sweeps
    ]
    assert cut == [[(1, 6), (3, 6), (5, 6)], [(2, 6), (4, 6), (6, 6)]]
    harvest = plan(sweeps[1]).kinds[0]
    assert (harvest.tasks, harvest.left, harvest.tokens) == (3, 3, 300)


@pytest.mark.parametrize("shard", [(0, 2), (3, 2), (1, 0)])
def test_a_shard_that_is_none(tmp_path, grid, shard):
    with pytest.raises(ValueError, match="shard: expected i/n"):
        Sweep(grid, tmp_path, shard=shard)
