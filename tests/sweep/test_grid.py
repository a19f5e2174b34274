"""Grids: what a file asks for, and what is said of one that is wrong."""

import pytest
from twinsae.sweep import read_grid

BASE = """
base:
  model: gpt2
  hookpoint: h.1
  num_latents: 24
  k: 4
  seeds: [0, 1]
"""


@pytest.fixture
def read(tmp_path):
    def call(text):
        (tmp_path / "grid.yaml").write_text(text)
        return read_grid(tmp_path / "grid.yaml")

    return call


def folders(members):
    return [each.folder for each in members]


def test_the_base_alone(read):
    grid = read(BASE)
    (base,) = grid.configurations
    assert base.folder == "base/h.1/base"
    assert base.source == "base"
    assert base.seeds == (0, 1)
    assert grid.series == {}
    assert base.harvest.model == "gpt2"
    assert base.harvest.hookpoint == ("h.1",)
    assert base.sae(12).num_latents == 24
    assert base.training.seeds == (0, 1)


def test_a_list_gives_each_of_its_values(read):
    grid = read(BASE + "series:\n  size:\n    num_latents: [12, 48]\n    seeds: [0, 5, 1]\n")
    base, small, large = grid.configurations
    assert folders(grid.series["size"]) == folders([base, small, large])
    assert small.folder == "base/h.1/num_latents=12"
    assert large.sae(7).num_latents == 48
    assert large.seeds == (0, 5, 1)
    assert base.seeds == (0, 1)


def test_two_lists_give_every_combination(read):
    grid = read(BASE + "series:\n  both: {num_latents: [12, 48], hookpoint: [h.0, h.2]}\n")
    assert folders(grid.series["both"]) == [
        "base/h.1/base",
        "base/h.0/num_latents=12",
        "base/h.2/num_latents=12",
        "base/h.0/num_latents=48",
        "base/h.2/num_latents=48",
    ]


def test_what_changes_the_activations_makes_a_stream_and_what_changes_the_text_a_source(read):
    grid = read(
        BASE + "series:\n  a: {epochs: 3}\n  b: {tokens: 1000}\n  c: {model: org/other, k: 2}\n"
    )
    _, epochs, tokens, model = grid.configurations
    assert (epochs.source, epochs.stream, epochs.variant) == ("base", "epochs=3", "base")
    assert (tokens.source, tokens.stream, tokens.variant) == ("base", "tokens=1000", "base")
    assert (model.source, model.stream, model.variant) == (
        "model=org-other", "model=org-other", "k=2",
    )  # fmt: skip


def test_seeds_of_all_series_go_to_one_configuration(read):
    grid = read(BASE + "series:\n  seeds: {seeds: [4, 1]}\n  k: {k: [4, 8]}\n")
    base, other = grid.configurations
    assert base.seeds == (0, 1, 4)
    assert grid.series["seeds"] == (base,)
    assert grid.series["k"] == (base, other)


def test_settings_of_another_architecture_are_left_out_of_the_base(read):
    grid = read(BASE + "  aux: 0.03\nseries:\n  kind: {architecture: relu, sparsity: 4e-3}\n")
    base, relu = grid.configurations
    assert base.training.aux == 0.03
    assert relu.training.aux == 0
    assert relu.training.sparsity == 0.004  # which YAML reads as text
    assert relu.sae(12).k == 0


def test_a_list_that_is_one_value(read):
    grid = read(BASE + "  betas: [0.9, 0.99]\nseries:\n  m: {prefixes: [[6, 24], [12, 24]]}\n")
    base, first, second = grid.configurations
    assert base.training.betas == (0.9, 0.99)
    assert first.sae(12).prefixes == (6, 24)
    assert second.variant == "prefixes=12-24"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("base: [", "is no YAML"),
        ("- 1", "line 1: grid: expected names"),
        ("bases: {}", "line 1: expected one of base, series, pairs, got 'bases'"),
        ("series: {}", "there is no base"),
        ("base: {k: 3}", "line 1: base: seeds are needed"),
        ("base: {seeds: 1}", "line 1: seeds: a match needs two"),
        ("base: {seeds: [1, 1]}", "line 1: seeds: expected different numbers"),
        ("base: {seeds: [0, true]}", "line 1: seeds: expected different numbers"),
        (BASE + "  num_latent: 3", "line 8: there is no factor 'num_latent'; did you mean num_l"),
        (BASE + "  k: 3", "line 8: base: 'k' is given twice"),
        (BASE + "  epochs: two", "line 8: epochs: expected a whole number, got 'two'"),
        (BASE + "  epochs: true", "line 8: epochs: expected a whole number, got True"),
        (BASE + "  lr: fast", "line 8: lr: expected a number, got 'fast'"),
        (BASE + "  text: 3", "line 8: text: expected text, got 3"),
        (BASE + "  bos: maybe", "line 8: bos: expected one of auto, yes, no, got 'maybe'"),
        (BASE + "  epochs: [1, 2]", "line 8: epochs: the base has one value"),
        (BASE + "  lr: -1", "line 2: lr: expected a positive number"),
        (BASE + "  context: 1", "line 2: context must be at least 2"),
        (BASE + "  expansion_factor: 2", "line 2: num_latents and expansion_factor"),
        (BASE + "  stored_tokens: -1", "line 2: tokens must be at least 1"),
        (BASE + "  stored_tokens: 200_000", "line 2: stored_tokens: expected fewer than the"),
        (BASE + "series:\n  a:\n    k: []", "line 10: k: expected a value"),
        (BASE + "series:\n  a:\n    k: 99", "line 9: k: 99 active latents of only 24"),
        (BASE + "series:\n  a: {architecture: relu}", "line 9: sparsity: relu needs"),
        (BASE + "series:\n  a: {sparsity: 3}", "line 9: sparsity: only for relu"),
        (BASE + "series:\n  a: {hookpoint: 'h.*'}", "line 9: hookpoint: expected one module"),
        (BASE + "series:\n  a: {k: [2, 2]}", "line 9: a: two entries are the same"),
        (
            BASE + "series:\n  a: {model: a/b}\n  b: {model: a-b}",
            "line 8: two different configurations would have the folder model=a-b/h.1/base",
        ),
        (BASE + "pairs: some", "line 8: pairs: expected one of all, chain, to-first"),
    ],
)
def test_a_wrong_grid_is_told_with_its_line(read, text, message):
    with pytest.raises(ValueError, match=r"grid\.yaml") as caught:
        read(text)
    assert message in str(caught.value)


def test_a_relu_has_no_k_to_vary(read):
    with pytest.raises(ValueError, match=r"line 9: k: relu has no such number"):
        read(BASE + "series:\n  a: {architecture: relu, sparsity: 1, k: [2, 3]}")


def test_a_grid_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_grid(tmp_path / "none.yaml")
