"""Colours that every reader can tell apart."""

from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from twinsae.matching.figures.style import SERIES, house_style, ordered_colours

# What readers without one of the three kinds of cones see, of linear RGB: Machado, Oliveira and
# Fernandes, "A physiologically-based model for simulation of color vision deficiency" (2009),
# severity 1.0.
VISION = {
    "usual": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(colour: str, vision: str) -> np.ndarray:
    """Return a colour's place in CIELAB, where distance is how different two colours look."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.asarray(VISION[vision]) @ linear, 0, 1)
    x, y, z = XYZ @ seen / XYZ.sum(axis=1)
    fx, fy, fz = (np.cbrt(v) if v > 0.008856 else 7.787 * v + 16 / 116 for v in (x, y, z))
    return np.array([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)])


@pytest.mark.parametrize("vision", VISION)
def test_series_look_different_to_every_reader(vision):
    places = {colour: lab(colour, vision) for colour in SERIES}
    for one, other in combinations(SERIES, 2):
        # About 2 is the least that one sees.
        assert np.linalg.norm(places[one] - places[other]) > 10, (one, other)


@pytest.mark.parametrize("number", [1, 2, 9])
def test_ordered_colours_grow_lighter_for_every_reader(number):
    colours = ordered_colours(number)
    assert len(colours) == number
    for vision in VISION:
        lightness = [lab(colour, vision)[0] for colour in colours]
        assert (np.diff(lightness) > 3).all(), vision


def test_the_users_own_settings_come_back():
    with mpl.rc_context({"font.size": 3}):
        with house_style():
            assert mpl.rcParams["font.size"] == 10
        assert mpl.rcParams["font.size"] == 3
