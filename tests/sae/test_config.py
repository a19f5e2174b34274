import dataclasses
import inspect
import re

import pytest
from twinsae.sae import SAEConfig, TrainConfig


def test_num_latents_zero_means_width_times_expansion():
    assert SAEConfig(d_in=5, expansion_factor=7).num_latents == 35
    assert SAEConfig(d_in=5, num_latents=33, expansion_factor=7).num_latents == 33


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"d_in": 0}, "d_in"),
        ({"d_in": 4, "num_latents": -1}, "num_latents"),
        ({"d_in": 4, "expansion_factor": 0}, "expansion_factor"),
        ({"d_in": 4, "k": 0}, "k"),
        ({"d_in": 4, "num_latents": 8, "k": 9}, "k"),
    ],
)
def test_an_impossible_shape_is_refused_by_name(settings, name):
    with pytest.raises(ValueError, match=f"^{name}: "):
        SAEConfig(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"seeds": ()},
        {"seeds": (3, 1, 3)},
        {"seeds": (0, -1)},
        {"batch_size": 1},
        {"epochs": 0},
        {"lr": 0.0},
        {"lr": float("nan")},
        {"lr": float("inf")},
        {"warmup_steps": -1},
        {"dead_after": 0},
        {"save_every": 0},
        {"log_every": 0},
    ],
)
def test_an_impossible_training_setting_is_refused_by_name(settings):
    (name,) = settings
    with pytest.raises(ValueError, match=f"^{name}: "):
        TrainConfig(**settings)


@pytest.mark.parametrize("config", [SAEConfig, TrainConfig])
def test_every_field_has_help_below_it(config):
    """The command line shows these docstrings, taken from the source."""
    source = inspect.getsource(config)
    for field in dataclasses.fields(config):
        assert re.search(rf'^    {field.name}: .*\n    """\w', source, re.MULTILINE), field.name
